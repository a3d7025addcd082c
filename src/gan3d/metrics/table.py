"""The table of scores: what each is called, how it is printed, and what it means.

Everything that shows a score, compares two models by it or searches for a better one reads this table. The scores are
computed in `gan3d.metrics.scores`, whose names are the keys here, in files, in MLflow and in registered versions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Direction = Literal["lower", "higher", "nearest to 0.5", "match the real shapes"]


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        key: its name in files, MLflow and tags.
        heading: its name for people.
        digits: decimal places.
        better: which values are better.
        meaning: one sentence or two.
        reference: key of the same measure of the test shapes, in the same row; None where real training shapes are
            scored instead, in the row of kind "floor".
        summary: its name in `evaluation/scores.json`, the few numbers that DVC compares; None leaves it out.
        objective: whether a sweep may optimise it.
        tagged: whether a registered version carries its mean as a tag.
    """

    key: str
    heading: str
    digits: int
    better: Direction
    meaning: str
    reference: str | None = None
    summary: str | None = None
    objective: bool = False
    tagged: bool = False

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
            "match the real shapes": "It should match the real shapes.",
        }[self.better]

    def loss(self, value: float) -> float:
        """A number that is lower the better the value is; a 1-NNA below 0.5 comes from chance or copies, so it ties."""
        match self.better:
            case "higher":
                return -value
            case "nearest to 0.5":
                return max(value, 0.5)
            case _:
                return value


SCORES = (  # in the order of columns
    Score(
        "one_nna_cd",
        "1-NNA-CD",
        3,
        "nearest to 0.5",
        "Share of shapes whose nearest neighbour, among generated and real shapes mixed, is of the same kind. At 0.5"
        " the two kinds cannot be told apart; at 1 they always can. Look at this score first.",
        summary="one_nna_cd",
        objective=True,
        tagged=True,
    ),
    Score(
        "cov_cd",
        "COV-CD",
        3,
        "higher",
        "Share of the real shapes that are the nearest real shape of some generated one. It is low when the generator"
        " misses kinds of shapes.",
        objective=True,
        tagged=True,
    ),
    Score(
        "mmd_cd_x1e3",
        "MMD-CD × 10³",
        2,
        "lower",
        "Mean distance from a real shape to the nearest generated one. It is low when every real shape has a similar"
        " generated one.",
        objective=True,
        tagged=True,
    ),
    Score(
        "jsd",
        "JSD",
        4,
        "lower",
        "Jensen-Shannon divergence between the mean occupancy grids of the two sets; 0 means that both fill space"
        " equally.",
        objective=True,
    ),
    Score(
        "largest_piece_generated",
        "largest component",
        3,
        "match the real shapes",
        "Share of a shape's voxels in its largest connected component.",
        reference="largest_piece_reference",
    ),
    Score(
        "occupancy_generated",
        "occupancy",
        4,
        "match the real shapes",
        "Share of the grid that a shape occupies.",
        reference="occupancy_reference",
    ),
    Score(
        "novelty_generated_x1e3",
        "novelty × 10³",
        2,
        "match the real shapes",
        "Median distance to the nearest training shape. Far below that of the test shapes, the generator copies.",
        reference="novelty_reference_x1e3",
    ),
    Score(
        "copied_generated",
        "copies",
        3,
        "match the real shapes",
        "Share of shapes that equal a training shape voxel by voxel.",
        reference="copied_reference",
    ),
)
BY_KEY = {score.key: score for score in SCORES}
WITH_REFERENCE = ", ".join(score.heading for score in SCORES if score.reference)  # compared with the test shapes
TAGGED = tuple(score for score in SCORES if score.tagged)
DIRECTIONS = {  # of the objectives of a sweep, as Optuna names them
    score.key: "maximize" if score.better == "higher" else "minimize" for score in SCORES if score.objective
}
