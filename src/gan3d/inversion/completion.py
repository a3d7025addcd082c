"""Completion: what is given of a shape stays, the rest is drawn by the generator."""

from dataclasses import dataclass

import numpy as np

from gan3d.errors import UserError
from gan3d.inversion.inverter import RATE, STEPS, Inverter
from gan3d.inversion.overlap import iou

LARGEST_COUNT = 16
SIDES = ("left", "right", "bottom", "top", "front", "back")


@dataclass(frozen=True)
class Completions:
    """Whole shapes around a part, the best match first.

    Attributes:
        latents: float32 (n, latent), the shapes that the rest was taken from.
        voxels: booleans (n, R, R, R): the given voxels, and drawn ones elsewhere.
        ious: of the generator's shapes with what is given, (n,).
        class_name: of all.
    """

    latents: np.ndarray
    voxels: np.ndarray
    ious: np.ndarray
    class_name: str


def complete(
    inverter: Inverter,
    voxels: np.ndarray,
    given: np.ndarray,
    class_name: str | None = None,
    count: int = 4,
    seed: int = 0,
    steps: int | None = None,
) -> Completions:
    """Draw whole shapes that contain a given part.

    Args:
        inverter: of the generator.
        voxels: booleans (R, R, R); only those under `given` matter.
        given: booleans (R, R, R), true where the voxels are known, occupied or empty.
        class_name: optional where the generator has one class; None: the class that fits best.
        count: of shapes.
        seed: of the latents they start from.
        steps: of Adam, at most; None: by resolution.

    Raises:
        UserError: for arrays of another resolution, nothing given, or a count out of range.
    """
    voxels, given = inverter.check(voxels), inverter.check(given)
    if not 1 <= count <= LARGEST_COUNT:
        raise UserError(f"count {count} is out of range: complete 1 to {LARGEST_COUNT} shapes at once.")
    if not (voxels & given).any():
        raise UserError("nothing of the shape is given: the mask must cover at least one occupied voxel.")
    labels = range(len(inverter.sampler.classes)) if class_name is None else [inverter.sampler.label(class_name)]
    part = voxels & given
    scores = {label: iou(inverter.bank(label).voxels & given, part[None]) for label in labels}
    label = max(scores, key=lambda each: scores[each].max())
    # of the better half of random shapes the best one, and others by chance
    order = np.argsort(-scores[label], kind="stable")
    better = order[: max(len(order) // 8, count)]
    others = np.random.default_rng([seed, 11]).permutation(better[1:])[: count - 1]
    starts = inverter.bank(label).latents[np.concatenate([better[:1] if seed == 0 else others[:0], others])]
    if len(starts) < count:
        more = np.random.default_rng([seed, 12]).permutation(better)[: count - len(starts)]
        starts = np.concatenate([starts, inverter.bank(label).latents[more]])
    budget = STEPS[inverter.resolution] if steps is None else steps
    found = inverter.search.run(starts, np.full(count, label), part, given, budget, RATE)
    ranked = np.argsort(-found.scores, kind="stable")
    drawn = inverter.draw(found.vectors[ranked], label)
    return Completions(
        found.vectors[ranked],
        np.where(given, part, drawn),
        found.scores[ranked].astype(float),
        inverter.sampler.classes[label],
    )


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
