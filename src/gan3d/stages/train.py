"""Stage `train@rNN`: train one resolution, with MLflow, a progress bar and a folder of contact sheets."""

import csv
import json
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow.data
import numpy as np

from gan3d import model_file
from gan3d.backend import from_first, rank
from gan3d.config.project import Project
from gan3d.config.schema import Params
from gan3d.dataset import VoxelDataset
from gan3d.errors import short_list
from gan3d.model_file import TrainedModel
from gan3d.monitoring.callbacks import CallbackList, ProgressBar, SampleSheets
from gan3d.monitoring.cost import CostEstimate, estimate_cost, measure_conv_rate
from gan3d.monitoring.monitor import TrainingMonitor
from gan3d.monitoring.validation import validation
from gan3d.outputs import copy_folder, new_file, new_folder, remove_others, write_text
from gan3d.rendering.training_plots import training_curves
from gan3d.rendering.viewer import write_page
from gan3d.stages.spec import check_training_shapes, logging_schedule, stage_spec
from gan3d.tracking.mlflow_callback import MLflowCallback
from gan3d.tracking.provenance import provenance_tags
from gan3d.tracking.store import connect_later
from gan3d.training.callback import Row
from gan3d.training.checkpoint import sole_writer
from gan3d.training.fingerprint import training_fingerprint
from gan3d.training.loop import train
from gan3d.training.stage import StageSpec, build_stage, finish_stage


def run(params: Params, stage: str, project: Project, dry_run: bool = False) -> None:
    """Train a stage; write its model, run file, curves and samples.

    Args:
        dry_run: stop after the cost estimate.

    Raises:
        UserError: if the stage does not exist, or the model it grows from is missing.
    """
    data = VoxelDataset(project.voxels, params.gan.conditional)
    spec = stage_spec(params, stage, data)
    check_training_shapes(data)
    start = build_stage(spec, None if spec.prev is None else model_file.load(project.model(spec.prev)))
    cost = estimate_cost(*start[:2], spec.recipe, measure_conv_rate(spec.architecture.widths[-1], spec.resolution))
    print(textwrap.fill(json.dumps(shown_settings(spec), ensure_ascii=False), 110))
    print(f"{stage}: {cost}", flush=True)
    if dry_run:
        return
    fingerprint = training_fingerprint(data, start[2], spec.recipe)
    checkpoints = project.checkpoints / stage / fingerprint
    schedule = logging_schedule(params)
    if rank() > 0:  # only the first process writes
        train(data, start, spec.recipe, checkpoints, schedule)
        wait_for_first()
        return
    with sole_writer(checkpoints, lambda: print(waiting_sentence(stage, checkpoints), flush=True)):
        tracker = mlflow_callback(params.name, spec, data, project, fingerprint, cost)
        sheets = SampleSheets(project.output(params.name) / "vis" / stage, data.classes, data.up)
        progress = ProgressBar(stage, spec.recipe.images)
        with ending_run(tracker, progress):
            trained, rows = train(
                data,
                start,
                spec.recipe,
                checkpoints,
                schedule,
                CallbackList(progress, tracker, sheets),
                TrainingMonitor(data, start, schedule.samples_per_class),
                validation(data, start[2]),
            )
            trained = finish_stage(spec, trained, data)
            model_file.save(project.model(stage), trained)
            remove_others(project.model(stage), model_file.FILES)
            progress.close()
            tracker.finish(write_outputs(params.name, spec, project, trained, rows, sheets))
        record = {"run_id": tracker.run_id, "training_fingerprint": fingerprint, "images": rows[-1]["images"]}
        write_text(project.run_file(stage), json.dumps(record, indent=2) + "\n")
    wait_for_first()


def waiting_sentence(stage: str, checkpoints: Path) -> str:
    """What a second training of a stage says before it waits for the first."""
    return f"{stage}: another process trains it in {checkpoints}; this one waits, and takes its result."


