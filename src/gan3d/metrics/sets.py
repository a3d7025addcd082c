"""Score any two sets of shapes: files of anybody's generator against real shapes."""

import numpy as np

from gan3d.errors import UserError
from gan3d.metrics.comparison import ClassEvaluation, RealSets, compare, occupied
from gan3d.voxels import max_pool

COUNT = 500  # shapes of a draw
DRAWS = 3
NAME = "shape"  # the class of the rows
HALVED = (
    "no training shapes were named: random halves of the real shapes are told from each other for the floor, and what"
    " generated shapes are told from; novelty and copies are not known"
)


def score_sets(
    generated: np.ndarray,
    real: np.ndarray,
    train: np.ndarray | None = None,
    up: str = "y",
    count: int = COUNT,
    draws: int = DRAWS,
    seed: int = 0,
    name: str = NAME,
) -> ClassEvaluation:
    """Score generated shapes against real ones, as `gan3d evaluate` does for each class.

    Sets of equal size are compared: as many shapes of each as the smaller set has, at most `count`. If there are more
    generated shapes, disjoint draws of them are averaged. All generated shapes take part in `tell`.

    Args:
        generated: booleans (N, R, R, R).
        real: held-out real shapes, booleans (M, S, S, S); the finer of both resolutions is reduced to the coarser.
        train: the shapes that the generator was trained on, likewise. Without them, the floors come from halves of
            `real`, and novelty is not known.
        up: the axis that points up.
        count: largest number of shapes in a draw.
        draws: largest number of draws.
        seed: of the shapes that are chosen.
        name: the class of the rows.

    Returns:
        The rows of generated shapes and of the floor, see `gan3d.metrics.protocol.evaluate`, and the shapes.

    Raises:
        UserError: if there are no generated shapes, or no real ones but empty ones, or resolutions do not fit.
    """
    named = {"generated": generated, "real": real} | ({} if train is None else {"training": train})
    sets = {which: np.asarray(voxels, bool) for which, voxels in same_resolution(named).items()}
    if not (len(sets["generated"]) and sets["real"].any()):
        raise UserError("there are no generated shapes, or all real ones are empty: check them with `gan3d show`.")
    rng = np.random.default_rng(seed)
    shapes, reals = sets["generated"], occupied(sets["real"])
    size = min(len(shapes), len(reals), count)
    draws = max(1, min(draws, len(shapes) // size))
    if len(reals) > size:
        reals = reals[rng.permutation(len(reals))]
    if train is None:
        halves = np.array_split(reals[rng.permutation(len(reals))], 2)
        half = min(map(len, halves))
        given = RealSets(reals[:size], halves[0], halves[1], halves[1][: min(half, size)], False, up)
    else:
        given = RealSets(reals[:size], occupied(sets["training"]), reals, reals[:size], True, up)
    result = compare(
        lambda draw: shapes[draw * size : (draw + 1) * size],
        lambda drawn: occupied(shapes),
        given,
        {"class": name, "resolution": shapes.shape[1], "draws": draws, "seed": seed},
    )
    if train is None:
        result.rows[1].setdefault("note", HALVED)
    return result


def same_resolution(sets: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Reduce sets of shapes, (N, R, R, R) each, to the coarsest resolution among them.

    Raises:
        UserError: if that takes more than halving.
    """
    for name, voxels in sets.items():
        if voxels.ndim != 4 or len(set(voxels.shape[1:])) != 1:
            raise UserError(f"the {name} shapes have the dimensions {voxels.shape}: give arrays (N, R, R, R).")
    side = min(voxels.shape[1] for voxels in sets.values())
    result = {}
    for name, voxels in sets.items():
        while voxels.shape[1] > side and voxels.shape[1] % 2 == 0:
            voxels = max_pool(np.asarray(voxels, bool))
        if voxels.shape[1] != side:
            sizes = ", ".join(f"{other}: {values.shape[1]}³" for other, values in sets.items())
            raise UserError(f"the sets differ in resolution ({sizes}): bring them to one, or to halves of each other.")
        result[name] = voxels
    return result
