"""Standard errors of scores, from random halves of the shapes.

The bootstrap proper draws shapes with repetition. A repeated shape is its own nearest neighbour at distance 0, which
raises 1-NNA-CD by a fifth and more however good the shapes are, and biases MMD and COV as well. Here every replicate
scores a random half of the generated shapes of each draw against a random half of the real ones, without repetition
(the delete-d jackknife with d = n / 2; Shao and Wu 1989, Politis and Romano 1994). For a statistic whose variance falls
with 1 / n, the variance of halves around the whole is σ² / (n / 2) · (1 - 1/2) = σ² / n, which is that of the whole
itself, so no correction factor is needed. The expectation of a half differs from that of the whole (fewer shapes,
higher MMD), hence only the spread of the replicates is used. It is slightly too wide for JSD and MMD, whose bias also
shrinks with n.

The error covers both sources of chance: which shapes were generated, and which real shapes are in the test split. In a
replicate, all draws and the floor are scored against the same half of the real shapes, so the error of the excess over
the floor is that of a difference of dependent numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gan3d.metrics import chamfer
from gan3d.metrics.chamfer import Prepared
from gan3d.metrics.feature_scores import feature_distances, frechet_distance, kernel_distance, manifold_scores
from gan3d.metrics.scores import (
    FEATURE_SCORES,
    distance_scores,
    jensen_shannon,
    novelty_scores,
    scores,
    stands_scores,
    union_distances,
)

REPLICATES = 200  # enough for a standard error with an error of 5 %
JSD_REPLICATES = 50  # fewer, since JSD takes whole grids; also of distances in features
REPLICATE_SEED = 2
BATCH_DISTANCES = 2**17  # of the halves that are scored at once, to fit into the cache

Values = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class PairedSets:
    """One draw of shapes and as many real shapes that it is scored against.

    Attributes:
        novelty: distance from each generated and each real shape to its nearest training shape, if known.
        stands: whether each generated and each real shape stands.
        features: of `gan3d.metrics.shape_features`, (N, d) and (M, d).
    """

    generated: Prepared
    reference: Prepared
    novelty: tuple[np.ndarray, np.ndarray] | None = None
    stands: tuple[np.ndarray, np.ndarray] | None = None
    features: tuple[np.ndarray, np.ndarray] | None = None

    @cached_property
    def between(self) -> np.ndarray:
        """Distances between the two sets, (N, M)."""
        return chamfer.distances(self.generated, self.reference)

    @cached_property
    def union(self) -> np.ndarray:
        """Distances between all shapes of both sets, (N + M, N + M), infinite on the diagonal."""
        return union_distances(self.generated.within, self.between, self.reference.within)

    @cached_property
    def feature_union(self) -> np.ndarray:
        """Distances in features, as `union`."""
        assert self.features is not None
        return feature_distances(*self.features)

    def scores(self) -> dict[str, Any]:
        """All scores but novelty, see `gan3d.metrics.scores.scores`."""
        result = scores(self.generated, self.reference, between=self.between)
        if "note" in result or self.features is None:
            return result | dict.fromkeys(FEATURE_SCORES)
        return result | manifold_scores(self.feature_union, len(self.generated)) | set_distances(*self.features)

    def subset_scores(self, generated: np.ndarray, reference: np.ndarray) -> Values:
        """All scores of subsets of both sets, (k,), but those that take all grids or features.

        Args:
            generated: positions in the first set, (k, n).
            reference: positions in the second, (k, m).
        """
        result = subset_distance_scores(self.union, len(self.generated), generated, reference)
        for name, shapes, rows in (("generated", self.generated, generated), ("reference", self.reference, reference)):
            result[f"largest_piece_{name}"] = shapes.component_shares[rows].mean(-1)
            result[f"occupancy_{name}"] = shapes.occupancies[rows].mean(-1)
        if self.novelty is not None:
            result |= novelty_scores(self.novelty[0][generated], self.novelty[1][reference])
        if self.stands is not None:
            result |= stands_scores(self.stands[0][generated], self.stands[1][reference])
        if self.features is not None:
            rows = np.concatenate([generated, len(self.generated) + reference], -1)
            result |= manifold_scores(_of_subsets(self.feature_union, rows), generated.shape[-1])
        return result

    def set_scores(self, generated: np.ndarray, reference: np.ndarray) -> dict[str, float]:
        """The other scores of one subset of both sets, given by positions (n,) and (m,)."""
        result = {"jsd": jensen_shannon(self.generated.voxels[generated], self.reference.voxels[reference])}
        if self.features is not None:
            result |= set_distances(self.features[0][generated], self.features[1][reference])
        return result


def subset_distance_scores(union: np.ndarray, count: int, generated: np.ndarray, reference: np.ndarray) -> Values:
    """`distance_scores` of subsets of two sets, (k,).

    Args:
        union: distances between all shapes, infinite on the diagonal; the first `count` are the generated ones.
        generated: positions in the first set, (k, n).
        reference: positions in the second, (k, m).
    """
    return distance_scores(_of_subsets(union, np.concatenate([generated, count + reference], -1)), generated.shape[-1])


def _of_subsets(union: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The distances (k, n, n) between the shapes at positions (k, n) of each subset."""
    return union[rows[:, :, None], rows[:, None, :]]


