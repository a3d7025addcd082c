"""Training on a machine that has NumPy, SciPy, Keras and its backend, and nothing else.

`gan3d pack DIR` writes all that such a machine needs; there, with gan3d's `src` on the path,

    KERAS_BACKEND=jax python -m gan3d.training.away DIR --seconds 600

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

from gan3d import snapshot
from gan3d.dataset import ANY, VoxelDataset
from gan3d.errors import UserError
from gan3d.networks.architecture import Architecture
from gan3d.snapshot import Snapshot
from gan3d.training.identity import identity
from gan3d.training.loop import Rhythm, Row, Silent, grow, train
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
class Leg:
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


def write(path: Path, legs: list[Leg], rhythm: Rhythm, backend: str) -> None:
    """Stages in the order of training, how often to save, and the backend that the project trains on, as JSON."""
    tree = {"backend": backend, "rhythm": asdict(rhythm), "stages": [asdict(leg) for leg in legs]}
    path.write_text(json.dumps(tree, indent=1) + "\n")


def read(path: Path) -> tuple[list[Leg], Rhythm]:
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
    return [_leg(**fields) for fields in tree["stages"]], Rhythm(**tree["rhythm"])


def _leg(stage: str, prev: str | None, architecture: dict, recipe: dict[str, Any], seed: int) -> Leg:
    recipe = recipe | {"gate": tuple(recipe["gate"])}
    return Leg(stage, prev, Architecture.from_json(architecture), Recipe(**recipe), seed)


def run(folder: Path, enough: Callable[[], bool], say: Callable[[str], None] = print) -> list[str]:
    """Train the stages of a packed folder, each from its newest checkpoint, until `enough`; returns those that ended.

    Each stage leaves a model in `folder/models`, also one that has not ended, to look at.

    Raises:
        UserError: when the folder is none of `gan3d pack`.
    """
    legs, rhythm = read(folder / "stages.json")
    data, ended = VoxelDataset(folder / "data", legs[0].architecture.classes != (ANY,)), []
    grown: dict[str, Snapshot] = {}
    for leg in legs:
        if leg.prev is not None and leg.prev not in grown:
            grown[leg.prev] = snapshot.load(folder / "models" / leg.prev)
        start = grow(None if leg.prev is None else grown[leg.prev], leg.architecture, leg.seed)
        checkpoints = folder / "checkpoints" / leg.stage / identity(data, start[2], leg.recipe)
        observer = Lines(leg, say)
        trained, rows = train(data, start, leg.recipe, checkpoints, rhythm, observer, enough=enough)
        grown[leg.stage] = replace(trained, up=data.up)
        snapshot.save(folder / "models" / leg.stage, grown[leg.stage])
        if rows[-1]["images"] < leg.recipe.images:
            break
        ended.append(leg.stage)
    return ended


class Lines(Silent):
    """Says a line for each logged row."""

    def __init__(self, leg: Leg, say: Callable[[str], None]):
        self.leg, self.say = leg, say

    def started(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        self.say(f"{self.leg.stage}: {images:,} of {self.leg.recipe.images:,} images seen")
        return record

    def logged(self, row: Row) -> None:
        values = " ".join(f"{name} {row[name]:.4g}" for name in SHOWN if name in row)
        self.say(f"{self.leg.stage} {row['images']:9,.0f} {values}")

    def warned(self, images: int, message: str) -> None:
        self.say(f"{self.leg.stage} {images:9,} warning: {message}")


def main() -> None:
    """The command line of the other machine."""
    parser = argparse.ArgumentParser(
        prog="python -m gan3d.training.away", description="Train what `gan3d pack` packed."
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
