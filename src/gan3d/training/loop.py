"""Train one resolution: the loop around the step, counted in images, resumed where it was killed."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.backend import compile_steps, fits, from_first, rank
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.model_file import TrainedModel
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.training import batches, checkpoint
from gan3d.training.callback import Callback, Monitor, Row, Samples, TrainingView
from gan3d.training.checkpoint import checkpoint_state
from gan3d.training.interruption import Interruption
from gan3d.training.recipe import Recipe
from gan3d.training.step import State, first_state, make_step

HELD_OUT = 512  # validation shapes kept on the device: 16 MiB at 64³

Validate = Callable[[TrainingView], Row]


class DivergedError(UserError):
    """The losses are no longer finite. Training stops, so that the last good checkpoint is kept."""


@dataclass(frozen=True)
class LoggingSchedule:
    """How often to log, sample and save, in images, rounded to whole chunks of steps; it does not change the result."""

    metrics_every: int = 500
    samples_every: int = 4000
    checkpoint_every: int = 4000
    samples_per_class: int = 8
    keep: int = 2  # checkpoints, beside the best


def train(
    data: VoxelDataset,
    start: tuple[Generator, Discriminator, TrainedModel],
    recipe: Recipe,
    folder: Path,
    schedule: LoggingSchedule = LoggingSchedule(),
    callback: Callback | None = None,
    monitor: Monitor | None = None,
    validate: Validate | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[TrainedModel, list[Row]]:
    """Train a stage to its end, from the newest checkpoint in `folder` if there is one.

    Args:
        data: the prepared data set; its split "train" is used.
        start: networks and first weights, of `gan3d.training.growth.grow`.
        recipe: what determines the result.
        folder: for checkpoints; the caller names it after the result of `training_fingerprint`.
        schedule: how often to log, sample and save.
        callback: told about rows, samples and warnings.
        monitor: draws the samples and computes the diagnostics that join the logged row.
        validate: scores the model whenever a checkpoint is due. What it returns joins the logged row; the checkpoint
            of the lowest `validation/score` is kept. If it raises, training ends without that checkpoint.
        should_stop: asked after each chunk of steps; if true, the training stops there, with a checkpoint.

    Returns:
        The trained model and the logged rows. The last checkpoint stays, so that a longer training can resume from it.

    Raises:
        DivergedError: when the losses are no longer finite.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after a checkpoint of the chunk of steps that was running.
    """
    with Interruption() as interruption:
        trained = _train(
            data, start, recipe, folder, schedule, callback or Callback(), monitor, validate, should_stop, interruption
        )
    if interruption.requested:  # after the last chunk
        raise KeyboardInterrupt
    return trained


def _train(
    data: VoxelDataset,
    start: tuple[Generator, Discriminator, TrainedModel],
    recipe: Recipe,
    folder: Path,
    schedule: LoggingSchedule,
    callback: Callback,
    monitor: Monitor | None,
    validate: Validate | None,
    should_stop: Callable[[], bool],
    interruption: Interruption,
) -> tuple[TrainedModel, list[Row]]:
    """Do what `train` does; `interruption` is asked after each chunk of steps."""
    generator, discriminator, first = start
    architecture = first.architecture
    rows = data.select("train")
    packed, labels, mirrored = (
        data.packed(architecture.resolution),
        data.labels[rows],
        data.mirrored(recipe.mirror)[rows],
    )
    resident = fits(packed[:1].nbytes * len(rows))
    held_out = held_out_rows(data) if recipe.adapted is not None else rows[:0]
    held_bits, held_labels = (np.asarray(packed[held_out]), data.labels[held_out]) if len(held_out) else (None, None)
    step = make_step(generator, discriminator, recipe, held_bits)
    run = compile_steps(step, recipe.penalty_every, np.asarray(packed[rows]) if resident else None)
    # the steps between two logged rows, in whole cycles of the lazy penalty
    chunk = recipe.penalty_every * max(1, round(schedule.metrics_every / recipe.batch / recipe.penalty_every))
    state = first_state(generator, discriminator, recipe.adapted)
    state["ema"] = list(first.ema.values())
    seen, state, saved = resume(folder, state, recipe, callback)
    history = saved["rows"]
    callback_record = callback.on_train_begin(seen, list(history), saved["callback"])
    writes = rank() == 0
    if seen >= recipe.images and writes and monitor is not None:  # finished before, perhaps on another machine
        drawn = monitor.sample(state, batches.alpha(seen, recipe))
        callback.on_samples(seen, *drawn)
        if validate is not None:
            validate(TrainingView(seen, history[-1], drawn, partial(trained_model, state, first)))

    def draw(images: int, steps: int) -> Any:
        source = None if resident else packed
        return run.send(
            batches.draw(source, rows, labels, mirrored, architecture.latent, images, steps, recipe, held_labels)
        )

    before = time.perf_counter()
    for images, batch in prefetch(draw, seen, chunk, recipe):
        state, logs = run(state, batch)
        row = summarise(logs, recipe.penalty_every) | {"images": images, "alpha": batches.alpha(images, recipe)}
        row["images_per_second"] = (images - seen) / (time.perf_counter() - before)
        done, stops = images >= recipe.images, should_stop()
        finite = np.isfinite(list(row.values())).all()
        samples: Samples | None = None
        if finite and writes and monitor is not None and (passed(images, seen, schedule.samples_every) or done):
            samples = monitor.sample(state, row["alpha"])
            row |= monitor.diagnose(state, row["alpha"], *samples)
        saves = writes and (passed(images, seen, schedule.checkpoint_every) or done or stops)
        if finite and saves and validate is not None:
            row |= validate(TrainingView(images, row, samples, partial(trained_model, state, first)))
        history.append(row)
        callback.on_log(row)
        if not finite:
            message = f"losses are not finite after {images} images: lower lr_g and lr_d, or raise gamma."
            callback.on_warning(images, message)
            raise DivergedError(message)
        if samples is not None and monitor is not None:
            callback.on_samples(images, *samples)
            for message in monitor.advise(row, history[:-1]):
                callback.on_warning(images, message)
        interrupted = interruption.requested
        if saves or (writes and interrupted):
            record = {"rows": history, "callback": callback_record}
            checkpoint.save(folder, images, checkpoint_state(state, recipe), record, schedule.keep, best(history))
        if interrupted:
            raise KeyboardInterrupt
        if stops:
            break
        seen, before = images, time.perf_counter()
    return trained_model(state, first), history


def held_out_rows(data: VoxelDataset) -> np.ndarray:
    """Rows of the validation split that steer the augmentation: all of them, or HELD_OUT evenly spaced ones."""
    rows = data.select("validation")
    return rows[np.linspace(0, len(rows) - 1, min(HELD_OUT, len(rows))).astype(int)]


def resume(folder: Path, state: State, recipe: Recipe, callback: Callback) -> tuple[int, State, dict[str, Any]]:
    """Images seen, state and record of the first process's newest checkpoint, or of the start."""
    end = whole_cycles(recipe.images, recipe) * recipe.batch
    found = checkpoint.load(folder, checkpoint_state(state, recipe), end) if rank() == 0 else None
    images = 0
    saved: dict[str, Any] = {"rows": [], "callback": {}}
    if found is None and rank() == 0:
        for path in checkpoint.damaged(folder, end):
            callback.on_warning(
                0, f"{path} is damaged, and no other checkpoint is left: the training starts from zero."
            )
    if found:
        images, loaded, saved, damaged = found
        state = {name: state[name] | part if isinstance(part, dict) else part for name, part in loaded.items()}
        for message in damaged:
            callback.on_warning(images, message)
    images, state = from_first((np.int64(images), state))
    return int(images), state, saved


