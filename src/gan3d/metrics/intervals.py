"""How far a score may be off by the chance of which shapes met: standard errors from random halves.

The bootstrap proper draws shapes with repetition. A repeated shape is its own nearest neighbour at distance 0:
resampled so, 1-NNA-CD rises by a fifth and more however good the shapes are, and MMD and COV suffer likewise. Here
instead every replicate scores a random half of the generated shapes of each draw against a random half of the real
ones, without repetition (the delete-d jackknife with d = n / 2; Shao and Wu 1989, Politis and Romano 1994). For a
statistic whose variance falls with 1 / n, the variance over halves around the whole is σ² / (n / 2) · (1 - 1/2) =
σ² / n: that of the whole itself, so that no factor is needed. Halves have other expectations than the whole (fewer
shapes, higher MMD), hence only their spread is used. That of JSD and MMD is a little too wide, since their bias shrinks
with n, too.

The error counts both chances: which shapes were generated, and which real shapes are in the test split. All draws and
the floor meet the same half of the real shapes in a replicate, as they meet the same real shapes as a whole, so that
the error of the excess over the floor is that of a difference of dependent numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gan3d.metrics import chamfer
from gan3d.metrics.chamfer import Prepared
from gan3d.metrics.scores import jensen_shannon, scores

REPLICATES = 200  # a standard error from so many has itself one of 5 %
DENSE = 50  # of them, for JSD, which looks at whole grids
WIDE = 1.96  # standard errors to either side that hold 95 %
SEED = 2

Values = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class PairedSets:
    """One draw of shapes and the real shapes that it is scored against, as many.

    Attributes:
        novelty: distance of each generated and of each real shape to its closest training shape, where it is known.
    """

    generated: Prepared
    reference: Prepared
    novelty: tuple[np.ndarray, np.ndarray] | None = None

    @cached_property
    def between(self) -> np.ndarray:
        """Distances (N, M)."""
        return chamfer.distances(self.generated, self.reference)

    @cached_property
    def union(self) -> np.ndarray:
        """Distances of all to all, infinite on the diagonal."""
        result = np.block([[self.generated.within, self.between], [self.between.T, self.reference.within]])
        np.fill_diagonal(result, np.inf)
        return result

    def scores(self, own: np.ndarray, other: np.ndarray) -> dict[str, float]:
        """Scores of some generated shapes against as many real ones, by their positions; all but JSD."""
        part = neighbour_scores(self.union, len(self.generated), own, other)
        for name, shapes, chosen in (("generated", self.generated, own), ("reference", self.reference, other)):
            part[f"largest_piece_{name}"] = float(shapes.pieces[chosen].mean())
            part[f"occupancy_{name}"] = float(shapes.shares[chosen].mean())
        if self.novelty is not None:
            for name, distances, chosen in zip(("generated", "reference"), self.novelty, (own, other), strict=True):
                part[f"novelty_{name}_x1e3"] = 1e3 * float(np.median(distances[chosen]))
                part[f"copied_{name}"] = float((distances[chosen] == 0).mean())
        return part


def meeting_scores(meeting: PairedSets) -> dict[str, Any]:
    """All scores of a meeting, see `gan3d.metrics.scores.scores`."""
    return scores(meeting.generated, meeting.reference, between=meeting.between)


def neighbour_scores(union: np.ndarray, count: int, own: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """MMD, COV and 1-NNA of a part of two sets.

    Args:
        union: distances of all to all, infinite on the diagonal; the first `count` are the generated ones.
        own: positions in the generated set.
        other: positions in the reference set.
    """
    chosen = np.concatenate([own, count + other])
    part = union[np.ix_(chosen, chosen)]
    labels = np.arange(len(chosen)) < len(own)
    between = part[: len(own), len(own) :]
    return {
        "mmd_cd_x1e3": 1e3 * float(between.min(0).mean()),
        "cov_cd": len(np.unique(between.argmin(1))) / len(other),
        "one_nna_cd": float((labels[part.argmin(1)] == labels).mean()),
    }


def halves(count: int, replicates: int = REPLICATES, seed: int = SEED) -> list[np.ndarray]:
    """Positions of a random half of the real shapes, for each replicate."""
    rng = np.random.default_rng([seed, count])
    return [rng.permutation(count)[: count // 2] for _ in range(replicates)]


def replicates(meetings: Sequence[PairedSets], real_halves: Sequence[np.ndarray], seed: int) -> Values:
    """Means over draws of the scores of halves, (len(real_halves),) a score; JSD has the first DENSE alone."""
    rng = np.random.default_rng([SEED, seed])
    rows: list[dict[str, float]] = []
    for number, half in enumerate(real_halves):
        parts = []
        for meeting in meetings:
            other = half[half < len(meeting.reference)]  # fewer, where empty shapes were left out
            own = rng.permutation(len(meeting.generated))[: len(other)]
            part = meeting.scores(own, other)
            if number < DENSE:
                part["jsd"] = jensen_shannon(meeting.generated.voxels[own], meeting.reference.voxels[other])
            parts.append(part)
        rows.append({name: float(np.mean([part[name] for part in parts])) for name in parts[0]})
    return {name: np.array([row[name] for row in rows if name in row]) for name in rows[0]}


def standard_errors(generated: Sequence[PairedSets], floor: Sequence[PairedSets]) -> tuple[dict, dict, float | None]:
    """Standard errors of each score's mean over draws, of the generated shapes and of the floor, and of the excess.

    Args:
        generated: draws against a reference, or its beginning; may be empty.
        floor: draws against the same reference, or its beginning; may be empty.

    Returns:
        Errors by score for both, and that of the difference of the two 1-NNA-CD (None without both).
    """
    every = [*generated, *floor]
    if not every:
        return {}, {}, None
    real = halves(max(len(meeting.reference) for meeting in every))
    own = replicates(generated, real, 0) if generated else {}
    least = replicates(floor, real, 1) if floor else {}
    name = "one_nna_cd"
    excess = float(np.std(own[name] - least[name], ddof=1)) if own and least else None
    return _spread(own), _spread(least), excess


def _spread(values: Values) -> dict[str, float]:
    return {name: float(np.std(found, ddof=1)) for name, found in values.items()}
