"""Scores as a table for a terminal."""

from gan3d.dataset import resolution_key
from gan3d.metrics.intervals import Z_95
from gan3d.metrics.rows import ClassScores, Rows, class_scores, most_telling, resolutions
from gan3d.metrics.table import SCORES, WITH_REFERENCE, Score

LISTED = 48  # classes in the table
LEGEND = (
    f"real: training shapes scored against the same test shapes (the floor); for {WITH_REFERENCE}: the test shapes"
    " themselves.\n± is half the width of a 95 % interval."
)


def score_text(rows: Rows) -> str:
    """All scores, one row per class and resolution, each above the row of real shapes."""
    table = [["", *(score.heading for score in SCORES)]]
    notes: dict[str, None] = {}
    for resolution in resolutions(rows):
        all_scores = class_scores(rows, resolution)
        shown = most_telling(all_scores, LISTED)
        if len(shown) < len(all_scores):
            notes[f"The {LISTED} of {len(all_scores) - 1:,} classes with the worst scores; table.json has all."] = None
        for scores in shown:
            title = f"{resolution_key(resolution)} {scores.name}"
            generated, real = score_cells(scores)
            table += [[f"{title} generated", *generated], [f"{title} real", *real]]
            if "note" in scores.generated:
                notes[scores.generated["note"]] = None
    return "\n".join([*aligned(table), LEGEND, *notes])


def score_cells(scores: ClassScores) -> tuple[list[str], list[str]]:
    """The cells of a class, one per score: of the generated shapes, and of the real ones."""
    return [_generated(score, scores) for score in SCORES], [_real(score, scores) for score in SCORES]


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