def shown_settings(spec: StageSpec) -> dict[str, object]:
    """The stage's settings; of many classes, their number and the first."""
    classes = spec.architecture.classes
    return spec.settings | ({"classes": f"{len(classes):,}: {short_list(classes)}"} if len(classes) > 100 else {})


def mlflow_callback(
    name: str, spec: StageSpec, data: VoxelDataset, project: Project, fingerprint: str, cost: CostEstimate
) -> MLflowCallback:
    """The stage's run in MLflow: parameters, the data set, and what it comes from."""
    dataset_fingerprint = data.fingerprint("train", spec.resolution)
    tags = provenance_tags(project.work) | {
        "stage": spec.name,
        "name": name,
        "training_fingerprint": fingerprint,
        "dataset_fingerprint": dataset_fingerprint,
    }
    if spec.prev is not None and project.run_file(spec.prev).is_file():
        tags["parent_model_run"] = json.loads(project.run_file(spec.prev).read_text(encoding="utf-8"))["run_id"]
    return MLflowCallback(
        connect_later(project.mlruns),
        f"{name} {spec.name}",
        shown_settings(spec) | {"parameters_g": cost.parameters_g, "parameters_d": cost.parameters_d},
        tags,
        data.classes,
        data.up,
        dataset_input(data, spec.resolution, dataset_fingerprint),
        mlruns=project.mlruns,
    )


def wait_for_first() -> None:
    """Block the other processes until the first one has written the model, from which the next stage grows."""
    from_first(np.int64(0))


def dataset_input(data: VoxelDataset, at: int, fingerprint: str) -> Any:
    """The training split as a run's input in MLflow: shape, type and digest; no grid is read."""
    rows = data.select("train")
    packed = np.broadcast_to(np.zeros(1, np.uint8), (len(rows), at**3 // 8))
    names = "+".join(data.classes)
    name = f"{names if len(names) < 100 else f'{len(data.classes)} classes'} at {at}³"  # MLflow allows 500 characters
    with warnings.catch_warnings():  # that MLflow has two kinds of local sources
        warnings.simplefilter("ignore")
        return mlflow.data.from_numpy(
            packed, source=str(data.folder), targets=data.labels[rows], name=name, digest=fingerprint
        )


def write_outputs(
    name: str, spec: StageSpec, project: Project, trained: TrainedModel, rows: list[Row], sheets: SampleSheets
) -> dict[str, Path]:
    """Write curves, plots, page and model; returns what goes to MLflow, by artifact folder."""
    output, stage, title = project.output(name), spec.name, f"{name} at {spec.resolution}³"
    diagnosed = [row for row in rows if any("/" in name for name in row)]
    write_rows(project.curves(stage), [name for name in rows[-1] if "/" not in name], rows)
    write_rows(project.health(stage), [name for name in rows[-1] if "/" in name], diagnosed)
    plots = output / "loss" / stage
    training_curves(rows, plots, title)
    images, shapes = sheets.frames[-1]
    page = write_page(
        output / "vis" / stage / "shapes.html",
        shapes,
        [trained.architecture.classes[label] for label in sheets.labels],
        title,
        note=f"After {images:,} images.",
        up=trained.up,
        frames=sheets.frames[:-1],
    )
    with new_folder(output / "model" / stage) as model:
        copy_folder(project.model(stage), model)
        trained.build_generator().save(model / "generator.keras")
    return {"plots": plots, "": page, "model": project.model(stage)}


def write_rows(path: Path, columns: list[str], rows: list[Row]) -> None:
    """Write a CSV with the images seen and these columns."""
    with new_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
        names = list(dict.fromkeys(["images", *columns]))
        writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def ending_run(callback: MLflowCallback, progress: ProgressBar) -> Iterator[None]:
    """End the run by what happens within: finished, failed or killed."""
    try:
        yield
    except KeyboardInterrupt:
        progress.close()
        callback.fail(killed=True)
        raise
    except BaseException:
        progress.close()
        callback.fail(killed=False)
        raise
    finally:
        progress.close()
