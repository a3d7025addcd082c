"""The page of `gan3d score`: the scores of one set of shapes against another, and pictures of both."""

from pathlib import Path

import numpy as np

from gan3d.metrics.comparison import ClassEvaluation
from gan3d.metrics.rows import ClassScores
from gan3d.rendering import charts, document
from gan3d.rendering.sheets import sheet
from gan3d.rendering.voxels import class_color
from gan3d.reports.score_sections import glossary, overview, scores_section

SHOWN = 16  # shapes of each set
COLUMNS = 8
SIZE = 132  # pixels of a shape


def write(path: Path, title: str, evaluation: ClassEvaluation, up: str) -> Path:
    """Write the page; equal evaluations give equal bytes."""
    scores = [ClassScores(*evaluation.rows)]
    parts = [overview(scores), _pictures(evaluation, up), scores_section(scores), _measures(evaluation), glossary()]
    return document.write(path, f"{title} at {evaluation.rows[0]['resolution']}³", parts)


def _pictures(evaluation: ClassEvaluation, up: str) -> str:
    parts = ["<h2>Shapes</h2><p class=note>The first shapes that were compared, never selected.</p>"]
    for label, name, shapes in ((1, "generated", evaluation.generated), (0, "real", evaluation.reference)):
        picture = sheet(
            list(shapes[:SHOWN]), COLUMNS, None, size=SIZE, up=up, colors=class_color(label)
        )  # as in the charts
        parts.append(f"<h3>{name}</h3>{document.image(picture, f'{name} shapes')}")
    return "".join(parts)


def _measures(evaluation: ClassEvaluation) -> str:
    titles = {"novelty": "novelty × 10³", "occupancy": "occupancy", "largest_component": "largest component"}
    parts = []
    for name, title in titles.items():
        if name in evaluation.measures:
            generated, real = (
                np.asarray(values) * (1e3 if name == "novelty" else 1) for values in evaluation.measures[name]
            )
            high = 1.0 if name == "largest_component" else None
            parts.append(charts.histogram(generated, real, title, high=high, percent=name != "novelty"))
    note = "Distributions over all draws; dashed lines are medians."
    return f"<h2>Single shapes</h2><p class=note>{note}</p><div class=side>{''.join(parts)}</div>"