def set_distances(generated: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Fréchet and kernel distance of two sets of features."""
    return {
        "frechet": frechet_distance(generated, reference),
        "kernel_x1e3": 1e3 * kernel_distance(generated, reference),
    }


def random_halves(count: int, replicates: int = REPLICATES, seed: int = REPLICATE_SEED) -> list[np.ndarray]:
    """Positions of a random half of `count` real shapes, for each replicate."""
    rng = np.random.default_rng([seed, count])
    return [rng.permutation(count)[: count // 2] for _ in range(replicates)]


def replicate_scores(draws: Sequence[PairedSets], real_halves: Sequence[np.ndarray], seed: int) -> Values:
    """Scores of random halves, averaged over draws.

    Args:
        real_halves: positions of real shapes, per replicate.
        seed: of the halves of generated shapes.

    Returns:
        By key, one value per replicate; JSD has the first JSD_REPLICATES only.
    """
    rng = np.random.default_rng([REPLICATE_SEED, seed])
    halves: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in draws]
    for half in real_halves:
        for pair, of_pair in zip(draws, halves, strict=True):
            reference = half[half < len(pair.reference)]  # fewer, where empty shapes were left out
            of_pair.append((rng.permutation(len(pair.generated))[: len(reference)], reference))
    results = [_scores_of_halves(pair, of_pair) for pair, of_pair in zip(draws, halves, strict=True)]
    return {name: np.mean([result[name] for result in results], axis=0) for name in results[0]}


def _scores_of_halves(pair: PairedSets, halves: Sequence[tuple[np.ndarray, np.ndarray]]) -> Values:
    """The scores of one draw's halves, given by positions (n,) and (n,), n of each: many at once are quicker."""
    found: dict[str, np.ndarray] = {}
    sizes = np.array([len(reference) for _, reference in halves])
    for size in np.unique(sizes).tolist():
        same = np.flatnonzero(sizes == size)
        step = max(1, BATCH_DISTANCES // max(1, 2 * size) ** 2)
        for rows in (same[start : start + step] for start in range(0, len(same), step)):
            generated, reference = (np.stack([halves[row][side] for row in rows]) for side in (0, 1))
            for name, values in pair.subset_scores(generated, reference).items():
                found.setdefault(name, np.empty(len(halves)))[rows] = values
    others = [pair.set_scores(*half) for half in halves[:JSD_REPLICATES]]
    return found | {name: np.array([row[name] for row in others]) for name in (others[0] if others else ())}


def standard_errors(
    generated: Sequence[PairedSets], floor: Sequence[PairedSets], replicates: int = REPLICATES
) -> tuple[dict[str, float], dict[str, float], float | None]:
    """Standard errors of the scores' means over draws.

    Args:
        generated: draws against a reference, or the beginning of it; may be empty.
        floor: draws against the same reference, or the beginning of it; may be empty.
        replicates: random halves from which the errors are estimated.

    Returns:
        Errors by key, of the generated shapes and of the floor, and the error of the difference between their
        1-NNA-CD (None without both).
    """
    pairs = [*generated, *floor]
    if not pairs:
        return {}, {}, None
    real_halves = random_halves(max(len(pair.reference) for pair in pairs), replicates)
    of_generated = replicate_scores(generated, real_halves, 0) if generated else {}
    of_floor = replicate_scores(floor, real_halves, 1) if floor else {}
    name = "one_nna_cd"
    excess = float(np.std(of_generated[name] - of_floor[name], ddof=1)) if of_generated and of_floor else None
    return _standard_deviations(of_generated), _standard_deviations(of_floor), excess


def _standard_deviations(values: Values) -> dict[str, float]:
    growth = {"copying_z": np.sqrt(2)}  # which grows with the root of the number of shapes
    return {name: float(np.std(replicates, ddof=1) * growth.get(name, 1.0)) for name, replicates in values.items()}
