"""Stage `prepare`: turn a source into a voxel data set."""

import logging
from dataclasses import fields
from pathlib import Path
from typing import Any

from gan3d.addresses import mask
from gan3d.config.project import Project
from gan3d.config.schema import Data, Params
from gan3d.data.pipeline.options import PrepareOptions
from gan3d.data.pipeline.prepare import prepare_source
from gan3d.data.sandbox.pool import Limits
from gan3d.data.sources import download
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
        with progress_bar("download", "B") as progress:
            source = download.fetch(data.source, None, data.sha256, data.endpoint, progress)
    else:
        source = local_source(data.source, home)
    with progress_bar("prepare") as progress:
        limits = Limits(data.timeout, data.memory_limit)
        summary = prepare_source(source, out, options_of(data, seed), workers, progress, limits, dask)
    data_report.write(out)
    return summary


def options_of(data: Data, seed: int) -> PrepareOptions:
    """The part of `data` in params.yaml that says how a source is read."""
    shared = data.model_dump(include={field.name for field in fields(PrepareOptions)} - {"classes", "labels"})
    classes = None if data.classes == "all" else data.classes
    return PrepareOptions(
        **shared, classes=classes, labels=None if data.labels is None else Path(data.labels), seed=seed
    )


def log(params: Params, project: Project, summary: dict[str, Any]) -> None:
    """Log the data set's parameters, counts and report to an MLflow run named `<name> data`.

    Only warns if the store cannot be reached: the prepared data is complete without it.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    from gan3d.tracking.provenance import provenance_tags
    from gan3d.tracking.store import connect

    try:
        connect(project.mlruns)
        with mlflow.start_run(
            run_name=f"{params.name} data", tags=provenance_tags(project.work) | {"stage": "prepare"}
        ):
            settings = params.data.model_dump()
            texts = {key: mask(value, value) for key, value in settings.items() if isinstance(value, str)}
            mlflow.log_params({f"data.{key}": value for key, value in (settings | texts).items()})
            totals = {split: sum(counts[split] for counts in summary["counts"].values()) for split in SPLITS}
            left_out = {name: summary[name] for name in ("rejected", "duplicates", "dropped_empty")}
            mlflow.log_metrics({f"shapes.{name}": count for name, count in (totals | left_out).items()})
            mlflow.log_artifact(str(data_report.path_for(project.voxels)))
    except (MlflowException, UserError, OSError) as error:
        logging.getLogger(__name__).warning("the data report could not be logged to MLflow: %s", error)


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
    lines.append(f"occupancy: {', '.join(shares) or 'unknown, since there are no training shapes'}")
    return "\n".join(lines)


def local_source(source: str | Path, root: str | Path) -> Path:
    """The path of a source; `synthetic` is ROOT/synthetic, written if it is missing or out of date."""
    if str(source) != SYNTHETIC:
        return Path(source)
    folder = Path(root) / SYNTHETIC
    furniture.ensure(folder)
    return folder
