"""Scores as a table for a terminal."""

from collections.abc import Sequence

from gan3d.dataset import resolution_key
from gan3d.metrics.rows import MEAN, Z_95, ClassScores, Rows, class_scores, for_tables, resolutions
from gan3d.metrics.table import SCORES, Score, grouped
from gan3d.metrics.tell import telling_words

LISTED = 40  # classes in the first table, as many as ModelNet40 has
LEGEND = (
    "real: training shapes scored against the same test shapes (the floor); for the columns on single shapes, novelty"
    " and copies: the test shapes themselves.\n± is half the width of a 95 % interval."
)


def score_text(rows: Rows) -> str:
    """All scores, in one table per group: one row per class and resolution, each above the row of real shapes."""
    shown: list[ClassScores] = []
    rest: list[ClassScores] = []
    notes: dict[str, None] = {}
    for resolution in resolutions(rows):
        all_scores = class_scores(rows, resolution)
        chosen, others = for_tables(all_scores, LISTED)
        if len(chosen) < len(all_scores):
            notes[f"The {LISTED} of {len(all_scores) - 1:,} classes with the worst scores; table.json has all."] = None
        shown += chosen
        rest += others
    for scores in shown:
        notes |= dict.fromkeys(row["note"] for row in (scores.generated, scores.floor) if "note" in row)
    tables = (
        _table(group, columns, rest if number else shown) for number, (group, columns) in enumerate(grouped().items())
    )
    return "\n".join([*(line for table in tables for line in (*table, "")), *told(rest), LEGEND, *notes])


def _table(group: str, columns: Sequence[Score], shown: Sequence[ClassScores]) -> list[str]:
    table = [[group, *(score.heading for score in columns)]]
    for scores in shown:
        title = f"{resolution_key(scores.resolution)} {scores.name}"
        generated, real = score_cells(scores, columns)
        table += [[f"{title} generated", *generated], [f"{title} real", *real]]
    return aligned(table)


def told(shown: Sequence[ClassScores]) -> list[str]:
    """What gives the generated shapes of each class away, a line each; nothing of the mean over classes."""
    lines = []
    for scores in shown:
        words = telling_words(scores.generated)
        if words and scores.name != MEAN:
            lines.append(f"{resolution_key(scores.resolution)} {scores.name}: {'; '.join(words)}")
    title = "What gives generated shapes away, and how well it alone tells (0.5 nothing, 1 always):"
    return [title, *lines, ""] if lines else []


def score_cells(scores: ClassScores, columns: Sequence[Score] = SCORES) -> tuple[list[str], list[str]]:
    """The cells of a class, one per score: of the generated shapes, and of the real ones."""
    return [_generated(score, scores) for score in columns], [_real(score, scores) for score in columns]


def aligned(table: list[list[str]]) -> list[str]:
    """Align the cells of a table: the first column to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]


def _generated(score: Score, scores: ClassScores) -> str:
    return _cell(score, scores.generated.get(score.key), scores.generated.get(f"{score.key}_se"))


def _real(score: Score, scores: ClassScores) -> str:
    return _cell(score, *score.real(scores.generated, scores.floor))


def _cell(score: Score, value: float | None, error: float | None) -> str:
    """A score and half the width of its 95 % interval."""
    half = f" ±{Z_95 * error:.{score.digits}f}" if value is not None and error is not None else ""
    return score.text(value) + half
