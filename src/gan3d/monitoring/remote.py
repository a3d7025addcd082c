"""Training on a machine that has NumPy, SciPy, Keras and its backend, and nothing else.

`gan3d pack DIR` writes all that such a machine needs; there, with gan3d's `src` on the path,

    KERAS_BACKEND=jax python -m gan3d.monitoring.remote DIR --seconds 600

goes on with the stages of a project with `train.backend: jax`, from checkpoint to checkpoint. What it leaves in
DIR/checkpoints, copied back into the repository's `checkpoints`, is what `dvc repro` takes the stages up from there, to
the same weights.

    DIR/stages.json        what is to be trained: architecture, recipe and seed of each stage, and what it grows from
    DIR/data/              the prepared data set, as far up as the stages need it
    DIR/models/            the model that the first of them grows from
    DIR/checkpoints/       <stage>/<identity>/, as in the repository
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from gan3d import model_file
from gan3d.dataset import UNCONDITIONAL, VoxelDataset
from gan3d.errors import UserError
from gan3d.model_file import TrainedModel
from gan3d.monitoring.monitor import TrainingMonitor
from gan3d.networks.architecture import Architecture
from gan3d.training.callback import Callback, Row
from gan3d.training.fingerprint import training_fingerprint
from gan3d.training.growth import grow
from gan3d.training.loop import LoggingSchedule, train
from gan3d.training.recipe import Recipe

SHOWN = (  # of a logged row
    "alpha",
    "loss_d",
    "loss_g",
    "penalty",
    "accuracy_real",
    "augment",
    "overfitting/r_v",
    "images_per_second",
)


@dataclass(frozen=True)
class StageSpec:
    """One stage of the way.

    Attributes:
        stage: its name, as r16.
        prev: the stage that it grows from, None where it grows from nothing.
        seed: of the first weights.
    """

    stage: str
    prev: str | None
    architecture: Architecture
    recipe: Recipe
    seed: int


def write(path: Path, specs: list[StageSpec], schedule: LoggingSchedule, backend: str) -> None:
    """Stages in the order of training, how often to save, and the backend that the project trains on, as JSON."""
    tree = {"backend": backend, "schedule": asdict(schedule), "stages": [asdict(spec) for spec in specs]}
    path.write_text(json.dumps(tree, indent=1) + "\n")


def read(path: Path) -> tuple[list[StageSpec], LoggingSchedule]:
    """Undo `write`.

    Raises:
        UserError: when there is no such file, or Keras runs on another backend than the project, which would take up
            no checkpoint of this one.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: make the folder with `gan3d pack`.")
    tree = json.loads(path.read_text())
    if tree["backend"] != keras.backend.backend():
        raise UserError(
            f"{path} is of a project with train.backend {tree['backend']}, and Keras runs on {keras.backend.backend()}:"
            f" set KERAS_BACKEND={tree['backend']} here, or change train.backend there and pack again."
        )
    return [_stage_spec(**fields) for fields in tree["stages"]], LoggingSchedule(**tree["schedule"])


def _stage_spec(stage: str, prev: str | None, architecture: dict, recipe: dict[str, Any], seed: int) -> StageSpec:
    recipe = recipe | {"gate": tuple(recipe["gate"])}
    return StageSpec(stage, prev, Architecture.from_json(architecture), Recipe(**recipe), seed)


def run(folder: Path, should_stop: Callable[[], bool], say: Callable[[str], None] = print) -> list[str]:
    """Train the stages of a packed folder, each from its newest checkpoint, until `should_stop`; returns those that ended.

    Each stage leaves a model in `folder/models`, also one that has not ended, to look at.

    Raises:
        UserError: when the folder is none of `gan3d pack`.
    """
    specs, schedule = read(folder / "stages.json")
    data, ended = VoxelDataset(folder / "data", specs[0].architecture.classes != (UNCONDITIONAL,)), []
    grown: dict[str, TrainedModel] = {}
    for spec in specs:
        if spec.prev is not None and spec.prev not in grown:
            grown[spec.prev] = model_file.load(folder / "models" / spec.prev)
        start = grow(None if spec.prev is None else grown[spec.prev], spec.architecture, spec.seed)
        checkpoints = folder / "checkpoints" / spec.stage / training_fingerprint(data, start[2], spec.recipe)
        trained, rows = train(
            data,
            start,
            spec.recipe,
            checkpoints,
            schedule,
            ConsoleLogger(spec, say),
            TrainingMonitor(data, start, schedule.samples_per_class),
            should_stop=should_stop,
        )
        grown[spec.stage] = replace(trained, up=data.up)
        model_file.save(folder / "models" / spec.stage, grown[spec.stage])
        if rows[-1]["images"] < spec.recipe.images:
            break
        ended.append(spec.stage)
    return ended


class ConsoleLogger(Callback):
    """Says a line for each logged row."""

    def __init__(self, spec: StageSpec, say: Callable[[str], None]):
        self.spec, self.say = spec, say

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        self.say(f"{self.spec.stage}: {images:,} of {self.spec.recipe.images:,} images seen")
        return record

    def on_log(self, row: Row) -> None:
        values = " ".join(f"{name} {row[name]:.4g}" for name in SHOWN if name in row)
        self.say(f"{self.spec.stage} {row['images']:9,.0f} {values}")

    def on_warning(self, images: int, message: str) -> None:
        self.say(f"{self.spec.stage} {images:9,} warning: {message}")


def main() -> None:
    """The command line of the other machine."""
    parser = argparse.ArgumentParser(
        prog="python -m gan3d.monitoring.remote", description="Train what `gan3d pack` packed."
    )
    parser.add_argument("folder", type=Path, help="written by `gan3d pack`")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after these, with a checkpoint")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds

    def say(line: str) -> None:
        print(line, flush=True)

    try:
        if os.environ.get("JAX_COORDINATOR_ADDRESS"):
            raise UserError("training away takes one process, and all its GPUs: unset JAX_COORDINATOR_ADDRESS.")
        ended = run(arguments.folder, lambda: time.monotonic() >= end, say)
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    say(f"ended: {', '.join(ended) or 'none'}; copy {arguments.folder / 'checkpoints'} back, or go on.")


if __name__ == "__main__":
    main()