def best(history: list[Row]) -> int | None:
    """Images after which the validation score was lowest; None without any score."""
    scored = [row for row in history if "validation/score" in row]
    return int(min(scored, key=lambda row: row["validation/score"])["images"]) if scored else None


def prefetch(draw: Callable[[int, int], Any], images: int, longest: int, recipe: Recipe) -> Iterator[tuple[int, Any]]:
    """Chunks of steps from `images` to the recipe's end: images seen after each, and its batches.

    A thread draws the next chunk's batches while the device runs this one's.
    """

    def draw_chunk(start: int) -> tuple[int, Any]:
        steps = min(longest, whole_cycles(recipe.images - start, recipe))
        return start + steps * recipe.batch, draw(start, steps)

    with ThreadPoolExecutor(1, "batches") as pool:
        following = None
        while images < recipe.images:
            images, batch = following.result() if following else draw_chunk(images)
            if images < recipe.images:
                following = pool.submit(draw_chunk, images)
            yield images, batch


def whole_cycles(images: int, recipe: Recipe) -> int:
    """Steps for at least `images` images, in whole cycles of the lazy penalty."""
    return -(-images // (recipe.batch * recipe.penalty_every)) * recipe.penalty_every


def passed(images: int, before: int, every: int) -> bool:
    """Whether a multiple of `every` lies in (before, images]."""
    return images // every > before // every


def summarise(logs: dict[str, np.ndarray], penalty_every: int) -> Row:
    """Means over a chunk of steps; the penalty's over the penalised steps alone."""
    values = {name: np.asarray(logged, np.float64) for name, logged in logs.items()}
    return {name: float(v[::penalty_every].mean() if name == "penalty" else v.mean()) for name, v in values.items()}


def trained_model(state: State, start: TrainedModel) -> TrainedModel:
    """The state's weights by name."""

    def named(like: dict[str, np.ndarray], values: list) -> dict[str, np.ndarray]:
        return dict(zip(like, (np.asarray(value) for value in values), strict=True))

    return replace(
        start,
        ema=named(start.ema, state["ema"]),
        generator=named(start.generator, state["generator"]),
        discriminator=named(start.discriminator, state["discriminator"]),
    )
