"""Stage `train@rNN`: train one resolution, with MLflow, a progress bar and a folder of contact sheets."""

import csv
import json
import shutil
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
from gan3d.config.schema import SCRATCH, Params, resolution_of
from gan3d.dataset import VoxelDataset, resolution_key
from gan3d.errors import UserError
from gan3d.model_file import TrainedModel
from gan3d.monitoring.callbacks import CallbackList, ProgressBar, SampleSheets
from gan3d.monitoring.cost import estimate_cost, measure_conv_rate
from gan3d.monitoring.monitor import TrainingMonitor
from gan3d.monitoring.validation import validation
from gan3d.networks.architecture import Architecture
from gan3d.rendering.training_plots import training_curves
from gan3d.rendering.viewer import write_page
from gan3d.tracking.mlflow_callback import MLflowCallback
from gan3d.tracking.provenance import provenance_tags
from gan3d.tracking.store import connect
from gan3d.training.callback import Row
from gan3d.training.fingerprint import training_fingerprint
from gan3d.training.loop import LoggingSchedule, train
from gan3d.training.stage import build_stage, finish_stage


def run(params: Params, stage: str, project: Project, dry_run: bool = False) -> None:
    """Train a stage; write its model, run file, curves and samples.

    Args:
        dry_run: stop after the cost estimate.

    Raises:
        UserError: if the stage does not exist, or the model it grows from is missing.
    """
    recipe = params.recipe(stage)
    previous = params.train.stages[stage].prev
    data = VoxelDataset(project.voxels, params.gan.conditional)
    check_training_shapes(data)
    parent = None if previous == SCRATCH else model_file.load(project.model(previous))
    start = build_stage(parent, architecture(params, stage, data), params.seed, params.gan.threshold)
    at = start[0].architecture
    cost = estimate_cost(start[0], start[1], recipe, measure_conv_rate(at.widths[-1], at.resolution))
    settings = {"stage": stage, "prev": previous, **fields_of(recipe), **fields_of(at)}
    print(textwrap.fill(json.dumps(settings, ensure_ascii=False), 110))
    print(f"{stage}: {cost}", flush=True)
    if dry_run:
        return
    fingerprint = training_fingerprint(data, start[2], recipe)
    checkpoints = project.checkpoints / stage / fingerprint
    schedule = logging_schedule(params)
    if rank() > 0:  # only the first process writes
        train(data, start, recipe, checkpoints, schedule)
        wait_for_first()
        return
    dataset_fingerprint = data.fingerprint("train", at.resolution)
    tags = provenance_tags(project.work) | {"stage": stage, "name": params.name, "training_fingerprint": fingerprint}
    tags["dataset_fingerprint"] = dataset_fingerprint
    if previous != SCRATCH and project.run_file(previous).is_file():
        tags["parent_model_run"] = json.loads(project.run_file(previous).read_text(encoding="utf-8"))["run_id"]
    mlflow_callback = MLflowCallback(
        connect(project.mlruns),
        f"{params.name} {stage}",
        settings | {"parameters_g": cost.parameters_g, "parameters_d": cost.parameters_d},
        tags,
        data.classes,
        data.up,
        dataset_input(data, at.resolution, dataset_fingerprint),
        mlruns=project.mlruns,
    )
    sheets = SampleSheets(project.output(params.name) / "vis" / stage, data.classes, data.up)
    progress = ProgressBar(stage, recipe.images)
    with ending_run(mlflow_callback, progress):
        trained, rows = train(
            data,
            start,
            recipe,
            checkpoints,
            schedule,
            CallbackList(progress, mlflow_callback, sheets),
            TrainingMonitor(data, start, schedule.samples_per_class),
            validation(data, start[2]),
        )
        trained = finish_stage(trained, data, params.gan.threshold)
        model_file.save(project.model(stage), trained)
        mlflow_callback.finish(write_outputs(params, stage, project, trained, rows, sheets))
    run_file = project.run_file(stage)
    run_file.parent.mkdir(parents=True, exist_ok=True)
    record = {"run_id": mlflow_callback.run_id, "training_fingerprint": fingerprint, "images": rows[-1]["images"]}
    run_file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    wait_for_first()


def wait_for_first() -> None:
    """Block the other processes until the first one has written the model, from which the next stage grows."""
    from_first(np.int64(0))


def logging_schedule(params: Params) -> LoggingSchedule:
    """The loop's schedule, from the section `logging`."""
    return LoggingSchedule(**params.logging.model_dump())


def architecture(params: Params, stage: str, data: VoxelDataset) -> Architecture:
    """Networks of a stage for a data set.

    Raises:
        UserError: if the data set stops below the stage's resolution.
    """
    widths = params.widths(stage)
    data.packed(resolution_of(stage))  # raises UserError
    occupancy = [data.summary["occupancy"][resolution_key(4 * 2**i)] for i in range(len(widths))]
    return Architecture(
        params.gan.latent, tuple(data.classes), widths, tuple(occupancy), precision=params.train.precision
    )


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
    params: Params, stage: str, project: Project, trained: TrainedModel, rows: list[Row], sheets: SampleSheets
) -> dict[str, Path]:
    """Write curves, plots, page and model; returns what goes to MLflow, by artifact folder."""
    output = project.output(params.name)
    diagnosed = [row for row in rows if any("/" in name for name in row)]
    write_rows(project.curves(stage), [name for name in rows[-1] if "/" not in name], rows)
    write_rows(project.health(stage), [name for name in rows[-1] if "/" in name], diagnosed)
    plots = output / "loss" / stage
    training_curves(rows, plots, f"{params.name} at {resolution_of(stage)}³")
    images, shapes = sheets.frames[-1]
    page = write_page(
        output / "vis" / stage / "shapes.html",
        shapes,
        [trained.architecture.classes[label] for label in sheets.labels],
        f"{params.name} at {resolution_of(stage)}³",
        note=f"After {images:,} images.",
        up=trained.up,
        frames=sheets.frames[:-1],
    )
    model = output / "model" / stage
    shutil.copytree(project.model(stage), model, dirs_exist_ok=True)
    trained.build_generator().save(model / "generator.keras")
    return {"plots": plots, "": page, "model": project.model(stage)}


def write_rows(path: Path, columns: list[str], rows: list[Row]) -> None:
    """Write a CSV with the images seen and these columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as out:
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
        callback.fail(killed=True)
        raise
    except BaseException:
        callback.fail(killed=False)
        raise
    finally:
        progress.close()


def check_training_shapes(data: VoxelDataset) -> None:
    """Raise UserError if a class has no training shape."""
    for name in data.classes:
        if len(data.select("train", name)) == 0:
            raise UserError(
                f"{data.folder} has no training shape of class {name!r}: add some, or remove it from data.classes."
            )


def fields_of(settings: Any) -> dict[str, Any]:
    """A dataclass's fields, one level deep."""
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}
