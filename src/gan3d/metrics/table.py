"""The table of scores: what each is called, how it is printed, and what it means.

Everything that shows a score, compares two models by it or searches for a better one reads this table. The scores are
computed in `gan3d.metrics.scores` and `gan3d.metrics.comparison`, whose names are the keys here, in files, in MLflow
and in registered versions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Direction = Literal["lower", "higher", "nearest to 0.5", "nearest to 0", "match the real shapes"]


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        key: its name in files, MLflow and tags.
        heading: its name for people.
        digits: decimal places.
        better: which values are better.
        group: the table that shows it, one of GROUPS.
        meaning: one sentence or two.
        blind: what it cannot see, as a sentence.
        reference: key of the same measure of the test shapes, in the same row; None where real training shapes are
            scored instead, in the row of kind "floor".
        summary: its name in `evaluation/scores.json`, the few numbers that DVC compares; None leaves it out.
        objective: whether a sweep may optimise it.
        published: whether its mean is shown with an experiment and with a registered version.
    """

    key: str
    heading: str
    digits: int
    better: Direction
    group: str
    meaning: str
    blind: str
    reference: str | None = None
    summary: str | None = None
    objective: bool = False
    published: bool = False

    def text(self, value: float | None) -> str:
        """A value of this score for people."""
        return "–" if value is None else f"{value:.{self.digits}f}"

    def real(
        self, generated: Mapping[str, Any], floor: Mapping[str, Any], spread: str = "se"
    ) -> tuple[float | None, float | None]:
        """The value of the real shapes, from the two rows of a class, with its standard error (or "std" deviation)."""
        row, key = (floor, self.key) if self.reference is None else (generated, self.reference)
        return row.get(key), row.get(f"{key}_{spread}")

    @property
    def guidance(self) -> str:
        """Which values are better, as a sentence."""
        return {
            "lower": "Lower is better.",
            "higher": "Higher is better.",
            "nearest to 0.5": "0.5 is best.",
            "nearest to 0": "0 is best.",
            "match the real shapes": "It should match the real shapes.",
        }[self.better]

    def loss(self, value: float) -> float:
        """A number that is lower the better the value is; a 1-NNA below 0.5 comes from chance or copies, so it ties."""
        match self.better:
            case "higher":
                return -value
            case "nearest to 0.5":
                return max(value, 0.5)
            case "nearest to 0":
                return abs(value)
            case _:
                return value


TOLD, VARIETY, FEATURES, SHAPES, COPYING = "told apart", "variety", "in features", "single shapes", "copying"
GROUPS = (TOLD, VARIETY, FEATURES, SHAPES, COPYING)  # in the order of tables

