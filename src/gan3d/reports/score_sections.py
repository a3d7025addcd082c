"""Parts of a report that show scores: tiles, a sentence, charts, tables, what gives shapes away, a glossary."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gan3d.metrics.comparison import EXCESS, EXCESSES
from gan3d.metrics.rows import MEAN, Z_95, ClassScores, most_telling
from gan3d.metrics.scores import TELL_SCORES
from gan3d.metrics.table import BY_KEY, SCORES, WITH_REFERENCE, Score, grouped
from gan3d.metrics.tell import telling_words
from gan3d.rendering import charts, document
from gan3d.rendering.charts import Mark
from gan3d.rendering.document import Markup, shorten

TABLED = 48  # classes in the charts and the tables: more would fill metres
EXCESS_SCORE = BY_KEY["excess"]
CHARTS = ("one_nna_cd", *TELL_SCORES)
TILES = (*CHARTS, "cov_cd", "stands_generated", "copied_generated")  # besides the excess

GLOSSARY = {
    "real (the floor)": (
        "Training shapes scored against the same test shapes: what a perfect generator would reach. For"
        f" {WITH_REFERENCE}: the test shapes themselves."
    ),
    "±": (
        "Half the width of a 95 % interval. It covers both sources of chance: which shapes were generated, and which"
        " real shapes are in the test split. It is estimated from random halves of the shapes, and for the tells from"
        " the ranks of the shapes that judge."
    ),
    "distance": "Squared Chamfer distance between surface voxels, in a cube of edge 1.",
}


def overview(classes: Sequence[ClassScores]) -> str:
    """Tiles and a sentence on the mean over classes."""
    mean = mean_of(classes)
    tiles = []
    for score in (EXCESS_SCORE, *(BY_KEY[key] for key in TILES)):
        ideal = "; ideal 0.5" if score.better == "nearest to 0.5" else ""
        below = (
            "of 1-NNA and both tells, above real shapes"
            if score is EXCESS_SCORE
            else f"real {real_text(score, mean)}{ideal}"
        )
        tiles.append((score.heading, _large(score, mean.generated), below))
    return document.tiles(tiles) + f"<p>{sentence(mean)}</p>"


def sentence(scores: ClassScores) -> str:
    """What the scores of a class, or their means, say in words."""
    row, floor = scores.generated, scores.floor
    if row.get("one_nna_cd") is None or row.get(EXCESS) is None:
        note = row.get("note", "no scores: too few shapes remain")
        return document.text(f"{note[0].upper()}{note[1:]}.")
    words = (
        f"A nearest-neighbour classifier tells generated from real shapes in {row['one_nna_cd']:.0%} of all cases. For"
        f" real training shapes it is {floor['one_nna_cd']:.0%}, and 50% would be chance. "
    )
    if row.get("tell_structure") is not None:
        words += (
            f"A classifier that sees their structure finds the generated one of two shapes in"
            f" {row['tell_structure']:.0%}, one that sees small patterns in {row['tell_patterns']:.0%}. "
        )
    told = {}
    for key, name in zip(EXCESSES, ("distance", "structure", "patterns"), strict=True):
        if row.get(key) is not None and row[key] > (half := Z_95 * (row.get(f"{key}_se") or 0.0)):
            told[name] = f"{row[key]:.2f} ± {half:.2f}"
    if told:
        by = ", ".join(f"{excess} by {name}" for name, excess in told.items())
        words += f"The generated shapes can be told from real ones: they are {by} above the floor."
    else:
        words += "The difference is within chance for this number of shapes: they cannot be told from real ones."
    copied, real = row.get("copied_generated"), row.get("copied_reference")
    if copied is not None and real is not None:
        word = "more" if copied > real + 0.02 else "no more"
        words += f" {copied:.0%} equal a training shape, {word} than among held-out real shapes ({real:.0%})."
    return document.text(words)


def scores_section(classes: Sequence[ClassScores]) -> str:
    """Charts of what tells generated from real shapes, what gives them away, and tables of all scores."""
    first = classes[0].generated
    shown = most_telling(classes, TABLED)
    parts = [_chart(shown, BY_KEY[key]) for key in CHARTS]
    note = (
        f"Up to {first['generated']} generated shapes per class against as many test shapes, averaged over"
        f" {first['draws']} draws; the tells learn from training shapes. A fixed protocol draws all shapes. The columns"
        " are explained at the end."
    )
    return (
        f"<h2>Scores</h2><p class=note>{note}</p><div class=side>{''.join(parts)}</div>{_giveaways(shown)}"
        f"{score_tables(classes)}"
    )


def _chart(classes: Sequence[ClassScores], score: Score) -> str:
    key = score.key
    marks = [
        Mark(
            shorten(scores.name),
            scores.generated.get(key),
            _half(scores.generated.get(f"{key}_se")),
            scores.floor.get(key),
            _half(scores.floor.get(f"{key}_se")),
        )
        for scores in classes
    ]
    ends = [
        value - (half or 0)
        for mark in marks
        for value, half in ((mark.value, mark.error), (mark.real, mark.real_error))
        if value is not None
    ]
    low = min([0.4, *(np.floor(10 * value) / 10 for value in ends)])
    chart = charts.intervals(marks, max(0.0, float(low)), 1.0, ideal=0.5, label=score.heading)
    return f'<div class="wide" role="group" aria-label="Chart" tabindex="0">{chart}</div>'


def _giveaways(classes: Sequence[ClassScores]) -> str:
    """What gives the generated shapes of each class away, in words."""
    entries = ""
    for scores in classes:
        words = telling_words(scores.generated)
        if words and scores.name != MEAN:
            entries += f"<li>{document.text(scores.name)}: {document.text('; '.join(words))}</li>"
    note = "In brackets: how well it alone tells generated from real shapes, from 0.5 (not at all) to 1 (always)."
    return f"<h3>What gives generated shapes away</h3><p class=note>{note}</p><ul>{entries}</ul>" if entries else ""


def score_tables(classes: Sequence[ClassScores]) -> str:
    """A table per group of scores, with a row of real shapes below each of generated ones."""
    shown = most_telling(classes, TABLED)
    notes = dict.fromkeys(row["note"] for each in shown for row in (each.generated, each.floor) if "note" in row)
    if len(shown) < len(classes):
        notes[f"The {TABLED} classes told most easily, of {len(classes) - 1:,}; table.json has all"] = None
    tables = [_table(shown, scores) for scores in grouped().values()]
    return "".join(tables) + "".join(f"<p class=note>{document.text(note)}.</p>" for note in notes)


def _table(shown: Sequence[ClassScores], columns: Sequence[Score]) -> str:
    rows: list[list[object]] = []
    for scores in shown:
        row = scores.generated
        cells = [_cell(score, row.get(score.key), row.get(f"{score.key}_se")) for score in columns]
        rows.append([scores.name, "generated", *cells])
        rows.append(["", "real (the floor)", *(_cell(score, *score.real(row, scores.floor)) for score in columns)])
    head = ["class", "shapes", *(score.heading for score in columns)]
    return document.table(head, rows, faint=range(1, len(rows), 2), numeric=range(2, len(head)))


def glossary() -> str:
    """What each score means, which values are better, and what it cannot see."""
    entries = {
        score.heading: f"{score.meaning} {score.guidance} Not seen: {score.blind[0].lower()}{score.blind[1:]}"
        for score in SCORES
    } | GLOSSARY
    terms = "".join(f"<dt>{document.text(k)}</dt><dd>{document.text(v)}</dd>" for k, v in entries.items())
    return f"<h2>What the columns mean</h2><dl>{terms}</dl>"


def mean_of(classes: Sequence[ClassScores]) -> ClassScores:
    """The mean over classes, or the only class."""
    return next((scores for scores in classes if scores.name == MEAN), classes[0])


def heading_text(score: Score, scores: ClassScores) -> str:
    """A score with its interval, and that of real shapes, for a line of text."""
    value = _with_half(score, scores.generated.get(score.key), scores.generated.get(f"{score.key}_se"))
    return f"{score.heading} {value}, real {real_text(score, scores)}"


def _half(error: float | None) -> float | None:
    """Half the width of a 95 % interval."""
    return None if error is None else Z_95 * error


def _with_half(score: Score, value: float | None, error: float | None) -> str:
    half = _half(error)
    return score.text(value) + ("" if half is None or value is None else f" ± {score.text(half)}")


def real_text(score: Score, scores: ClassScores) -> str:
    """The value of real shapes, with its interval where it is a score of its own."""
    value, error = score.real(scores.generated, scores.floor)
    return _with_half(score, value, error if score.reference is None else None)


def _large(score: Score, row: Mapping[str, Any]) -> Markup:
    """A score for a tile, with a small interval."""
    value, _, half = _with_half(score, row.get(score.key), row.get(f"{score.key}_se")).partition(" ± ")
    return Markup(f"{value} <i>± {half}</i>" if half else value)


def _cell(score: Score, value: float | None, error: float | None) -> Markup:
    text, _, half = _with_half(score, value, error or None).partition(" ± ")
    return Markup(f"{text} <small>± {half}</small>" if half else text)
