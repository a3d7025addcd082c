"""Stage `train@rNN`: one resolution, watched by MLflow, a progress bar and a folder of pictures."""

import csv
import json
import shutil
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow.data
import numpy as np

from gan3d import snapshot
from gan3d.backend import from_first, rank
from gan3d.dataset import VoxelDataset, key
from gan3d.drawing.curves import training_curves
from gan3d.drawing.page import write_page
from gan3d.errors import UserError
from gan3d.evaluation.judge import Judge
from gan3d.networks import growth
from gan3d.networks.architecture import Architecture
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.params import SCRATCH, Params, resolution
from gan3d.project import Project
from gan3d.sampling import Sampler
from gan3d.snapshot import Snapshot
from gan3d.tracking.facts import cause
from gan3d.tracking.observers import Pictures, Together, TrainingBar
from gan3d.tracking.recorder import Recorder
from gan3d.tracking.store import connect
from gan3d.training import calibrate, plan
from gan3d.training.identity import identity
from gan3d.training.loop import Rhythm, Row, grow, train

SEED = 7  # of the shapes that are scored during training


def run(params: Params, stage: str, project: Project, dry_run: bool = False) -> None:
    """Train a stage and write its model, its run file, its curves and its pictures.

    Args:
        dry_run: stop after the plan has been printed.

    Raises:
        UserError: for a stage that does not exist, or when what it grows from is missing.
    """
    recipe = params.recipe(stage)
    previous = params.train.stages[stage].prev
    data = VoxelDataset(project.voxels, params.gan.conditional)
    _enough(data, project.voxels)
    parent = None if previous == SCRATCH else snapshot.load(project.model(previous))
    start = begun(params, stage, data, parent)
    rate = plan.measured_rate(start[0].architecture.widths[-1], start[0].architecture.resolution)
    costs = plan.estimate(start[0], start[1], recipe, rate)
    settings = {"stage": stage, "prev": previous, **_plain(recipe), **_plain(start[0].architecture)}
    print(textwrap.fill(json.dumps(settings, ensure_ascii=False), 110))
    print(f"{stage}: {costs}", flush=True)
    if dry_run:
        return
    fingerprint = data.fingerprint("train", start[0].architecture.resolution)
    name = identity(data, start[2], recipe)
    folder = project.checkpoints / stage / name
    if rank() > 0:  # the first process writes for all
        train(data, start, recipe, folder, rhythm(params))
        together()
        return
    tags = cause(project.work) | {"stage": stage, "name": params.name, "inputs": name, "data": fingerprint}
    if previous != SCRATCH and project.run_file(previous).is_file():
        tags["grown.from"] = json.loads(project.run_file(previous).read_text(encoding="utf-8"))["run_id"]
    recorder = Recorder(
        connect(project.mlruns),
        f"{params.name} {stage}",
        settings | {"parameters_g": costs.parameters_g, "parameters_d": costs.parameters_d},
        tags,
        data.classes,
        data.up,
        dataset_input(data, start[0].architecture.resolution, fingerprint),
        mlruns=project.mlruns,
    )
    pictures = Pictures(project.output(params.name) / "vis" / stage, data.classes, data.up)
    progress = TrainingBar(stage, recipe.images)
    with ending(recorder, progress):
        watching = Together(progress, recorder, pictures)
        trained, rows = train(data, start, recipe, folder, rhythm(params), watching, validation(params, data, start[2]))
        trained = replace(trained, up=data.up, threshold=threshold(params, trained, data))
        snapshot.save(project.model(stage), trained)
        files = write_outputs(params, stage, project, trained, rows, pictures)
        recorder.finished(files)
    run_file = project.run_file(stage)
    run_file.parent.mkdir(parents=True, exist_ok=True)
    record = {"run_id": recorder.run_id, "inputs": name, "images": rows[-1]["images"]}
    run_file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    together()


def begun(
    params: Params, stage: str, data: VoxelDataset, parent: Snapshot | None
) -> tuple[Generator, Discriminator, Snapshot]:
    """Networks and first weights of a stage; a threshold that is a number counts from the first picture on."""
    generator, discriminator, first = grow(parent, architecture(params, stage, data), params.seed)
    if params.gan.threshold != "calibrated":
        first = replace(first, threshold=params.gan.threshold)
    return generator, discriminator, first


def together() -> None:
    """Let the other processes wait until the first has written what the next stage grows from."""
    from_first(np.int64(0))