SCORES = (  # in the order of columns
    Score(
        "excess",
        "excess",
        3,
        "lower",
        TOLD,
        "Mean of the excesses of 1-NNA-CD and of both tells above their floors, none of them below 0: how much more"
        " easily than real shapes generated ones are told. Look at this score first; it decides which version becomes"
        " champion.",
        "Faults that none of the three sees, such as copies.",
        summary="excess",
        objective=True,
        published=True,
    ),
    Score(
        "one_nna_cd",
        "1-NNA-CD",
        3,
        "nearest to 0.5",
        TOLD,
        "Share of shapes whose nearest neighbour, among generated and real shapes mixed, is of the same kind. At 0.5"
        " the two kinds cannot be told apart; at 1 they always can.",
        "Faults of a few voxels: asymmetry, cracks, ragged edges.",
        summary="one_nna_cd",
        objective=True,
        published=True,
    ),
    Score(
        "tell_structure",
        "tell: structure",
        3,
        "nearest to 0.5",
        TOLD,
        "How well boosted trees tell generated from real shapes by eight statistics: pieces, tunnels, cavities, thin"
        " parts, flat faces, fullness, surface and asymmetry. Area under the ROC curve; at 0.5 they cannot, at 1 they"
        " always can.",
        "Whether parts are where they belong, missing kinds of shapes, and copies.",
        summary="tell_structure",
        published=True,
    ),
    Score(
        "tell_patterns",
        "tell: patterns",
        3,
        "nearest to 0.5",
        TOLD,
        "The same by the shares of the 20 kinds of 2×2×2 blocks: ragged edges, spurs and holes have others than"
        " straight edges and flat faces.",
        "Anything larger than two voxels, such as a leg that is missing, and copies.",
        summary="tell_patterns",
        published=True,
    ),
    Score(
        "cov_cd",
        "COV-CD",
        3,
        "higher",
        VARIETY,
        "Share of the real shapes that are the nearest real shape of some generated one. It is low when the generator"
        " misses kinds of shapes.",
        "Whether shapes are any good: bad ones can cover well.",
        objective=True,
        published=True,
    ),
    Score(
        "mmd_cd_x1e3",
        "MMD-CD × 10³",
        2,
        "lower",
        VARIETY,
        "Mean distance from a real shape to the nearest generated one. It is low when every real shape has a similar"
        " generated one.",
        "Bad shapes beside good ones, and small faults.",
        objective=True,
        published=True,
    ),
    Score(
        "jsd",
        "JSD",
        4,
        "lower",
        VARIETY,
        "Jensen-Shannon divergence between the mean occupancy grids of the two sets; 0 means that both fill space"
        " equally.",
        "Single shapes: only their mean counts.",
        objective=True,
    ),
    Score(
        "precision",
        "precision",
        3,
        "higher",
        FEATURES,
        "Share of generated shapes that lie, in the features of a small network, no farther from some real shape than"
        " its fifth nearest real neighbour.",
        "Missing kinds of shapes; one outlier among the real shapes lets much pass.",
    ),
    Score(
        "recall",
        "recall",
        3,
        "higher",
        FEATURES,
        "Share of real shapes that lie as near to some generated one: low when the generator misses kinds of shapes.",
        "Whether shapes are good: scattered bad ones have wide neighbourhoods.",
    ),
    Score(
        "density",
        "density",
        3,
        "higher",
        FEATURES,
        "In how many neighbourhoods of real shapes a generated one lies, on average, divided by five; about 1 for real"
        " shapes. Above 1, shapes are more typical than real ones.",
        "Missing kinds of shapes.",
    ),
    Score(
        "coverage",
        "coverage",
        3,
        "higher",
        FEATURES,
        "Share of real shapes in whose neighbourhood a generated one lies.",
        "Bad shapes beside good ones.",
    ),
    Score(
        "frechet",
        "Fréchet distance",
        2,
        "lower",
        FEATURES,
        "Fréchet distance between both sets in features, as if they were normally distributed. It depends on the number"
        " of shapes: compare it with the floor alone.",
        "Single shapes, and what the network has not learned to see.",
    ),
    Score(
        "kernel_x1e3",
        "kernel distance × 10³",
        2,
        "lower",
        FEATURES,
        "Squared distance between both sets in a polynomial kernel of the features; 0 for equal distributions, whatever"
        " the number of shapes.",
        "Single shapes, and what the network has not learned to see.",
    ),
    Score(
        "stands_generated",
        "stands",
        3,
        "match the real shapes",
        SHAPES,
        "Share of shapes that would stand where they are put: the centre of their voxels lies above the convex hull of"
        " their lowest layer.",
        "Whether they look like anything: a cube stands.",
        reference="stands_reference",
        published=True,
    ),
    Score(
        "largest_piece_generated",
        "largest component",
        3,
        "match the real shapes",
        SHAPES,
        "Share of a shape's voxels in its largest connected component.",
        "Whether the component has the right form.",
        reference="largest_piece_reference",
    ),
    Score(
        "occupancy_generated",
        "occupancy",
        4,
        "match the real shapes",
        SHAPES,
        "Share of the grid that a shape occupies.",
        "Where the voxels are.",
        reference="occupancy_reference",
    ),
    Score(
        "novelty_generated_x1e3",
        "novelty × 10³",
        2,
        "match the real shapes",
        COPYING,
        "Median distance to the nearest training shape. Far below that of the test shapes, the generator copies.",
        "A few copies among many new shapes.",
        reference="novelty_reference_x1e3",
    ),
    Score(
        "copied_generated",
        "copies",
        3,
        "match the real shapes",
        COPYING,
        "Share of shapes that equal a training shape voxel by voxel.",
        "Copies with one voxel changed.",
        reference="copied_reference",
    ),
    Score(
        "copying_z",
        "copying Z",
        1,
        "nearest to 0",
        COPYING,
        "Three-sample test of memorising: whether generated shapes lie nearer to training shapes than held-out real"
        " ones do, in standard deviations. Below -2 the generator copies; above 2 its shapes are farther away.",
        "Copies that shapes far from all training shapes outweigh.",
    ),
)
BY_KEY = {score.key: score for score in SCORES}
WITH_REFERENCE = ", ".join(score.heading for score in SCORES if score.reference)  # compared with the test shapes
PUBLISHED = tuple(score for score in SCORES if score.published)
DIRECTIONS = {  # of the objectives of a sweep, as Optuna names them
    score.key: "maximize" if score.better == "higher" else "minimize" for score in SCORES if score.objective
}


def grouped() -> dict[str, list[Score]]:
    """The scores of each group, in the order of GROUPS."""
    return {group: [score for score in SCORES if score.group == group] for group in GROUPS}
