"""Requests for shapes: validated as a whole, then sampled.

A request gives the same shapes in every batch, on the command line, over HTTP and in MLflow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gan3d.errors import UserError
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.paths import PATHS, walk
from gan3d.sampling.sampler import Sampler

STEPS = 9  # default number of shapes of an interpolation
SEED_LIMIT = 2**63  # exclusive; MLflow's `long` has 64 bits


@dataclass(frozen=True)
class Request:
    """Shapes of one class: by seed, by explicit latents, or interpolated between two seeds.

    Attributes:
        class_name: may be None where the model has one class.
        count: number of shapes; None means 1, or all `vectors`.
        seed: None means 0.
        vectors: explicit latents, (count, latent) numbers, instead of a seed.
        to: seed of the last shape of an interpolation from `seed`, with `steps` shapes, ends included.
        steps: at least 2; None means STEPS.
        path: of an interpolation, one of `gan3d.sampling.paths.PATHS`; None means the first, "slerp".
    """

    class_name: str | None = None
    count: int | None = None
    seed: int | None = None
    vectors: Any = None
    to: int | None = None
    steps: int | None = None
    path: str | None = None


@dataclass(frozen=True)
class Shapes:
    """Sampled shapes.

    Attributes:
        occupancy: float32 (n, R, R, R) in [0, 1].
        names: the class of each shape.
        classes: all classes of the model.
        threshold: occupancy above which a voxel is occupied.
        up: the axis that points up.
        latents: float32 (n, latent), the vectors that the shapes were sampled from.
    """

    occupancy: np.ndarray
    names: list[str]
    classes: tuple[str, ...]
    threshold: float
    up: str
    latents: np.ndarray

    @property
    def voxels(self) -> np.ndarray:
        """Booleans (n, R, R, R)."""
        return self.occupancy > self.threshold


def sample_shapes(
    sampler: Sampler,
    requests: Sequence[Request],
    truncation: float | None = None,
    threshold: float | None = None,
    limit: int | None = None,
) -> Shapes:
    """Sample the shapes of all requests, in order; validate everything before the first is sampled.

    Args:
        truncation: from 1 (or None), full variety, to 0, the mean shape of a class; see `gan3d.sampling.sampler`.
        threshold: from 0 to 1; None means the model's threshold.
        limit: on the total number of shapes; None for no limit.

    Raises:
        UserError: one sentence that says what is wrong with the request.
    """
    truncation = 1.0 if truncation is None else _check_fraction("truncation", truncation)
    threshold = sampler.model.threshold if threshold is None else _check_fraction("threshold", threshold)
    labels = [sampler.label(request.class_name) for request in requests]
    sizes = [_check_size(request) for request in requests]
    if limit is not None and sum(sizes) > limit:
        raise UserError(f"{sum(sizes)} shapes are too many for one request: request at most {limit}.")
    length = sampler.model.architecture.latent
    vectors = [_vectors(request, size, length) for request, size in zip(requests, sizes, strict=True)]
    latents = np.concatenate([np.zeros((0, length), np.float32), *vectors])
    occupancy = sampler.finite_occupancy(latents, np.repeat(labels, sizes), truncation)
    names = [sampler.classes[label] for label, size in zip(labels, sizes, strict=True) for _ in range(size)]
    return Shapes(occupancy, names, tuple(sampler.classes), threshold, sampler.model.up, latents)


def _check_fraction(name: str, value: float) -> float:
    if not 0 <= value <= 1:  # also true for NaN
        raise UserError(f"{name} {value:g} is out of range: give a number from 0 to 1.")
    return float(value)


def _check_size(request: Request) -> int:
    """Validate the numbers of a request and return how many shapes it asks for."""
    for name, seed in (("seed", request.seed), ("to", request.to)):
        if seed is not None and not 0 <= seed < SEED_LIMIT:
            raise UserError(f"{name} {_short(seed)} is out of range: give a seed from 0 to 2⁶³ - 1.")
    if request.count is not None and request.count < 1:
        raise UserError(f"count {_short(request.count)} is out of range: request at least 1 shape.")
    if request.steps is not None and request.steps < 2:
        raise UserError(f"steps {_short(request.steps)} is out of range: an interpolation has at least 2 shapes.")
    if request.steps is not None and request.to is None:
        raise UserError("steps is given without `to`: set `to` to the seed of the last shape.")
    if request.path is not None and request.to is None:
        raise UserError("path is given without `to`: set `to` to the seed of the last shape.")
    if request.path not in (None, *PATHS):
        raise UserError(f"path {str(request.path)[:40]!r} does not exist: choose one of {', '.join(PATHS)}.")
    if request.vectors is not None:
        if request.seed is not None or request.to is not None:
            raise UserError("latents and a seed are both given: give only one of them.")
        if not len(request.vectors):
            raise UserError("latents is empty: give at least one vector, or a seed instead.")
        return _check_count(request, len(request.vectors), "latents")
    if request.to is not None:
        return _check_count(request, STEPS if request.steps is None else int(request.steps), "steps")
    return 1 if request.count is None else int(request.count)


def _check_count(request: Request, size: int, what: str) -> int:
    """Return a size that latents or steps imply; a count may repeat it but not contradict it."""
    if request.count not in (None, size):
        raise UserError(f"count {_short(request.count)} contradicts the {size} {what}: leave count out.")
    return size


def _vectors(request: Request, size: int, length: int) -> np.ndarray:
    """The latents of a validated request, float32 (size, length)."""
    if request.vectors is not None:
        return _check_latents(request.vectors, length)
    seed = request.seed or 0
    if request.to is not None:
        return walk(draw_latents(seed, 1, length)[0], draw_latents(request.to, 1, length)[0], size, request.path)
    return draw_latents(seed, size, length)


def _check_latents(vectors: Any, length: int) -> np.ndarray:
    misfits = sorted({len(vector) for vector in vectors} - {length})
    if misfits:
        raise UserError(f"a latent vector of {misfits[0]} numbers does not fit this model: give {length} numbers each.")
    given = np.array([list(vector) for vector in vectors], np.float64).reshape(-1, length)
    if not (np.abs(given) < 1e15).all():  # squares must stay finite in float32
        raise UserError("a latent vector holds a number that is not finite or too large: use standard normal numbers.")
    return given.astype(np.float32)


def _short(number: Any) -> str:
    """A number for a message, unless a client made it very long."""
    return str(number) if math.log2(abs(number) + 1) < 80 else "of many digits"
