"""Completion: what is given of a shape stays, the rest is drawn by the generator."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from gan3d.errors import UserError
from gan3d.inversion.inverter import EVALUATIONS, Inverter
from gan3d.inversion.overlap import iou

LARGEST_COUNT = 16
SIDES = ("left", "right", "bottom", "top", "front", "back")


class NothingGivenError(UserError):
    """The mask covers no occupied voxel."""


@dataclass(frozen=True)
class Completions:
    """Whole shapes around a part, the best match first.

    Attributes:
        latents: float32 (n, latent), the shapes that the rest was taken from.
        voxels: booleans (n, R, R, R): the given voxels, and drawn ones elsewhere.
        occupancy: float32 (n, R, R, R) likewise.
        ious: of the generator's shapes with what is given, (n,).
        class_name: of all.
    """

    latents: np.ndarray
    voxels: np.ndarray
    occupancy: np.ndarray
    ious: np.ndarray
    class_name: str


def complete(
    inverter: Inverter,
    voxels: np.ndarray,
    given: np.ndarray,
    class_name: str | None = None,
    count: int = 4,
    seed: int = 0,
    evaluations: int | None = None,
) -> Completions:
    """Draw whole shapes that contain a given part.

    Args:
        inverter: of the generator.
        voxels: booleans (R, R, R); only those under `given` matter.
        given: booleans (R, R, R), true where the voxels are known, occupied or empty.
        class_name: optional where the generator has one class; None: the class that fits best.
        count: of shapes.
        seed: of the latents they start from.
        evaluations: of the generator for each shape, at most; None: by resolution.

    Raises:
        NothingGivenError: if the mask covers no occupied voxel.
        UserError: for arrays of another resolution, or a count out of range.
    """
    voxels, given = inverter.check(voxels), inverter.check(given)
    if not 1 <= count <= LARGEST_COUNT:
        raise UserError(f"count {count} is out of range: complete 1 to {LARGEST_COUNT} shapes at once.")
    if not (voxels & given).any():
        raise NothingGivenError("nothing of the shape is given: the mask must cover at least one occupied voxel.")
    labels = range(len(inverter.sampler.classes)) if class_name is None else [inverter.sampler.label(class_name)]
    part = voxels & given
    scores = {label: iou(inverter.bank(label).voxels & given, part[None]) for label in labels}
    label = max(scores, key=lambda each: scores[each].max())
    starts = choose_starts(scores[label], count, seed)
    budget = EVALUATIONS[inverter.resolution] if evaluations is None else evaluations
    latents = inverter.bank(label).latents[starts]
    inverter.search.typical_axes(label)  # once, and not in every thread
    with ThreadPoolExecutor(min(count, os.cpu_count() or 1)) as threads:
        searches = threads.map(lambda one: inverter.search.run(one[None], label, part, given, budget), latents)
        found = sorted(searches, key=lambda each: -each.score)
    vectors = np.stack([each.vector for each in found])
    drawn = inverter.sampler.finite_occupancy(vectors, np.full(count, label))
    return Completions(
        vectors,
        np.where(given, part, inverter.sampler.binary(drawn)),
        np.where(given, part, drawn).astype(np.float32),
        np.array([each.score for each in found]),
        inverter.sampler.classes[label],
    )


def choose_starts(scores: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Which random shapes to start from, by how well they fit, (count,): the best, and others of the best by chance."""
    order = np.argsort(-scores, kind="stable")
    rest = np.random.default_rng([seed, 11]).permutation(order[1 : max(len(order) // 8, 2 * count)])
    first = order[:1] if seed == 0 else rest[:0]
    return np.concatenate([first, rest])[:count]


def half(resolution: int, side: str, up: str) -> np.ndarray:
    """The mask of half a grid, booleans (R, R, R), true in the half that a side names.

    Left and right lie along the first axis that does not point up, front and back along the second.

    Raises:
        UserError: for another side.
    """
    if side not in SIDES:
        raise UserError(f"side {side[:40]!r} does not exist: choose one of {', '.join(SIDES)}.")
    axis = "xyz".index(up)
    others = [other for other in range(3) if other != axis]
    along = (others[0], axis, others[1])[SIDES.index(side) // 2]
    upper = np.arange(resolution) >= resolution // 2
    chosen = upper if SIDES.index(side) % 2 else ~upper
    return np.broadcast_to(chosen.reshape([-1 if each == along else 1 for each in range(3)]), (resolution,) * 3).copy()
