"""Directions of a latent space in which a class varies most, named by what they measurably change.

GANSpace (Härkönen et al. 2020, §2.2): principal components of the first layer's activations over random latents, and
the latent directions that move along them, by least squares.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gan3d.inversion.vectors import normalise
from gan3d.sampling.latents import draw_latents
from gan3d.voxels import AXES, surface_voxels

if TYPE_CHECKING:
    from gan3d.sampling.sampler import Sampler

COUNT = 8  # directions per class
SAMPLES = 1024  # random latents whose activations are analysed
TRIED = 16  # shapes that are moved along a direction to see what changes
TYPICAL = 128  # random shapes, of which the one nearest to the mean shape stands for the class
REACH = 0.5  # how far a slider goes to either side, as a share of a latent's length
SEED = 2**32 + 13
CLEAR = 0.25  # standard deviations of a measure, below which a direction does not get its name
PAIRS = {  # measure -> what more of it is called; what changes in a shape when a slider moves
    "height": "taller",
    "width": "wider",
    "depth": "deeper",
    "occupied": "fuller",
    "level": "top-heavy",
    "forward": "weight in front",
    "surface": "finer",
    "under": "solid below",
}


@dataclass(frozen=True)
class Direction:
    """One direction.

    Attributes:
        name: what it changes most when a latent moves along `vector`.
        vector: float32 (latent,), one standard deviation of the component.
        low, high: how far a slider goes.
        share: of the activations' variance.
        effects: change of each measure from low to high, in standard deviations among random shapes.
    """

    name: str
    vector: np.ndarray
    low: float
    high: float
    share: float
    effects: dict[str, float]


@dataclass(frozen=True)
class ClassDirections:
    """Where a class's variety lies.

    Attributes:
        mean: float32 (latent,), the latent of the random shape nearest to the class's mean shape.
        directions: in order of the variance that they explain.
    """

    mean: np.ndarray
    directions: tuple[Direction, ...]


def find_directions(sampler: "Sampler", label: int, count: int = COUNT) -> ClassDirections:
    """The directions of most variance of a class.

    Args:
        sampler: of the generator.
        label: of the class.
        count: of directions, at most as many as the latent is long.
    """
    size = sampler.model.architecture.latent
    reach = REACH * size**0.5
    latents = normalise(draw_latents(SEED, SAMPLES, size))
    vectors, shares = principal_directions(latents, first_activations(sampler, latents, label), min(count, size))
    mean = typical_latent(sampler, label)
    bases = draw_latents(SEED + 1, TRIED, size)
    spread = np.std(measures(_draw(sampler, draw_latents(SEED + 2, 4 * TRIED, size), label), sampler.model.up), 0)
    found = []
    for vector in vectors:
        ends = [measures(_draw(sampler, bases + sign * reach * vector, label), sampler.model.up) for sign in (-1, 1)]
        found.append((ends[1] - ends[0]).mean(0) / np.where(spread > 1e-9, spread, 1.0))
    names, signs = name_directions(np.array(found))
    return ClassDirections(
        mean,
        tuple(
            Direction(name, (sign * vector).astype(np.float32), -reach, reach, float(share), effects)
            for name, sign, vector, share, effects in zip(
                names,
                signs,
                vectors,
                shares,
                [dict(zip(PAIRS, (s * e).tolist(), strict=True)) for s, e in zip(signs, found, strict=True)],
                strict=True,
            )
        ),
    )


def principal_directions(latents: np.ndarray, activations: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Latent directions of the principal components of activations (n, m), and their shares of the variance.

    Returns:
        vectors (count, latent) of length 1, and shares (count,), both in falling order of variance.
    """
    centred = activations - activations.mean(0)
    gram = centred @ centred.T  # n is smaller than m
    values, left = np.linalg.eigh(gram)
    values, left = values[::-1][:count], left[:, ::-1][:, :count]
    scores = left * np.sqrt(len(latents))  # of each sample along each component, unit variance
    vectors = np.linalg.lstsq(scores, latents - latents.mean(0), rcond=None)[0]
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, np.maximum(values, 0) / np.trace(gram)


