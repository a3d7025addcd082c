"""Scores of a set of generated shapes against a set of real ones.

MMD, COV and JSD after Achlioptas et al. 2018 (arXiv:1707.02392), 1-NNA after Yang et al. 2019 (arXiv:1906.12320), with
the squared Chamfer distance of surface voxels. 1-NNA is unbiased for sets of equal size only.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gan3d.metrics import chamfer
from gan3d.metrics.chamfer import Prepared

MINIMUM = 10  # with fewer shapes in either set a score would be noise: it is None, and a note says so

PAIR_SCORES = ("mmd_cd_x1e3", "cov_cd", "one_nna_cd", "jsd", "largest_piece_generated", "largest_piece_reference")
NOVELTY_SCORES = ("novelty_generated_x1e3", "novelty_reference_x1e3", "copied_generated", "copied_reference")
OCCUPANCIES = ("occupancy_generated", "occupancy_reference")
NUMBERS = PAIR_SCORES + NOVELTY_SCORES + OCCUPANCIES


def scores(
    generated: np.ndarray | Prepared,
    reference: np.ndarray | Prepared,
    train: np.ndarray | None = None,
    between: np.ndarray | None = None,
) -> dict[str, Any]:
    """All scores of `generated` against `reference`, and with `train` the novelty of both.

    Args:
        generated: booleans (N, R, R, R), or what `chamfer.prepare` made of them (once for many scores). Empty shapes
            take part, 6 away from any other: leave them out beforehand, as `protocol.evaluate` does.
        reference: likewise.
        train: booleans (T, R, R, R), the shapes that the generator learned from.
        between: distances of the two sets, where they are known already.

    Returns:
        resolution, the numbers of shapes and the scores by name. A score is None where either set has fewer than
        MINIMUM shapes, and `note` says so.
    """
    g, r = _prepared(generated), _prepared(reference)
    result: dict[str, Any] = {"resolution": g.resolution, "generated": len(g), "reference": len(r)}
    note = too_few(len(g), len(r))
    result |= dict.fromkeys(PAIR_SCORES) if note else pair_scores(g, r, between)
    result |= {"occupancy_generated": occupancy(g), "occupancy_reference": occupancy(r)}
    result["empty_generated"] = int((g.sizes == 0).sum())
    if train is not None:
        if note is None and len(train) < MINIMUM:
            note = f"there is no novelty, since only {len(train)} training shapes remain and it takes {MINIMUM}"
        result |= (
            dict.fromkeys(NOVELTY_SCORES)
            if note
            else novelty_scores(chamfer.closest(g, train), chamfer.closest(r, train))
        )
    if note:
        result["note"] = note
    return result


def too_few(generated: int, reference: int) -> str | None:
    """One sentence when the sets are too small for scores, else None."""
    if min(generated, reference) >= MINIMUM:
        return None
    return f"no scores: {generated} generated and {reference} real shapes remain, and it takes {MINIMUM} of each"


def pair_scores(generated: Prepared, reference: Prepared, between: np.ndarray | None = None) -> dict[str, float]:
    """The scores that need no training shapes, of two sets of at least one shape each.

    Args:
        between: their distances, where they are known already.
    """
    between = chamfer.distances(generated, reference) if between is None else between
    return {
        "mmd_cd_x1e3": 1e3 * float(between.min(0).mean()),  # of each real shape, the closest generated one
        "cov_cd": len(np.unique(between.argmin(1))) / len(reference),  # real shapes that are some shape's closest
        "one_nna_cd": nearest_neighbour_accuracy(generated.within, between, reference.within),
        "jsd": jensen_shannon(generated.voxels, reference.voxels),
        "largest_piece_generated": float(generated.pieces.mean()),
        "largest_piece_reference": float(reference.pieces.mean()),
    }


def novelty_scores(generated: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Novelty and share of copies, from each shape's distance to its closest training shape, (N,) and (M,)."""
    return {
        "novelty_generated_x1e3": 1e3 * float(np.median(generated)),
        "novelty_reference_x1e3": 1e3 * float(np.median(reference)),
        "copied_generated": float((generated == 0).mean()),
        "copied_reference": float((reference == 0).mean()),
    }


