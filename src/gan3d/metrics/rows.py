"""Rows of scores, as the protocol gives them: written, read, selected, and paired with their floor."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan3d.errors import UserError
from gan3d.metrics.table import SCORES
from gan3d.outputs import write_text

Row = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]
MEAN = "mean"  # the class of the rows that average over classes
Z_95 = 1.96  # standard errors from the middle of a 95 % interval to its end


@dataclass(frozen=True)
class ClassScores:
    """The two rows of one class, or of the mean over classes, at one resolution."""

    generated: Mapping[str, Any]
    floor: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The class, or "mean"."""
        return self.generated["class"]

    @property
    def resolution(self) -> int:
        """Voxels along an edge."""
        return self.generated["resolution"]


def class_scores(rows: Rows, resolution: int) -> list[ClassScores]:
    """Pair the rows of generated shapes at a resolution with those of the floor."""
    generated, floors = (select(rows, kind=kind, resolution=resolution) for kind in ("generated", "floor"))
    floor_of = {row["class"]: row for row in floors}
    return [ClassScores(row, floor_of[row["class"]]) for row in generated]


def class_mean(rows: Rows, resolution: int) -> ClassScores:
    """The mean over classes at a resolution."""
    return next(scores for scores in class_scores(rows, resolution) if scores.name == MEAN)


def most_telling(scores: Sequence[ClassScores], count: int) -> list[ClassScores]:
    """All classes in their order, or the `count` that are told most easily, the worst first; the mean last."""
    classes = [each for each in scores if each.name != MEAN]
    if len(classes) > count:
        classes = sorted(classes, key=_worst_first)[:count]
    return classes + [each for each in scores if each.name == MEAN]


def for_tables(scores: Sequence[ClassScores], count: int) -> tuple[list[ClassScores], list[ClassScores]]:
    """The scores in the first table, and in the others, which show only the mean of more than `count` classes."""
    chosen = most_telling(scores, count)
    return chosen, chosen if len(chosen) == len(scores) else [each for each in chosen if each.name == MEAN]


def _worst_first(scores: ClassScores) -> tuple[float, float]:
    excess, accuracy = (scores.generated.get(key) or 0.0 for key in ("excess", "one_nna_cd"))
    return -excess, -accuracy


def select(rows: Rows, **wanted: Any) -> list[Row]:
    """The rows with these values, such as kind="generated" or resolution=16."""
    return [dict(row) for row in rows if all(row[name] == value for name, value in wanted.items())]


def without_mean(rows: Rows) -> list[Row]:
    """The rows of single classes."""
    return [dict(row) for row in rows if row["class"] != MEAN]


def resolutions(rows: Rows) -> Iterator[int]:
    """Each resolution once, in the order of the rows."""
    yield from dict.fromkeys(row["resolution"] for row in rows)


def rounded(row: Mapping[str, Any]) -> Row:
    """A row with six significant digits: all that a hundred shapes can tell, in a file whose diff can be read."""
    return {
        name: float(f"{value:.6g}")
        if isinstance(value, float)
        else rounded(value)
        if isinstance(value, Mapping)
        else value
        for name, value in row.items()
    }


ARROWS = {"higher": "↑", "match the real shapes": "≈"}  # in names of metrics; any other score is better the lower


def summary(mean: ClassScores) -> dict[str, float | None]:
    """The few numbers that DVC shows and compares: means over classes, each followed by that of real shapes.

    An arrow in the name says which values are better, as `one_nna_cd↓`.
    """
    values: dict[str, float | None] = {}
    for score in SCORES:
        if score.summary is not None:
            values[f"{score.summary}{ARROWS.get(score.better, '↓')}"] = mean.generated.get(score.key)
            real, _ = score.real(mean.generated, mean.floor)
            if real is not None:
                values[f"{score.summary}_floor"] = real
    return {name: None if value is None else float(f"{value:.4g}") for name, value in values.items()}


def write_json(path: Path, tree: Any) -> None:
    """Write JSON; equal trees give equal bytes."""
    write_text(path, json.dumps(tree, indent=2, ensure_ascii=False) + "\n")


def read_rows(path: Path) -> list[Row]:
    """Read `evaluation/table.json`.

    Raises:
        UserError: if the file is missing, damaged, or has the layout of an older version.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: run `gan3d evaluate` first.")
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): run `gan3d evaluate` again.") from error
    if not isinstance(rows, list):
        raise UserError(f"{path} has the layout of an older version of gan3d: run `gan3d evaluate` again.")
    return rows