def rhythm(params: Params) -> Rhythm:
    """How often the loop speaks, as `track` says."""
    track = params.track
    return Rhythm(track.log, track.picture, track.checkpoint, track.pictured)


def validation(params: Params, data: VoxelDataset, start: Snapshot) -> Callable[[Snapshot], float] | None:
    """Mean 1-NNA-CD over classes of a model's shapes against the validation split; None where that is too small."""
    try:
        judge = Judge(data, start.architecture.resolution, params.evaluate.count)
    except UserError:
        return None
    sampler = Sampler(start)

    def score(model: Snapshot) -> float:
        growth.set_weights(sampler.generator, model.average)
        labels = range(len(data.classes))
        shapes = np.concatenate([sampler.shapes(label, judge.count, seed=SEED) for label in labels])
        found = judge.scores(shapes, np.repeat(labels, judge.count))["one_nna_cd"]
        return 1.0 if found is None else found

    return score


def threshold(params: Params, trained: Snapshot, data: VoxelDataset) -> float:
    """The threshold that a trained model is used with, as `gan.threshold` says."""
    if params.gan.threshold == "calibrated":
        return calibrate.threshold(Sampler(trained), data)
    return params.gan.threshold


def architecture(params: Params, stage: str, data: VoxelDataset) -> Architecture:
    """Networks of a stage for a data set.

    Raises:
        UserError: when the data set stops below the stage's resolution.
    """
    widths = params.widths(stage)
    data.packed(resolution(stage))  # or UserError, where the data set was prepared at a lower one
    occupancy = [data.summary["occupancy"][key(4 * 2**i)] for i in range(len(widths))]
    return Architecture(
        params.gan.latent, tuple(data.classes), widths, tuple(occupancy), precision=params.train.precision
    )


def dataset_input(data: VoxelDataset, at: int, fingerprint: str) -> Any:
    """The training split as MLflow shows it with a run: shape, type and digest, for which no grid is read."""
    rows = data.select("train")
    packed = np.broadcast_to(np.zeros(1, np.uint8), (len(rows), at**3 // 8))
    names = "+".join(data.classes)
    name = f"{names if len(names) < 100 else f'{len(data.classes)} classes'} at {at}³"  # MLflow takes 500 characters
    with warnings.catch_warnings():  # MLflow has two kinds of local source and warns that it took one
        warnings.simplefilter("ignore")
        return mlflow.data.from_numpy(
            packed, source=str(data.folder), targets=data.labels[rows], name=name, digest=fingerprint
        )


def write_outputs(
    params: Params, stage: str, project: Project, trained: Snapshot, rows: list[Row], pictures: Pictures
) -> dict[str, Path]:
    """Curves, plots, the page and the snapshot in `output/<name>`; returns what MLflow shall keep, by folder."""
    output = project.output(params.name)
    checkups = [row for row in rows if any("/" in name for name in row)]
    write_rows(project.curves(stage), [name for name in rows[-1] if "/" not in name], rows)
    write_rows(project.health(stage), [name for name in rows[-1] if "/" in name], checkups)
    plots = output / "loss" / stage
    training_curves(rows, plots, f"{params.name} at {resolution(stage)}³")
    images, shapes = pictures.frames[-1]
    page = write_page(
        output / "vis" / stage / "shapes.html",
        shapes,
        [trained.architecture.classes[label] for label in pictures.labels],
        f"{params.name} at {resolution(stage)}³",
        note=f"After {images:,} images.",
        up=trained.up,
        frames=pictures.frames[:-1],
    )
    model = output / "model" / stage
    shutil.copytree(project.model(stage), model, dirs_exist_ok=True)
    trained.build_generator().save(model / "generator.keras")
    return {"plots": plots, "": page, "model": project.model(stage)}


def write_rows(path: Path, columns: list[str], rows: list[Row]) -> None:
    """A CSV of these columns, after the images seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as out:
        names = list(dict.fromkeys(["images", *columns]))
        writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def ending(recorder: Recorder, progress: TrainingBar) -> Iterator[None]:
    """Close the run as it truly ended."""
    try:
        yield
    except KeyboardInterrupt:
        recorder.failed(killed=True)
        raise
    except BaseException:
        recorder.failed(killed=False)
        raise
    finally:
        progress.close()


def _enough(data: VoxelDataset, folder: Path) -> None:
    for name in data.classes:
        if len(data.select("train", name)) == 0:
            raise UserError(
                f"{folder} has no training shape of class {name!r}: add some, or leave it out of data.classes."
            )


def _plain(settings: Any) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}