def nearest_neighbour_accuracy(within_a: np.ndarray, between: np.ndarray, within_b: np.ndarray) -> float:
    """Leave-one-out accuracy of telling two sets apart by the nearest neighbour; 0.5 is ideal, 1 the worst.

    Args:
        within_a (N, N), between (N, M), within_b (M, M): distances. Of equal distances the first in the order
            a then b counts.
    """
    count = len(within_a)
    union = np.block([[within_a, between], [between.T, within_b]])
    np.fill_diagonal(union, np.inf)
    labels = np.arange(len(union)) < count
    return float((labels[union.argmin(1)] == labels).mean())


def jensen_shannon(a: np.ndarray, b: np.ndarray) -> float:
    """Jensen-Shannon divergence, base 2, of two sets' mean occupancy grids, each normalised to sum 1."""
    p, q = (voxels.reshape(len(voxels), -1).mean(0, dtype=np.float64) for voxels in (a, b))
    p, q = p / max(p.sum(), 1e-12), q / max(q.sum(), 1e-12)
    middle = (p + q) / 2

    def divergence(u: np.ndarray) -> float:
        there = u > 0
        return float(np.sum(u[there] * np.log2(u[there] / middle[there])))

    return (divergence(p) + divergence(q)) / 2


def occupancy(shapes: Prepared) -> float | None:
    """Mean share of occupied voxels; None of no shapes."""
    return float(shapes.voxels.mean()) if len(shapes) else None


def floor_draws(train: int, size: int, draws: int, seed: int) -> list[np.ndarray]:
    """Positions of `size` of `train` training shapes for each draw of the floor, without repetition.

    The draws have no shape in common as long as there are enough; then all training shapes are shuffled anew.
    """
    random = np.random.default_rng(seed)
    chosen: list[np.ndarray] = []
    deck = random.permutation(train)
    for _ in range(draws):
        if len(deck) < size:
            deck = random.permutation(train)
        chosen.append(deck[:size])
        deck = deck[size:]
    return chosen


def floor(train: np.ndarray, reference: np.ndarray | Prepared, draws: int, seed: int) -> dict[str, Any]:
    """Scores of real training shapes (T, R, R, R) against the same reference: what a perfect generator would reach.

    Each draw takes as many training shapes as the reference has, see `floor_draws`; if there are fewer, both sets are
    cut to that number. Returned as by `average`.
    """
    r = _prepared(reference)
    r = r.first(len(train)) if len(train) < len(r) else r
    return average([scores(train[chosen], r) for chosen in floor_draws(len(train), len(r), draws, seed)])


def average(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean over draws of every number that `scores` gives, and its sample standard deviation as `<name>_std`.

    Of the numbers of shapes the least counts; `empty_generated` is summed. A draw in which too few shapes remain has no
    part in a score's mean, and `note` counts them; a score that no draw has is None, like a standard deviation of one.
    """
    merged = dict(results[0]) | {"empty_generated": sum(result["empty_generated"] for result in results)}
    merged |= {name: min(result[name] for result in results) for name in ("generated", "reference")}
    notes = [result["note"] for result in results if "note" in result]
    merged.pop("note", None)
    if notes:
        some = "" if len(notes) == len(results) else f"{len(notes)} of {len(results)} draws: "
        merged["note"] = some + notes[-1]
    for name in NUMBERS:
        if name in merged:
            values = [result[name] for result in results if result[name] is not None]
            merged[name] = float(np.mean(values)) if values else None
            merged[f"{name}_std"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return merged


def _prepared(shapes: np.ndarray | Prepared) -> Prepared:
    return shapes if isinstance(shapes, Prepared) else chamfer.prepare(shapes)
