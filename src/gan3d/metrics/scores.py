"""Scores of a set of generated shapes against a set of real ones.

MMD, COV and JSD follow Achlioptas et al. 2018 (arXiv:1707.02392), 1-NNA follows Yang et al. 2019 (arXiv:1906.12320),
all with the squared Chamfer distance of surface voxels. 1-NNA is unbiased only for sets of equal size. What each score
means is in `gan3d.metrics.table`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import rel_entr
from scipy.stats import rankdata

from gan3d.metrics import chamfer
from gan3d.metrics.chamfer import Prepared

MIN_SHAPES = 10  # a score of fewer shapes would be noise: it is None, and a note says so

# SET_SCORES compare the two sets, PAIR_SCORES are all scores that need only these two sets, NOVELTY_SCORES also need
# training shapes, and OCCUPANCIES are computed for any number of shapes
SET_SCORES = ("mmd_cd_x1e3", "cov_cd", "one_nna_cd", "jsd")
PAIR_SCORES = (*SET_SCORES, "largest_piece_generated", "largest_piece_reference")
NOVELTY_SCORES = (
    *("novelty_generated_x1e3", "novelty_reference_x1e3", "copied_generated", "copied_reference"),
    "copying_z",
)
OCCUPANCIES = ("occupancy_generated", "occupancy_reference")
# of `gan3d.metrics.tell`, `feature_scores` and `structure`, which need more than two sets, features, or the up axis
TELL_SCORES = ("tell_structure", "tell_patterns")
MANIFOLD_SCORES = ("precision", "recall", "density", "coverage")
FEATURE_SCORES = (*MANIFOLD_SCORES, "frechet", "kernel_x1e3")
STANDS_SCORES = ("stands_generated", "stands_reference")
EXCESS_SCORE = "excess"
DRAWN_SCORES = PAIR_SCORES + FEATURE_SCORES + NOVELTY_SCORES + OCCUPANCIES + STANDS_SCORES  # one value per draw
ALL_SCORES = (*DRAWN_SCORES, *TELL_SCORES, EXCESS_SCORE)


def scores(
    generated: np.ndarray | Prepared,
    reference: np.ndarray | Prepared,
    train: np.ndarray | None = None,
    between: np.ndarray | None = None,
) -> dict[str, Any]:
    """Score `generated` against `reference`, and with `train` the novelty of both.

    Args:
        generated: booleans (N, R, R, R), or the result of `chamfer.prepare`. Empty shapes take part, at distance 6
            from any other; `protocol.evaluate` leaves them out beforehand.
        reference: likewise.
        train: booleans (T, R, R, R), the shapes that the generator was trained on.
        between: distances between the two sets, if known.

    Returns:
        resolution, the numbers of shapes and the scores by key. If either set has fewer than MIN_SHAPES shapes, scores
        are None and `note` says why.
    """
    g, r = _prepared(generated), _prepared(reference)
    result: dict[str, Any] = {"resolution": g.resolution, "generated": len(g), "reference": len(r)}
    note = too_few_note(len(g), len(r))
    result |= dict.fromkeys(PAIR_SCORES) if note else pair_scores(g, r, between)
    result |= {"occupancy_generated": mean_occupancy(g), "occupancy_reference": mean_occupancy(r)}
    result["empty_generated"] = int((g.surface_counts == 0).sum())
    if train is not None:
        if note is None:
            note = too_few_training_note(len(train))
        result |= (
            dict.fromkeys(NOVELTY_SCORES)
            if note
            else novelty_scores(chamfer.nearest_distances(g, train), chamfer.nearest_distances(r, train))
        )
    if note:
        result["note"] = note
    return result


def too_few_note(generated: int, reference: int) -> str | None:
    """Say in one sentence that the sets are too small for scores; None if they are not."""
    if min(generated, reference) >= MIN_SHAPES:
        return None
    return f"no scores: {generated} generated and {reference} real shapes remain, and {MIN_SHAPES} of each are needed"


def too_few_training_note(train: int) -> str | None:
    """Say in one sentence that there are too few training shapes for novelty; None if there are enough."""
    return None if train >= MIN_SHAPES else f"no novelty: {train} training shapes remain, and {MIN_SHAPES} are needed"


def pair_scores(generated: Prepared, reference: Prepared, between: np.ndarray | None = None) -> dict[str, Any]:
    """PAIR_SCORES of two sets of at least one shape each.

    Args:
        between: distances between the two sets, if known.
    """
    between = chamfer.distances(generated, reference) if between is None else between
    return distance_scores(union_distances(generated.within, between, reference.within), len(generated)) | {
        "jsd": jensen_shannon(generated.voxels, reference.voxels),
        "largest_piece_generated": float(generated.component_shares.mean()),
        "largest_piece_reference": float(reference.component_shares.mean()),
    }


def union_distances(within_a: np.ndarray, between: np.ndarray, within_b: np.ndarray) -> np.ndarray:
    """Distances between all shapes of two sets, infinite on the diagonal, (N + M, N + M).

    Args:
        within_a (N, N), between (N, M), within_b (M, M): distances.
    """
    union = np.block([[within_a, between], [between.T, within_b]])
    np.fill_diagonal(union, np.inf)
    return union


def distance_scores(union: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """The scores that need only distances, (...): MMD, COV and 1-NNA.

    Args:
        union: of `union_distances`, (..., N + M, N + M); the first `count` shapes are the generated ones.
    """
    between = union[..., :count, count:]
    nearest = np.zeros((*between.shape[:-2], between.shape[-1]), bool)  # real shapes that are some shape's nearest
    np.put_along_axis(nearest, between.argmin(-1), True, -1)
    return {
        "mmd_cd_x1e3": 1e3 * between.min(-2).mean(-1),  # from each real shape to the nearest generated one
        "cov_cd": nearest.mean(-1),
        "one_nna_cd": nearest_neighbour_accuracy(union, count),
    }


def novelty_scores(generated: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """NOVELTY_SCORES, (...), from each shape's distance to its nearest training shape, (..., N) and (..., M)."""
    return {
        "novelty_generated_x1e3": 1e3 * np.median(generated, -1),
        "novelty_reference_x1e3": 1e3 * np.median(reference, -1),
        "copied_generated": (generated == 0).mean(-1),
        "copied_reference": (reference == 0).mean(-1),
        "copying_z": copying_z(generated, reference),
    }


