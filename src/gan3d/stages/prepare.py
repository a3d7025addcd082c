"""Stage `prepare`: turn a source into a voxel data set."""

import logging
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

from gan3d.addresses import mask
from gan3d.config.project import Project, expand_home
from gan3d.config.schema import Data, Params
from gan3d.data.pipeline.options import PrepareOptions
from gan3d.data.pipeline.prepare import prepare_source
from gan3d.data.pipeline.preview import preview as understand
from gan3d.data.sandbox.pool import Limits
from gan3d.data.sources import download
from gan3d.data.sources.named import NAMED_SOURCES, axis_advice, notice
from gan3d.dataset import SPLITS
from gan3d.errors import UserError
from gan3d.monitoring.progress import progress_bar
from gan3d.reports import data_report
from gan3d.synthetic import furniture

LISTED = 48  # classes on the terminal
SYNTHETIC = "synthetic"  # a source: the embedded furniture


def run(
    data: Data, seed: int, out: Path, home: Path, workers: int | None = None, dask: str | None = None
) -> dict[str, Any]:
    """Prepare a source into `out`; returns the summary.

    Args:
        home: the folder of `synthetic/`, the embedded furniture, which is written if it is missing.
        workers: processes; None: one per core.
        dask: address of a Dask scheduler, instead of this machine.
    """
    if download.is_address(data.source):
        if data.source in NAMED_SOURCES:
            print(notice(data.source), flush=True)
            if data.labels is None and (labels := NAMED_SOURCES[data.source].labels):
                data = data.model_copy(update={"labels": dict(labels)})
        if advice := axis_advice(data.source, data.up):
            logging.getLogger(__name__).warning("%s", advice)
        with progress_bar("download", "B") as progress:
            source = download.fetch(data.source, None, data.sha256, data.endpoint, progress)
    else:
        source = local_source(data.source, home)
    with progress_bar("prepare") as progress:
        limits = Limits(data.timeout, data.memory_limit)
        summary = prepare_source(source, out, options_of(data, seed), workers, progress, limits, dask)
    data_report.write(out)
    return summary


def preview(data: Data, seed: int, home: Path) -> tuple[str, UserError | None]:
    """Describe how a source is understood, without writing anything.

    Returns:
        The description, and the error that `run` would stop with, if any.

    Raises:
        UserError: if the source cannot be opened, or is at an address.
    """
    if download.is_address(data.source):
        raise UserError("--dry-run reads local files only: fetch the source with `gan3d data fetch` first.")
    with tempfile.TemporaryDirectory() as scratch:
        has_furniture = (home / SYNTHETIC).is_dir()
        source = Path(data.source)
        if data.source == SYNTHETIC:
            source = home / SYNTHETIC if has_furniture else local_source(data.source, scratch)
        return understand(source, options_of(data, seed), Limits(data.timeout, data.memory_limit))


def options_of(data: Data, seed: int) -> PrepareOptions:
    """The part of `data` in params.yaml that says how a source is read."""
    shared = data.model_dump(include={field.name for field in fields(PrepareOptions)} - {"classes", "labels"})
    classes = None if data.classes == "all" else data.classes
    labels = expand_home(Path(data.labels)) if isinstance(data.labels, str) else data.labels
    return PrepareOptions(**shared, classes=classes, labels=labels, seed=seed)


def log(params: Params, project: Project, summary: dict[str, Any]) -> None:
    """Log the data set's parameters, counts and report to an MLflow run named `<name> data`.

    Only warns if the store cannot be reached: the prepared data is complete without it.
    """
    from gan3d.stages.experiment import experiment_run, run_name
    from gan3d.tracking.provenance import provenance_tags
    from gan3d.tracking.run import TrackedRun
    from gan3d.tracking.store import connect_later

    settings = params.data.model_dump()
    texts = {key: mask(value, value) for key, value in settings.items() if isinstance(value, str)}
    settings = {f"data.{key}": value for key, value in (settings | texts).items()}
    tags = provenance_tags(project.work) | {"stage": "prepare"}
    totals = {split: sum(counts[split] for counts in summary["counts"].values()) for split in SPLITS}
    left_out = {name: summary[name] for name in ("rejected", "duplicates", "dropped_empty")}
    experiment = experiment_run(params, project, "data")
    name = run_name(params, "data", experiment)
    run = TrackedRun(connect_later(project.mlruns), project.mlruns, name, settings, tags, experiment=experiment)
    run.outbox.put_metrics([{"images": 0} | {f"data/{name}": n for name, n in (totals | left_out).items()}])
    run.outbox.put_files(data_report.path_for(project.voxels), "")
    run.end()


def describe(summary: dict[str, Any], out: Path) -> str:
    """Summarise a prepared data set, one fact per line."""
    lines = [
        f"{name}: " + ", ".join(f"{count} {split}" for split, count in counts.items())
        for name, counts in list(summary["counts"].items())[:LISTED]
    ]
    if len(summary["counts"]) > LISTED:
        lines.append(f"and {len(summary['counts']) - LISTED:,} more classes: see the report")
    left_out = {"empty": "dropped_empty", "duplicates": "duplicates", "unreadable": "rejected", "skipped": "skipped"}
    lines.append("left out: " + ", ".join(f"{summary[field]} {word}" for word, field in left_out.items()))
    if summary["rejected"]:
        lines.append(f"why they could not be read: {out / 'rejects.csv'}")
    lines.append(f"report: {data_report.path_for(out)}")
    shares = [f"{at} {share:.1%}" for at, share in summary["occupancy"].items() if share is not None]
    lines.append(f"occupancy: {', '.join(shares)}")
    return "\n".join(lines)


def local_source(source: str | Path, root: str | Path) -> Path:
    """The path of a source; `synthetic` is ROOT/synthetic, written if it is missing or out of date."""
    if str(source) != SYNTHETIC:
        return expand_home(Path(source))
    folder = Path(root) / SYNTHETIC
    furniture.ensure(folder)
    return folder
