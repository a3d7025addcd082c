"""Stage `train@rNN`: train one resolution, with MLflow, a progress bar and a folder of contact sheets."""

import csv
import json
import tempfile
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
from gan3d.monitoring.callbacks import CallbackList, FirstSamples, ProgressBar, SampleSheets
from gan3d.monitoring.checkpoint_folder import checkpoint_folder
from gan3d.monitoring.cost import CostEstimate, estimate_cost, measure_conv_rate
from gan3d.monitoring.monitor import TrainingMonitor
from gan3d.monitoring.progress import Update, progress_bar
from gan3d.monitoring.validation import validation
from gan3d.outputs import new_file, remove_others, write_text
from gan3d.stages.experiment import experiment_run, run_name, trained_run, what
from gan3d.stages.output import write_stage
from gan3d.stages.spec import check_training_shapes, logging_schedule, stage_spec
from gan3d.tracking.history import GROWN_FROM
from gan3d.tracking.links import NOTE, run_link
from gan3d.tracking.mlflow_callback import MLflowCallback
from gan3d.tracking.provenance import provenance_tags
from gan3d.tracking.store import connect_later
from gan3d.training.callback import Row, TrainingView
from gan3d.training.checkpoint import sole_writer
from gan3d.training.denoising import Report
from gan3d.training.loop import Validate, train
from gan3d.training.stage import StageSpec, add_denoiser, build_stage, finish_stage

MODEL_FILES = (model_file.CONFIG, model_file.GENERATOR)  # of a kept checkpoint, without the training weights


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
    rate = measure_conv_rate(spec.architecture.widths[-1], spec.resolution)
    cost = estimate_cost(*start[:2], spec.recipe, rate, spec.denoise)
    print(textwrap.fill(json.dumps(shown_settings(spec), ensure_ascii=False), 110))
    print(f"{stage}: {cost}", flush=True)
    if dry_run:
        return
    checkpoints = checkpoint_folder(project.checkpoints, stage, data, start, spec.recipe)
    schedule = logging_schedule(params, spec.recipe.images)
    if rank() > 0:  # only the first process writes
        trained, _ = train(data, start, spec.recipe, checkpoints, schedule)
        add_denoiser(spec, trained, data, checkpoints)  # every device takes part
        wait_for_first()
        return
    with sole_writer(checkpoints, lambda: print(waiting_sentence(stage, checkpoints), flush=True)):
        tracker = mlflow_callback(params, spec, data, project, checkpoints.name, cost)
        monitor = TrainingMonitor(data, start, schedule.samples_per_class)
        scored = validation(data, start[2])
        best = BestModel(scored)
        sheets = SampleSheets(project.output(params.name) / "vis" / stage, data.classes, data.up)
        progress = ProgressBar(stage, spec.recipe.images)
        with ending_run(tracker, progress):
            trained, rows = train(
                data,
                start,
                spec.recipe,
                checkpoints,
                schedule,
                CallbackList(progress, tracker, sheets, FirstSamples(monitor, start[2], spec.recipe, tracker, sheets)),
                monitor,
                None if scored is None else best,
            )
            progress.close()
            with progress_bar(f"{stage} denoiser", "img") as update:
                trained = finish_stage(spec, trained, data, checkpoints, denoiser_progress(update, spec.denoise))
            model_file.save(project.model(stage), trained)
            remove_others(project.model(stage), model_file.FILES)
            keep_models(tracker, f"{params.name} {stage}", project.model(stage), rows, best)
            tracker.finish(write_outputs(params.name, spec, project, trained, rows, sheets))
        record = {"run_id": tracker.run_id, "training_fingerprint": checkpoints.name, "images": rows[-1]["images"]}
        write_text(project.run_file(stage), json.dumps(record, indent=2) + "\n")
    wait_for_first()


def denoiser_progress(update: Update, total: int) -> Report:
    """Show the denoiser's progress and loss."""
    return lambda images, loss: update(images, total, f"cross-entropy {loss:.4f}")


def waiting_sentence(stage: str, checkpoints: Path) -> str:
    """What a second training of a stage says before it waits for the first."""
    return f"{stage}: another process trains it in {checkpoints}; this one waits, and takes its result."


def shown_settings(spec: StageSpec) -> dict[str, object]:
    """The stage's settings; of many classes, their number and the first."""
    classes = spec.architecture.classes
    return spec.settings | ({"classes": f"{len(classes):,}: {short_list(classes)}"} if len(classes) > 100 else {})


class BestModel:
    """A validation that remembers the model with the lowest score, which is a kept checkpoint."""

    def __init__(self, validate: Validate | None):
        self.validate = validate
        self.images, self.score = 0, float("inf")
        self.model: TrainedModel | None = None

    def __call__(self, view: TrainingView) -> Row:
        row = self.validate(view) if self.validate is not None else {}
        if row.get("validation/score", float("inf")) < self.score:
            self.images, self.score, self.model = view.images, row["validation/score"], view.model()
        return row


def keep_models(tracker: MLflowCallback, name: str, final: Path, rows: list[Row], best: BestModel) -> None:
    """Log the final model, and the best by validation if that is another, as models of MLflow."""
    images = int(rows[-1]["images"])
    score = rows[-1].get("validation/score")
    tracker.keep_model(f"{name} after {images} images", images, score, [final / part for part in MODEL_FILES])
    if best.model is not None and best.images != images:
        with tempfile.TemporaryDirectory() as scratch:
            model_file.save(Path(scratch), best.model)
            files = [Path(scratch) / part for part in MODEL_FILES]
            tracker.keep_model(f"{name} after {best.images} images", best.images, best.score, files)


def mlflow_callback(
    params: Params, spec: StageSpec, data: VoxelDataset, project: Project, fingerprint: str, cost: CostEstimate
) -> MLflowCallback:
    """The stage's run in MLflow: parameters, the data set, and what it comes from."""
    dataset_fingerprint = data.fingerprint("train", spec.resolution)
    tags = provenance_tags(project.work) | {
        "stage": spec.name,
        "name": params.name,
        "training_fingerprint": fingerprint,
        "dataset_fingerprint": dataset_fingerprint,
    }
    grown_from = "from nothing"
    if spec.prev is not None and (parent := trained_run(project, spec.prev)):
        tags[GROWN_FROM] = parent
        grown_from = f"from {run_link(spec.prev, parent)}"
    tags[NOTE] = f"{spec.resolution}³ voxels, {short_list(data.classes, 8)}; grown {grown_from}."
    experiment = experiment_run(params, project, spec.name)
    if experiment is not None:
        earlier = params.train.chain(spec.name)[:-1]
        experiment.tell(what=what(params, data.classes), data=f"`{data.fingerprint('train', spec.resolution)}`")
        experiment.tell_stages({stage: trained_run(project, stage) for stage in earlier})
    return MLflowCallback(
        connect_later(project.mlruns),
        run_name(params, spec.name, experiment),
        shown_settings(spec) | {"parameters_g": cost.parameters_g, "parameters_d": cost.parameters_d},
        tags,
        data.classes,
        data.up,
        dataset_input(data, spec.resolution, dataset_fingerprint),
        mlruns=project.mlruns,
        experiment=experiment,
        leads=spec.name == params.final,
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
    stage = spec.name
    diagnosed = [row for row in rows if any("/" in name for name in row)]
    write_rows(project.curves(stage), [name for name in rows[-1] if "/" not in name], rows)
    write_rows(project.health(stage), [name for name in rows[-1] if "/" in name], diagnosed)
    plots, page = write_stage(
        project.output(name), stage, project.model(stage), trained, rows, sheets.frames, sheets.labels
    )
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
