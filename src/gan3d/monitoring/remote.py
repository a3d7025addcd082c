"""Training on a machine that has NumPy, SciPy, Keras and its backend, and nothing else.

`gan3d pack DIR` writes everything that such a machine needs. There, with gan3d's `src` on the Python path, run

    KERAS_BACKEND=jax python -m gan3d.monitoring.remote DIR --seconds 600

as often as needed; each call resumes from the last checkpoint. Then copy DIR/checkpoints into the repository's
`checkpoints`: `dvc repro` resumes from them and ends with the same weights. The example is for `train.backend: jax`.

    DIR/stages.json        the stages to train: architecture, recipe, seed, and the stage each grows from
    DIR/data/              the prepared data set, at the resolutions of the stages
    DIR/models/            the model that the first stage grows from
    DIR/checkpoints/       <stage>/<fingerprint>/, as in the repository
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras

from gan3d import model_file
from gan3d.dataset import UNCONDITIONAL, VoxelDataset
from gan3d.errors import UserError
from gan3d.model_file import TrainedModel
from gan3d.monitoring.checkpoint_folder import checkpoint_folder
from gan3d.monitoring.monitor import TrainingMonitor
from gan3d.networks.architecture import Architecture
from gan3d.outputs import write_text
from gan3d.training.callback import Callback, Row
from gan3d.training.checkpoint import sole_writer
from gan3d.training.loop import LoggingSchedule, train
from gan3d.training.recipe import Recipe
from gan3d.training.stage import StageSpec, add_denoiser, build_stage

LOGGED = (  # of a row
    "alpha",
    "loss_d",
    "loss_g",
    "penalty",
    "accuracy_real",
    "augment",
    "overfitting/r_v",
    "images_per_second",
)


def write(path: Path, specs: list[StageSpec], schedule: LoggingSchedule, backend: str) -> None:
    """Write the stages in training order, the logging schedule and the project's backend as JSON."""
    tree = {"backend": backend, "schedule": asdict(schedule), "stages": [asdict(spec) for spec in specs]}
    write_text(path, json.dumps(tree, indent=1) + "\n")


def read(path: Path) -> tuple[list[StageSpec], LoggingSchedule]:
    """Read what `write` wrote.

    Raises:
        UserError: if the file is missing, or Keras runs on another backend than the project, whose checkpoints it
            cannot resume.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: create the folder with `gan3d pack`.")
    tree = json.loads(path.read_text())
    if tree["backend"] != keras.backend.backend():
        raise UserError(
            f"{path} has train.backend {tree['backend']}, but Keras runs on {keras.backend.backend()}:"
            f" set KERAS_BACKEND={tree['backend']} here, or change train.backend there and pack again."
        )
    return [_stage_spec(**fields) for fields in tree["stages"]], LoggingSchedule(**tree["schedule"])


def _stage_spec(architecture: dict[str, Any], recipe: dict[str, Any], **fields: Any) -> StageSpec:
    recipe = recipe | {"gate": tuple(recipe["gate"])}
    return StageSpec(architecture=Architecture.from_json(architecture), recipe=Recipe(**recipe), **fields)


def run(folder: Path, should_stop: Callable[[], bool], log: Callable[[str], None] = print) -> list[str]:
    """Train the stages of a packed folder from their newest checkpoints until `should_stop`; returns the finished ones.

    Each stage, also an unfinished one, leaves a model in `folder/models`.

    Raises:
        UserError: if the folder is not from `gan3d pack`.
    """
    specs, schedule = read(folder / "stages.json")
    data = VoxelDataset(folder / "data", specs[0].architecture.classes != (UNCONDITIONAL,))
    finished: list[str] = []
    models: dict[str, TrainedModel] = {}
    for spec in specs:
        if spec.prev is not None and spec.prev not in models:
            models[spec.prev] = model_file.load(folder / "models" / spec.prev)
        start = build_stage(spec, None if spec.prev is None else models[spec.prev])
        checkpoints = checkpoint_folder(folder / "checkpoints", spec.name, data, start, spec.recipe)
        with sole_writer(checkpoints, partial(log, f"{spec.name}: another process trains it; waiting.")):
            trained, rows = train(
                data,
                start,
                spec.recipe,
                checkpoints,
                schedule,
                ConsoleLogger(spec, log),
                TrainingMonitor(data, start, schedule.samples_per_class),
                should_stop=should_stop,
            )
            whole = rows[-1]["images"] >= spec.recipe.images
            if whole:
                trained = add_denoiser(spec, trained, data, checkpoints, partial(log_denoiser, spec.name, log))
        models[spec.name] = replace(trained, up=data.up)
        model_file.save(folder / "models" / spec.name, models[spec.name])
        if not whole:
            break
        finished.append(spec.name)
    return finished


def log_denoiser(stage: str, log: Callable[[str], None], images: int, loss: float) -> None:
    log(f"{stage} denoiser {images:9,} cross-entropy {loss:.4g}")


class ConsoleLogger(Callback):
    """Logs one line per row."""

    def __init__(self, spec: StageSpec, log: Callable[[str], None]):
        self.spec, self.log = spec, log

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        self.log(f"{self.spec.name}: {images:,} of {self.spec.recipe.images:,} images seen")
        return record

    def on_log(self, row: Row) -> None:
        values = " ".join(f"{name} {row[name]:.4g}" for name in LOGGED if name in row)
        self.log(f"{self.spec.name} {row['images']:9,.0f} {values}")

    def on_warning(self, images: int, message: str) -> None:
        self.log(f"{self.spec.name} {images:9,} warning: {message}")


def main() -> None:
    """Command line of the remote machine."""
    parser = argparse.ArgumentParser(
        prog="python -m gan3d.monitoring.remote", description="Train what `gan3d pack` packed."
    )
    parser.add_argument("folder", type=Path, help="written by `gan3d pack`")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time, with a checkpoint")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds

    def log(line: str) -> None:
        print(line, flush=True)

    try:
        if os.environ.get("JAX_COORDINATOR_ADDRESS"):
            raise UserError("remote training runs in one process, on all its GPUs: unset JAX_COORDINATOR_ADDRESS.")
        finished = run(arguments.folder, lambda: time.monotonic() >= end, log)
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    log(
        f"finished: {', '.join(finished) or 'none'}; copy {arguments.folder / 'checkpoints'} back, or run this again to"
        " continue."
    )


if __name__ == "__main__":
    main()
