"""The evaluation report: scores with floors and intervals, and pictures of random samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan3d.dataset import VoxelDataset, resolution_key
from gan3d.metrics.evaluation import ModelEvaluation
from gan3d.metrics.rows import class_scores
from gan3d.rendering import charts, document
from gan3d.rendering.document import shorten
from gan3d.rendering.sheets import sheet
from gan3d.rendering.voxels import class_color
from gan3d.reports.score_sections import (
    EXCESS_SCORE,
    glossary,
    heading_text,
    mean_of,
    overview,
    score_tables,
    scores_section,
)

SHOWN = 8  # shapes in a row of a picture
CLASSES = 12  # that have pictures
SIZE = 132  # pixels of a shape


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
        overview(scores),
        scores_section(scores),
        _samples(evaluation.final, data),
        _copying(evaluation.final, data),
        _measures(evaluation.final),
        _interpolations(evaluation.final, data),
        _stages(evaluation),
        training,
        glossary(),
    ]
    return document.write(path, f"{evaluation.name} at {evaluation.final.resolution}³: evaluation", parts)


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
        summary = f"{stage.resolution}³: {heading_text(EXCESS_SCORE, mean_of(classes))}"
        picture = document.image(
            evaluation.sheets[stage.resolution], f"random shapes at {resolution_key(stage.resolution)}"
        )
        parts.append(
            f"<details{opened}><summary>{document.text(summary)}</summary>{score_tables(classes)}{picture}</details>"
        )
    return "".join(parts)


def _row(shapes: np.ndarray) -> list[np.ndarray]:
    """SHOWN shapes; empty ones fill a row that is too short."""
    shown = list(shapes[:SHOWN])
    return shown + [np.zeros(shapes.shape[1:], bool)] * (SHOWN - len(shown))


def _color(data: VoxelDataset, name: str) -> tuple[int, int, int]:
    return class_color(data.classes.index(name))


def _more(evaluation: ModelEvaluation) -> str:
    count = len(evaluation.classes)
    return f" The first {CLASSES} of {count} classes." if count > CLASSES else ""
