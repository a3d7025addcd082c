"""A request for shapes: checked as a whole, then drawn.

The same request gives the same shapes, whatever is asked for beside it and wherever it is asked.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gan3d.errors import UserError
from gan3d.sampling.latents import draw_latents, slerp
from gan3d.sampling.sampler import Sampler

STEPS = 9  # of an interpolation that names none
SEEDS = 2**63  # seeds lie below; the largest integer that MLflow's `long` holds is one less


@dataclass(frozen=True)
class Request:
    """Shapes of one class: by seed, by explicit latents, or on the way from one seed to another.

    Attributes:
        class_name: may be None where the model has one class.
        count: how many; None stands for 1, or for all `vectors`.
        seed: None stands for 0.
        vectors: explicit latents, (count, latent) numbers, instead of a seed.
        to: seed at which an interpolation ends that begins at `seed`; it has `steps` shapes, ends included.
        steps: at least 2; None stands for STEPS.
    """

    class_name: str | None = None
    count: int | None = None
    seed: int | None = None
    vectors: Any = None
    to: int | None = None
    steps: int | None = None


@dataclass(frozen=True)
class Shapes:
    """What was drawn.

    Attributes:
        occupancy: float32 (n, R, R, R) in [0, 1].
        names: the class of each.
        classes: all that the model has.
        threshold: a voxel is occupied above it.
        up: the axis that points up.
    """

    occupancy: np.ndarray
    names: list[str]
    classes: tuple[str, ...]
    threshold: float
    up: str

    @property
    def voxels(self) -> np.ndarray:
        """Booleans (n, R, R, R)."""
        return self.occupancy > self.threshold


def draw(
    sampler: Sampler,
    requests: Sequence[Request],
    truncation: float | None = None,
    threshold: float | None = None,
    limit: int | None = None,
) -> Shapes:
    """The shapes of all requests, one after the other; everything is checked before the first is drawn.

    Args:
        truncation: 1 (or None) for the generator's whole variety, 0 for the mean shape of a class (`gan3d.sampling.sampler`).
        threshold: between 0 and 1; None stands for the model's own.
        limit: how many shapes may be asked for in all; None for any number.

    Raises:
        UserError: one sentence that says what is wrong with the request.
    """
    truncation = 1.0 if truncation is None else _share("truncation", truncation)
    threshold = sampler.model.threshold if threshold is None else _share("threshold", threshold)
    labels = [sampler.label(request.class_name) for request in requests]
    sizes = [_size(request) for request in requests]
    if limit is not None and sum(sizes) > limit:
        raise UserError(f"{sum(sizes)} shapes are too many for one request: ask for at most {limit}.")
    length = sampler.model.architecture.latent
    vectors = [_vectors(request, size, length) for request, size in zip(requests, sizes, strict=True)]
    drawn = sampler.occupancy(
        np.concatenate([np.zeros((0, length), np.float32), *vectors]), np.repeat(labels, sizes), truncation=truncation
    )
    names = [sampler.classes[label] for label, size in zip(labels, sizes, strict=True) for _ in range(size)]
    return Shapes(drawn, names, tuple(sampler.classes), threshold, sampler.model.up)


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:  # not a number is refused, too
        raise UserError(f"{name} {value:g} makes no sense: it lies between 0 and 1.")
    return float(value)


def _size(request: Request) -> int:
    """How many shapes are asked for, with all numbers of the request checked."""
    for name, seed in (("seed", request.seed), ("to", request.to)):
        if seed is not None and not 0 <= seed < SEEDS:
            raise UserError(f"{name} {_short(seed)} makes no sense: a seed lies between 0 and 2⁶³ - 1.")
    if request.count is not None and request.count < 1:
        raise UserError(f"count {_short(request.count)} makes no sense: ask for at least 1 shape.")
    if request.steps is not None and request.steps < 2:
        raise UserError(f"steps {_short(request.steps)} make no sense: a path has at least 2 shapes.")
    if request.steps is not None and request.to is None:
        raise UserError("steps are given without an end: name the seed of the last shape in `to`.")
    if request.vectors is not None:
        if request.seed is not None or request.to is not None:
            raise UserError("latents are given together with a seed: give either the one or the other.")
        if not len(request.vectors):
            raise UserError("latents hold no vector: give at least one, or a seed instead.")
        return _as_many(request, len(request.vectors), "latents")
    if request.to is not None:
        return _as_many(request, STEPS if request.steps is None else int(request.steps), "steps")
    return 1 if request.count is None else int(request.count)


def _as_many(request: Request, size: int, what: str) -> int:
    """The number of shapes that follows from something else, which a count may repeat but not contradict."""
    if request.count not in (None, size):
        raise UserError(f"count {_short(request.count)} contradicts the {size} {what}: leave count out.")
    return size


def _vectors(request: Request, size: int, length: int) -> np.ndarray:
    """The latents of a request that `_size` has checked, float32 (size, length)."""
    if request.vectors is not None:
        return _explicit(request.vectors, length)
    seed = request.seed or 0
    if request.to is not None:
        return slerp(draw_latents(seed, 1, length)[0], draw_latents(request.to, 1, length)[0], size)
    return draw_latents(seed, size, length)


def _explicit(vectors: Any, length: int) -> np.ndarray:
    wrong = sorted({len(vector) for vector in vectors} - {length})
    if wrong:
        raise UserError(f"a latent vector of {wrong[0]} numbers does not fit this model: give {length} numbers each.")
    given = np.array([list(vector) for vector in vectors], np.float64).reshape(-1, length)
    if not (np.abs(given) < 1e15).all():  # squares must stay finite in float32
        raise UserError("a latent vector holds a number that is not finite or huge: standard normal ones are usual.")
    return given.astype(np.float32)


def _short(number: Any) -> str:
    """A number for a sentence, which a stranger may have made very long."""
    return str(number) if math.log2(abs(number) + 1) < 80 else "of many digits"