def copying_z(generated: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The three-sample test of data copying, Z_U (Meehan et al. 2020, arXiv:2004.05675, §3.1), (...).

    The Mann-Whitney statistic of both sets' distances to their nearest training shape, (..., N) and (..., M), in its
    standard deviations without ties: about 0 ± 1 for equal distributions; far below 0, generated shapes lie nearer to
    the training shapes than held-out real ones do.
    """
    n, m = generated.shape[-1], reference.shape[-1]
    ranks = rankdata(np.concatenate([generated, reference], -1), axis=-1)
    larger = ranks[..., :n].sum(-1) - n * (n + 1) / 2  # pairs, ties half
    return (larger - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)


def stands_scores(generated: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """STANDS_SCORES, (...), from whether each shape stands, booleans (..., N) and (..., M)."""
    return {"stands_generated": generated.mean(-1), "stands_reference": reference.mean(-1)}


def nearest_neighbour_accuracy(union: np.ndarray, count: int) -> np.ndarray:
    """Leave-one-out accuracy of a nearest-neighbour classifier of two sets, (...); 0.5 is ideal, 1 the worst.

    Of equal distances, the first counts.

    Args:
        union: of `union_distances`, (..., N + M, N + M); the first `count` shapes are those of the first set.
    """
    labels = np.arange(union.shape[-1]) < count
    return (labels[union.argmin(-1)] == labels).mean(-1)


def jensen_shannon(a: np.ndarray, b: np.ndarray) -> float:
    """Jensen-Shannon divergence, base 2, of two sets' mean occupancy grids, each normalised to sum 1."""
    p, q = (voxels.reshape(len(voxels), -1).mean(0, dtype=np.float64) for voxels in (a, b))
    p, q = p / max(p.sum(), 1e-12), q / max(q.sum(), 1e-12)
    middle = (p + q) / 2
    # scipy's jensenshannon is the root of this, which is NaN where rounding leaves a sum below 0
    return float((rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / (2 * np.log(2)))


def mean_occupancy(shapes: Prepared) -> float | None:
    """Mean share of occupied voxels; None without shapes."""
    return float(shapes.voxels.mean()) if len(shapes) else None


def floor_draws(train: int, size: int, draws: int, seed: int) -> list[np.ndarray]:
    """Draw positions of `size` of `train` training shapes, `draws` times, without repetition within a draw.

    Draws are disjoint while the shapes last; then all training shapes are shuffled again.
    """
    random = np.random.default_rng(seed)
    result: list[np.ndarray] = []
    remaining = random.permutation(train)
    for _ in range(draws):
        if len(remaining) < size:
            remaining = random.permutation(train)
        result.append(remaining[:size])
        remaining = remaining[size:]
    return result


def floor(train: np.ndarray, reference: np.ndarray | Prepared, draws: int, seed: int) -> dict[str, Any]:
    """Score real training shapes (T, R, R, R) against the same reference: what a perfect generator would reach.

    Each draw takes as many training shapes as the reference has, see `floor_draws`; if there are fewer, both sets are
    cut to that number. The result is that of `average_draws`.
    """
    r = _prepared(reference)
    r = r.first(len(train)) if len(train) < len(r) else r
    return average_draws([scores(train[rows], r) for rows in floor_draws(len(train), len(r), draws, seed)])


def average_draws(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average the results of `scores` over draws, with the sample standard deviation as `<key>_std`.

    The numbers of shapes are the smallest of all draws; `empty_generated` is summed. A draw with too few shapes is left
    out of the means, and `note` counts such draws. A score that no draw has is None, and so is a deviation of one draw.
    """
    merged = dict(results[0]) | {"empty_generated": sum(result["empty_generated"] for result in results)}
    merged |= {name: min(result[name] for result in results) for name in ("generated", "reference")}
    notes = [result["note"] for result in results if "note" in result]
    merged.pop("note", None)
    if notes:
        some = "" if len(notes) == len(results) else f"{len(notes)} of {len(results)} draws: "
        merged["note"] = some + notes[-1]
    for name in DRAWN_SCORES:
        if name in merged:
            values = [result[name] for result in results if result[name] is not None]
            merged[name] = float(np.mean(values)) if values else None
            merged[f"{name}_std"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return merged


def mean_if_complete(values: Sequence[float | None]) -> float | None:
    """The mean, or None if any value is None."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _prepared(shapes: np.ndarray | Prepared) -> Prepared:
    return shapes if isinstance(shapes, Prepared) else chamfer.prepare(shapes)