def first_activations(sampler: "Sampler", latents: np.ndarray, label: int) -> np.ndarray:
    """What the generator's first layer makes of latents of unit mean square, float32 (n, 64 · channels).

    Computed from the weights (`gan3d.networks.generator.Generator.call`), so that any engine's sampler will do.
    """
    a, weights = sampler.model.architecture, sampler.model.ema
    x = latents
    if len(a.classes) > 1:
        condition = np.zeros((len(x), len(a.classes)), np.float32)
        condition[:, label] = a.latent**0.5
        x = np.concatenate([x, condition], 1)
    for i in range(1, a.mapping + 1):
        x = _activate(_dense(weights, f"mapping{i}", x, 2**0.5))
    x = _dense(weights, "first", x, 2**0.5 / 4).reshape(len(x), 64, a.widths[0])
    return _activate(x).reshape(len(x), -1)


def _dense(weights: dict[str, np.ndarray], name: str, x: np.ndarray, gain: float) -> np.ndarray:
    """A fully connected layer, (n, in) to (n, units)."""
    kernel = weights[f"{name}/kernel"].astype(np.float32)
    return x @ (kernel * np.float32(gain / kernel.shape[0] ** 0.5)) + weights[f"{name}/bias"].astype(np.float32)


def _activate(x: np.ndarray) -> np.ndarray:
    """Leaky ReLU and pixel norm of the last axis."""
    x = np.where(x > 0, x, np.float32(0.2) * x)
    return x / np.sqrt(np.mean(np.square(x), -1, keepdims=True) + 1e-8)


def typical_latent(sampler: "Sampler", label: int) -> np.ndarray:
    """The latent of the random shape nearest to the class's mean shape, which truncation 0 gives, (latent,)."""
    latents = normalise(draw_latents(SEED + 3, TYPICAL, sampler.model.architecture.latent))
    labels = np.full(TYPICAL, label)
    mean = sampler.finite_occupancy(latents[:1], labels[:1], truncation=0.0)[0]
    differences = np.square(sampler.finite_occupancy(latents, labels) - mean).sum((1, 2, 3))
    return latents[int(differences.argmin())]


def measures(voxels: np.ndarray, up: str) -> np.ndarray:
    """What PAIRS names, of booleans (n, R, R, R), (n, measures): lengths and places as shares of the grid's edge."""
    axis = AXES.index(up)
    others = [other for other in range(3) if other != axis]
    side = voxels.shape[1]
    size = np.maximum(voxels.sum((1, 2, 3)), 1)
    lengths, centres = [], []
    for each in (axis, *others):
        profile = voxels.sum(tuple(1 + other for other in range(3) if other != each))  # (n, R)
        filled = profile > 0
        lengths.append((side - filled[:, ::-1].argmax(1) - filled.argmax(1)) * filled.any(1) / side)
        centres.append((profile * np.arange(side)).sum(1) / size / side)
    surface = surface_voxels(voxels).sum((1, 2, 3)) / size
    lower = np.moveaxis(voxels, 1 + axis, 1)[:, : side // 2]
    under = lower.sum((1, 2, 3)) / size
    return np.stack([*lengths, size / side**3, centres[0], centres[2], surface, under], 1)


def name_directions(effects: np.ndarray) -> tuple[list[str], list[float]]:
    """A different name for each direction, and the sign that makes it go that way.

    Args:
        effects: (directions, measures), in standard deviations of each measure.
    """
    labels = list(PAIRS.values())
    names: list[str | None] = [None] * len(effects)
    signs = [1.0] * len(effects)
    strength = np.abs(effects)
    free = list(range(len(labels)))
    for _ in range(min(len(effects), len(labels))):
        open_rows = [i for i, name in enumerate(names) if name is None]
        row, column = max(((i, j) for i in open_rows for j in free), key=lambda pair: strength[pair])
        if strength[row, column] < CLEAR:
            break
        names[row], signs[row] = labels[column], 1.0 if effects[row, column] > 0 else -1.0
        free.remove(column)
    numbers = iter(range(1, len(names) + 1))
    return [name or f"variation {next(numbers)}" for name in names], signs


def _draw(sampler: "Sampler", vectors: np.ndarray, label: int) -> np.ndarray:
    return sampler.binary(sampler.finite_occupancy(vectors, np.full(len(vectors), label)))
