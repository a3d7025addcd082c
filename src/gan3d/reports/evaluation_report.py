"""The evaluation report: scores with floors and intervals, and pictures of random samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.dataset import VoxelDataset, resolution_key
from gan3d.metrics.evaluation import ModelEvaluation
from gan3d.metrics.intervals import Z_95
from gan3d.metrics.protocol import EXCESS, MEAN
from gan3d.metrics.rows import ClassScores, class_scores, most_telling
from gan3d.metrics.table import BY_KEY, SCORES, WITH_REFERENCE, Score
from gan3d.rendering import charts, document
from gan3d.rendering.charts import Mark
from gan3d.rendering.document import Markup, shorten
from gan3d.rendering.sheets import sheet
from gan3d.rendering.voxels import class_color

SHOWN = 8  # shapes in a row of a picture
CLASSES = 12  # that have pictures
TABLED = 48  # classes in the chart and the tables: more would fill metres
SIZE = 132  # pixels of a shape
ONE_NNA = BY_KEY["one_nna_cd"]
TILES = ("cov_cd", "mmd_cd_x1e3", "largest_piece_generated", "copied_generated")  # besides 1-NNA-CD

GLOSSARY = {
    "real (the floor)": (
        "Training shapes scored against the same test shapes: what a perfect generator would reach. For"
        f" {WITH_REFERENCE}: the test shapes themselves."
    ),
    "±": (
        "Half the width of a 95 % interval. It covers both sources of chance: which shapes were generated, and which"
        " real shapes are in the test split. It is estimated from random halves of the shapes."
    ),
    "distance": "Squared Chamfer distance between surface voxels, in a cube of edge 1.",
}


@dataclass(frozen=True)
class Evaluation:
    """What the report shows.

    Attributes:
        name: of the model.
        stages: the evaluation at each resolution.
        sheets: by resolution, random samples next to real shapes, uint8 (H, W, 3).
    """

    name: str
    stages: Sequence[ModelEvaluation]
    sheets: Mapping[int, np.ndarray]

    @property
    def final(self) -> ModelEvaluation:
        """That of the highest resolution."""
        return max(self.stages, key=lambda stage: stage.resolution)


def write(path: Path, evaluation: Evaluation, data: VoxelDataset, training: str = "") -> Path:
    """Write the report; equal evaluations give equal bytes.

    Args:
        training: markup about the trainings.
    """
    scores = class_scores(evaluation.final.rows, evaluation.final.resolution)
    parts = [
        _overview(scores),
        _scores(scores),
        _samples(evaluation.final, data),
        _copying(evaluation.final, data),
        _measures(evaluation.final),
        _interpolations(evaluation.final, data),
        _stages(evaluation),
        training,
        _glossary(),
    ]
    return document.write(path, f"{evaluation.name} at {evaluation.final.resolution}³: evaluation", parts)


def _overview(classes: Sequence[ClassScores]) -> str:
    mean = _mean(classes)
    tiles = [
        (ONE_NNA.heading, _large(ONE_NNA, mean.generated), f"real {_real_text(ONE_NNA, mean)}; ideal 0.5"),
        ("above the floor", _large(ONE_NNA, mean.generated, EXCESS), f"of {ONE_NNA.heading}"),
    ]
    for score in (BY_KEY[key] for key in TILES):
        tiles.append((score.heading, _large(score, mean.generated), f"real {_real_text(score, mean)}"))
    return document.tiles(tiles) + f"<p>{sentence(mean)}</p>"


def sentence(scores: ClassScores) -> str:
    """What the scores of a class, or their means, say in words."""
    row = scores.generated
    if row.get("one_nna_cd") is None or row.get(EXCESS) is None:
        note = row.get("note", "no scores: too few shapes remain")
        return document.text(f"{note[0].upper()}{note[1:]}.")
    excess, half = row[EXCESS], Z_95 * (row.get(f"{EXCESS}_se") or 0.0)
    words = (
        f"A nearest-neighbour classifier tells generated from real shapes in {row['one_nna_cd']:.0%} of all cases. For"
        f" real training shapes it is {scores.floor['one_nna_cd']:.0%}, and 50% would be chance. "
    )
    if excess <= half:
        words += "The difference is within chance for this number of shapes: they cannot be told from real ones."
    else:
        words += f"The generated shapes can be told from real ones: they are {excess:.2f} ± {half:.2f} above the floor."
    copied, real = row.get("copied_generated"), row.get("copied_reference")
    if copied is not None and real is not None:
        word = "more" if copied > real + 0.02 else "no more"
        words += f" {copied:.0%} equal a training shape, {word} than among held-out real shapes ({real:.0%})."
    return document.text(words)


def _scores(classes: Sequence[ClassScores]) -> str:
    key, first = ONE_NNA.key, classes[0].generated
    classes = most_telling(classes, TABLED)
    marks = [
        Mark(
            shorten(scores.name),
            scores.generated[key],
            _half(scores.generated.get(f"{key}_se")),
            scores.floor[key],
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
    chart = charts.intervals(marks, max(0.0, float(low)), 1.0, ideal=0.5, label=ONE_NNA.heading)
    note = (
        f"Up to {first['generated']} generated shapes per class against as many test shapes, averaged over"
        f" {first['draws']} draws. A fixed protocol draws all shapes. The columns are explained at the end."
    )
    chart = f'<div class="wide" role="group" aria-label="Chart" tabindex="0">{chart}</div>'
    return f"<h2>Scores</h2><p class=note>{note}</p>{chart}{_table(classes)}"


def _table(classes: Sequence[ClassScores]) -> str:
    rows: list[list[object]] = []
    shown = most_telling(classes, TABLED)
    for scores in shown:
        row = scores.generated
        cells = [_cell(score, row.get(score.key), row.get(f"{score.key}_se")) for score in SCORES]
        rows.append([scores.name, "generated", *cells])
        rows.append(["", "real (the floor)", *(_cell(score, *score.real(row, scores.floor)) for score in SCORES)])
    head = ["class", "shapes", *(score.heading for score in SCORES)]
    notes = dict.fromkeys(scores.generated["note"] for scores in shown if "note" in scores.generated)
    if len(shown) < len(classes):
        notes[f"The {TABLED} classes with the worst {ONE_NNA.heading}, of {len(classes) - 1:,}; table.json has all"] = (
            None
        )
    table = document.table(head, rows, faint=range(1, len(rows), 2), numeric=range(2, len(head)))
    return table + "".join(f"<p class=note>{document.text(note)}.</p>" for note in notes)


def _samples(evaluation: ModelEvaluation, data: VoxelDataset) -> str:
    shapes, titles, colors = [], [], []
    for scored in evaluation.classes[:CLASSES]:
        for kind, row in (("generated", scored.generated), ("real", scored.reference)):
            shapes += _row(row)
            titles.append(f"{shorten(scored.name)}, {kind}")
            colors += [_color(data, scored.name)] * SHOWN
    empty = sum(scored.rows[0]["empty_generated"] for scored in evaluation.classes)
    left_out = f" {empty} empty shapes were left out." if empty else ""
    note = f"The first {SHOWN} shapes of the first draw above the first {SHOWN} test shapes, per class.{left_out}"
    picture = sheet(shapes, SHOWN, titles, size=SIZE, up=data.up, colors=colors)
    return f"<h2>Random shapes above held-out real ones</h2><p class=note>{note}{_more(evaluation)}</p>" + (
        document.image(picture, "random generated shapes above real ones")
    )


def _copying(evaluation: ModelEvaluation, data: VoxelDataset) -> str:
    """Samples above their nearest training shapes: random samples, and those that are nearest to any."""
    parts = []
    for scored in evaluation.classes[:CLASSES]:
        if scored.neighbours is None:
            continue
        distances = scored.measures["novelty"][0][: len(scored.generated)]
        nearest_first = np.argsort(distances, kind="stable")[:SHOWN]
        parts.append(f"<h3>{document.text(scored.name)}</h3><div class=side>")
        for title, rows in (("random", np.arange(min(SHOWN, len(distances)))), ("the nearest", nearest_first)):
            neighbours = data.voxels(evaluation.resolution, scored.neighbours[rows])
            captions = [""] * SHOWN + [f"{1e3 * distances[i]:.1f}" for i in rows]
            shapes = _row(scored.generated[rows]) + _row(neighbours)
            color = _color(data, scored.name)
            picture = document.image(sheet(shapes, SHOWN, None, captions, size=77, up=data.up, colors=color), title)
            parts.append(f"<figure><figcaption>{title}</figcaption>{picture}</figure>")
        parts.append("</div>")
    if not parts:
        return ""
    note = (
        "Generated shapes above the training shape nearest to each, with the distance × 10³ (0.0 is a copy). Left: the"
        " first shapes of a draw. Right: the shapes of that draw that are nearest to any training shape."
    )
    histograms = []
    for scored in evaluation.classes[:CLASSES]:
        if "novelty" in scored.measures:
            generated, real = (1e3 * values for values in scored.measures["novelty"])
            histograms.append(charts.histogram(generated, real, f"{shorten(scored.name)}: novelty × 10³"))
    about = (
        "Distance to the nearest training shape, of all generated shapes and of held-out real ones. Dashed lines are"
        " medians. If the generator copies, its distribution lies to the left of that of real shapes."
    )
    return (
        f"<h2>Does it copy?</h2><p class=note>{note}</p>{''.join(parts)}"
        f"<p class=note>{about}</p><div class=side>{''.join(histograms)}</div>"
    )


def _measures(evaluation: ModelEvaluation) -> str:
    parts = []
    for scored in evaluation.classes[:CLASSES]:
        occupancy, component = scored.measures["occupancy"], scored.measures["largest_component"]
        name = shorten(scored.name)
        parts.append(charts.histogram(*occupancy, title=f"{name}: occupancy", percent=True))
        parts.append(charts.histogram(*component, title=f"{name}: largest component", high=1.0, percent=True))
    note = (
        "Share of the grid that a shape occupies, and share of its voxels in its largest connected component, with"
        " dashed medians."
    )
    return f"<h2>Occupancy and connectivity</h2><p class=note>{note}</p><div class=side>{''.join(parts)}</div>"


def _interpolations(evaluation: ModelEvaluation, data: VoxelDataset) -> str:
    paths = dict(list(evaluation.interpolations.items())[:CLASSES])
    shapes = [shape for path in paths.values() for shape in path]
    colors = [_color(data, name) for name, path in paths.items() for _ in path]
    columns = len(next(iter(paths.values())))
    picture = sheet(shapes, columns, [shorten(name) for name in paths], size=SIZE, up=data.up, colors=colors)
    note = "From one latent vector to another, the same two for all classes. Every step should be a whole shape."
    return f"<h2>Interpolations</h2><p class=note>{note}</p>" + document.image(picture, "interpolations")


def _stages(evaluation: Evaluation) -> str:
    parts = ["<h2>All resolutions</h2>"]
    for stage in evaluation.stages:
        opened = " open" if len(evaluation.stages) == 1 else ""
        classes = class_scores(stage.rows, stage.resolution)
        mean = _mean(classes)
        value = _with_half(ONE_NNA, mean.generated.get(ONE_NNA.key), mean.generated.get(f"{ONE_NNA.key}_se"))
        summary = f"{stage.resolution}³: {ONE_NNA.heading} {value}, real {_real_text(ONE_NNA, mean)}"
        picture = document.image(
            evaluation.sheets[stage.resolution], f"random shapes at {resolution_key(stage.resolution)}"
        )
        parts.append(
            f"<details{opened}><summary>{document.text(summary)}</summary>{_table(classes)}{picture}</details>"
        )
    return "".join(parts)


def _glossary() -> str:
    entries = {score.heading: f"{score.meaning} {score.guidance}" for score in SCORES} | GLOSSARY
    terms = "".join(f"<dt>{document.text(k)}</dt><dd>{document.text(v)}</dd>" for k, v in entries.items())
    return f"<h2>What the columns mean</h2><dl>{terms}</dl>"


def _mean(classes: Sequence[ClassScores]) -> ClassScores:
    return next(scores for scores in classes if scores.name == MEAN)


def _half(error: float | None) -> float | None:
    """Half the width of a 95 % interval."""
    return None if error is None else Z_95 * error


def _with_half(score: Score, value: float | None, error: float | None) -> str:
    half = _half(error)
    return score.text(value) + ("" if half is None or value is None else f" ± {score.text(half)}")


def _real_text(score: Score, scores: ClassScores) -> str:
    """The value of real shapes, with its interval where it is a score of its own."""
    value, error = score.real(scores.generated, scores.floor)
    return _with_half(score, value, error if score.reference is None else None)


def _large(score: Score, row: Mapping[str, Any], key: str | None = None) -> Markup:
    """A score for a tile, with a small interval."""
    key = key or score.key
    value, _, half = _with_half(score, row.get(key), row.get(f"{key}_se")).partition(" ± ")
    return Markup(f"{value} <i>± {half}</i>" if half else value)


def _cell(score: Score, value: float | None, error: float | None) -> Markup:
    text, _, half = _with_half(score, value, error or None).partition(" ± ")
    return Markup(f"{text} <small>± {half}</small>" if half else text)


def _row(shapes: np.ndarray) -> list[np.ndarray]:
    """SHOWN shapes; empty ones fill a row that is too short."""
    shown = list(shapes[:SHOWN])
    return shown + [np.zeros(shapes.shape[1:], bool)] * (SHOWN - len(shown))


def _color(data: VoxelDataset, name: str) -> tuple[int, int, int]:
    return class_color(data.classes.index(name))


def _more(evaluation: ModelEvaluation) -> str:
    count = len(evaluation.classes)
    return f" The first {CLASSES} of {count} classes." if count > CLASSES else ""
