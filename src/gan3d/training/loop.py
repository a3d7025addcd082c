"""Train one resolution: the loop around the step, counted in images, continued where it was killed."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gan3d.backend import compile_steps, fits, from_first, rank
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.networks import growth
from gan3d.networks.architecture import Architecture
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.sampling import Sampler, latents
from gan3d.snapshot import Snapshot
from gan3d.training import batches, checkpoint, health
from gan3d.training.checkup import Checkup
from gan3d.training.recipe import Recipe
from gan3d.training.step import State, first_state, make_step

Row = dict[str, float]

HELD = 512  # validation shapes that a device keeps: 16 MiB at 64³


class Observer(Protocol):
    """What watches a training: trackers, progress bars, pictures. Nothing it does changes the result."""

    def started(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        """Training begins or continues at `images` with the rows and the observer's record of the checkpoint.

        Returns what the next checkpoint shall remember for the observer.
        """

    def logged(self, row: Row) -> None:
        """Means over the last steps, with `images` seen; where there are pictures, also what a checkup finds."""

    def pictured(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        """Shapes of the fixed latents, booleans (n, R, R, R), drawn by the averaged generator."""

    def warned(self, images: int, message: str) -> None:
        """Something has gone wrong; the message says what to change."""


class Silent:
    """An observer that does nothing."""

    def started(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        return record

    def logged(self, row: Row) -> None: ...

    def pictured(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None: ...

    def warned(self, images: int, message: str) -> None: ...


@dataclass(frozen=True)
class Rhythm:
    """How often, in images, the loop speaks, rounded to whole turns of `log`; it does not change the result."""

    log: int = 500
    picture: int = 4000
    checkpoint: int = 4000
    pictured: int = 8  # shapes a class
    keep: int = 2  # checkpoints, beside the best


def train(
    data: VoxelDataset,
    start: tuple[Generator, Discriminator, Snapshot],
    recipe: Recipe,
    folder: Path,
    rhythm: Rhythm = Rhythm(),
    observer: Observer | None = None,
    judge: Callable[[Snapshot], float] | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> tuple[Snapshot, list[Row]]:
    """Train a stage to its end, from the newest checkpoint in `folder` when there is one, which may be the end's.

    Args:
        data: the prepared data set; its split "train" is used.
        start: networks and first weights, of `grow`.
        recipe: what determines the result.
        folder: for checkpoints; the caller names it after everything but the number of images.
        rhythm: how often to log, picture and save.
        observer: what watches.
        judge: scores a model on shapes that are not trained on, the lower the better: the checkpoint of the best
            score is kept beside the last ones (see `best`).
        enough: asked after each turn; where it says so, the training stops there, with a checkpoint, and without
            pictures that one which goes on would not have.

    Returns:
        The trained snapshot and the logged rows. The last checkpoint stays, so that more images continue from it.

    Raises:
        DivergedError: when the losses are not finite any more.
    """
    observer = observer or Silent()
    generator, discriminator, first = start
    architecture = first.architecture
    rows = data.select("train")
    packed, labels, mirrored = (
        data.packed(architecture.resolution),
        data.labels[rows],
        data.mirrored(recipe.mirror)[rows],
    )
    resident = fits(packed[:1].nbytes * len(rows))
    held = held_out(data) if recipe.adapted is not None else rows[:0]
    bits, held_labels = (np.asarray(packed[held]), data.labels[held]) if len(held) else (None, None)
    step = make_step(generator, discriminator, recipe, bits)
    run = compile_steps(step, recipe.penalty_every, np.asarray(packed[rows]) if resident else None)
    # a turn is what runs between two looks at the logs: whole cycles of the lazy penalty
    turn = recipe.penalty_every * max(1, round(rhythm.log / recipe.batch / recipe.penalty_every))
    state = first_state(generator, discriminator, recipe.adapted)
    state["average"] = list(first.average.values())
    seen, state, saved = resume(folder, state, recipe, observer)
    history, record = saved["rows"], observer.started(seen, list(saved["rows"]), saved["observer"])
    gallery, writes = Gallery(first, rhythm.pictured), rank() == 0
    checkup = Checkup(data, (generator, discriminator), gallery.sampler) if writes else None
    if seen >= recipe.images and writes:  # trained to the end before, perhaps on another machine
        observer.pictured(seen, gallery.draw(state["average"], batches.alpha(seen, recipe)), gallery.labels)

    def draw(images: int, steps: int) -> Any:
        source = None if resident else packed
        return run.send(
            batches.draw(source, rows, labels, mirrored, architecture.latent, images, steps, recipe, held_labels)
        )

    before = time.perf_counter()
    for images, drawn in turns(draw, seen, turn, recipe):
        state, logs = run(state, drawn)
        row = summarise(logs, recipe.penalty_every) | {"images": images, "alpha": batches.alpha(images, recipe)}
        row["images_per_second"] = (images - seen) / (time.perf_counter() - before)
        ended, stops = images >= recipe.images, enough()
        pictures = writes and (passed(images, seen, rhythm.picture) or ended)
        saves = writes and (passed(images, seen, rhythm.checkpoint) or ended or stops)
        finite = np.isfinite(list(row.values())).all()
        if finite and pictures and checkup is not None:
            shapes = gallery.draw(state["average"], row["alpha"])
            row |= checkup.examine(state, row["alpha"], shapes, gallery.labels)
        if finite and saves and judge is not None and row["alpha"] == 1:
            row["validation/score"] = judge(snapshot_of(state, first))
        history.append(row)
        observer.logged(row)
        if not finite:
            message = f"losses are not finite after {images} images: lower lr_g and lr_d, or raise gamma."
            observer.warned(images, message)
            raise health.DivergedError(message)
        if pictures:
            observer.pictured(images, shapes, gallery.labels)
            for message in health.warnings(row, history[:-1]):
                observer.warned(images, message)
        if saves:
            everything = {"rows": history, "observer": record}
            checkpoint.save(folder, images, saved_of(state, recipe), everything, rhythm.keep, best(history))
        if stops:
            break
        seen, before = images, time.perf_counter()
    return snapshot_of(state, first), history


def held_out(data: VoxelDataset) -> np.ndarray:
    """Rows of the validation split that steer the augmentation: all of them, or HELD that are evenly spaced."""
    rows = data.select("validation")
    return rows[np.linspace(0, len(rows) - 1, min(HELD, len(rows))).astype(int)]


def resume(folder: Path, state: State, recipe: Recipe, observer: Observer) -> tuple[int, State, dict[str, Any]]:
    """Images seen, state and record of the newest checkpoint that the first process has, or of the beginning."""
    end = whole(recipe.images, recipe) * recipe.batch
    found = checkpoint.load(folder, saved_of(state, recipe), end) if rank() == 0 else None
    images = 0
    saved: dict[str, Any] = {"rows": [], "observer": {}}
    if found:
        images, loaded, saved, damaged = found
        state = {name: state[name] | part if isinstance(part, dict) else part for name, part in loaded.items()}
        for message in damaged:
            observer.warned(images, message)
    images, state = from_first((np.int64(images), state))
    return int(images), state, saved


def saved_of(state: State, recipe: Recipe) -> State:
    """What of a state a checkpoint needs: where β₁ is 0, no first moments, which are a third of what D takes."""
    if recipe.beta_1:
        return state
    lighter = {name: {key: state[name][key] for key in ("v", "t")} for name in ("adam_g", "adam_d")}
    return state | lighter


def best(history: list[Row]) -> int | None:
    """Images after which the validation score was lowest; None where there is none."""
    judged = [row for row in history if "validation/score" in row]
    return int(min(judged, key=lambda row: row["validation/score"])["images"]) if judged else None


def turns(draw: Callable[[int, int], Any], images: int, longest: int, recipe: Recipe) -> Iterator[tuple[int, Any]]:
    """The turns from `images` on to the recipe's end: images seen after each, and its batches, `draw(images, steps)`.

    A thread draws those of the next turn while the device is at this one's.
    """

    def one(start: int) -> tuple[int, Any]:
        steps = min(longest, whole(recipe.images - start, recipe))
        return start + steps * recipe.batch, draw(start, steps)

    with ThreadPoolExecutor(1, "batches") as pool:
        following = None
        while images < recipe.images:
            images, drawn = following.result() if following else one(images)
            if images < recipe.images:
                following = pool.submit(one, images)
            yield images, drawn


def whole(images: int, recipe: Recipe) -> int:
    """Steps for at least so many images, in whole cycles of the lazy penalty."""
    return -(-images // (recipe.batch * recipe.penalty_every)) * recipe.penalty_every


def passed(images: int, before: int, every: int) -> bool:
    """Whether a multiple of `every` lies in (before, images]."""
    return images // every > before // every


def summarise(logs: dict[str, np.ndarray], penalty_every: int) -> Row:
    """Means over a turn; the penalty only over the steps that had one."""
    values = {name: np.asarray(logged, np.float64) for name, logged in logs.items()}
    return {name: float(v[::penalty_every].mean() if name == "penalty" else v.mean()) for name, v in values.items()}


class Gallery:
    """The same latents through all of training, so that pictures of different times and runs can be compared."""

    def __init__(self, start: Snapshot, count: int):
        self.sampler = Sampler(start)
        classes = len(start.architecture.classes)
        self.names = list(start.average)
        self.labels = np.repeat(np.arange(classes), count)
        self.latents = np.tile(latents(0, count, start.architecture.latent), (classes, 1))

    def draw(self, average: list, alpha: float) -> np.ndarray:
        """Shapes of the fixed latents for averaged weights, booleans (classes · count, R, R, R)."""
        growth.set_weights(self.sampler.generator, dict(zip(self.names, average, strict=True)))
        return self.sampler.binary(self.sampler.occupancy(self.latents, self.labels, alpha))


def grow(previous: Snapshot | None, architecture: Architecture, seed: int) -> tuple[Generator, Discriminator, Snapshot]:
    """Both networks at a resolution and the snapshot they start as; what the earlier one has is taken over.

    The average starts as the earlier average.

    Raises:
        UserError: when the earlier model has another latent size, other classes or other widths.
    """
    if previous is not None:
        check_growth(previous.architecture, architecture)
    generator, discriminator = Generator(architecture), Discriminator(architecture)
    for model in (generator, discriminator):
        growth.initialise(model, seed)
    average = growth.weights(generator)
    if previous is not None:
        growth.set_weights(generator, previous.generator)
        growth.set_weights(discriminator, previous.discriminator)
        average = growth.weights(generator) | {k: v for k, v in previous.average.items() if k in average}
    start = Snapshot(architecture, average, growth.weights(generator), growth.weights(discriminator))
    return generator, discriminator, start


def check_growth(previous: Architecture, architecture: Architecture) -> None:
    """Raise UserError when the weights of one architecture do not fit into the other."""
    for name in ("latent", "classes", "widths"):
        old, new = getattr(previous, name), getattr(architecture, name)
        if old != (new[: len(old)] if name == "widths" else new):
            raise UserError(
                f"the model of {previous.resolution}³ was trained with {name} {old}, but params.yaml now says {new}:"
                " train it again first, or change that back."
            )


def snapshot_of(state: State, start: Snapshot) -> Snapshot:
    """The state's weights by name."""

    def named(like: dict[str, np.ndarray], values: list) -> dict[str, np.ndarray]:
        return dict(zip(like, (np.asarray(value) for value in values), strict=True))

    return replace(
        start,
        average=named(start.average, state["average"]),
        generator=named(start.generator, state["generator"]),
        discriminator=named(start.discriminator, state["discriminator"]),
    )
