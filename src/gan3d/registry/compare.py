"""Compare two versions: their scores, and shapes from the same latents."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from gan3d.metrics.table import BY_KEY, TAGGED, Score
from gan3d.registry.models import open_sampler
from gan3d.rendering.document import Markup
from gan3d.rendering.pages import fill_template
from gan3d.rendering.sheets import sheet
from gan3d.rendering.voxels import class_color
from gan3d.sampling.sampler import Sampler
from gan3d.tracking.store import MODEL

PICTURED_CLASSES = 24
SEEDS = range(8)  # of the shapes, one each
FACTS = ("name", "stage", "resolution", "classes", "protocol", "test_split", "git.commit", "training_run")
COMPARABLE = ("resolution", "classes", "test_split", "protocol")  # tags in which comparable scores agree


@dataclass(frozen=True)
class Comparison:
    """Two versions, with one picture per class: uint8 (H, W, 3), one row per version that has the class."""

    versions: tuple[ModelVersion, ModelVersion]
    pictures: dict[str, np.ndarray]

    @property
    def numbers(self) -> tuple[int, int]:
        return int(self.versions[0].version), int(self.versions[1].version)


def compare(client: MlflowClient, one: int, two: int, mlruns: Path) -> Comparison:
    """Sample both versions, for the first PICTURED_CLASSES of either.

    Raises:
        UserError: when the artifacts of a version are missing.
    """
    versions = client.get_model_version(MODEL, str(one)), client.get_model_version(MODEL, str(two))
    samplers = [open_sampler(f"models:/{MODEL}/{number}", mlruns) for number in (one, two)]
    classes = list(dict.fromkeys(name for sampler in samplers for name in sampler.classes))[:PICTURED_CLASSES]
    return Comparison(versions, {name: _picture(name, samplers, (one, two)) for name in classes})


def _picture(name: str, samplers: Sequence[Sampler], numbers: tuple[int, int]) -> np.ndarray:
    """One row per version, with equal seeds in one column."""
    rows, titles, colors = [], [], []
    for number, sampler in zip(numbers, samplers, strict=True):
        if name in sampler.classes:
            label = sampler.classes.index(name)
            rows.append(np.concatenate([sampler.shapes(label, 1, seed) for seed in SEEDS]))
            titles.append(f"version {number}")
            colors += [class_color(label)] * len(SEEDS)
    captions = [""] * (len(SEEDS) * (len(rows) - 1)) + [f"seed {seed}" for seed in SEEDS]
    shapes = [shape for row in rows for shape in row]
    return sheet(shapes, len(SEEDS), titles, captions, up=samplers[0].model.up, colors=colors)


def log(comparison: Comparison) -> str:
    """Log the page, the pictures and the scores as a run "compare 2 3"; return its id."""
    one, two = comparison.numbers
    tags = {"compared": f"{one} {two}"}
    with mlflow.start_run(run_name=f"compare {one} {two}", tags=tags) as run:
        mlflow.log_text(page(comparison), "comparison.html")
        for name, picture in comparison.pictures.items():
            mlflow.log_image(picture, f"{name}.png")
        for version in comparison.versions:
            scores = {score.key: float(version.tags[score.key]) for score in TAGGED if score.key in version.tags}
            mlflow.log_metrics({f"version_{version.version}_{name}": value for name, value in scores.items()})
        return run.info.run_id


def page(comparison: Comparison) -> str:
    """The comparison as one self-contained HTML file."""
    one, two = comparison.versions
    return fill_template(
        "compare",
        title=f"{MODEL}: versions {one.version} and {two.version}",
        names=[f"version {one.version}", f"version {two.version}"],
        differing=[name.replace("_", " ") for name in COMPARABLE if _tag(one, name) != _tag(two, name)],
        scores=_scores(one, two),
        pictures=comparison.pictures,
        facts=[[name, _tag(one, name), _tag(two, name)] for name in FACTS]
        + [["promotion", *(_promotion(version.tags) for version in (one, two))]],
    )


def _scores(one: ModelVersion, two: ModelVersion) -> list[list[object]]:
    rows = [
        _score(score.heading, score, *(_number(version.tags.get(score.key)) for version in (one, two)))
        for score in TAGGED
    ]
    by_class = [json.loads(version.tags.get("one_nna_cd_by_class", "{}")) for version in (one, two)]
    for name in dict.fromkeys(key for scores in by_class for key in scores):
        rows.append(_score(f"1-NNA-CD, {name}", BY_KEY["one_nna_cd"], *(scores.get(name) for scores in by_class)))
    return rows


def _score(heading: str, score: Score, a: float | None, b: float | None) -> list[object]:
    """A row of the table, with the better value in bold."""
    better = None if a is None or b is None or score.loss(a) == score.loss(b) else int(score.loss(b) < score.loss(a))
    cells: list[object] = [score.text(value) for value in (a, b)]
    if better is not None:
        cells[better] = Markup("<b>{}</b>").format(cells[better])
    change = "–" if a is None or b is None else f"{b - a:+.{score.digits}f}"
    return [heading, *cells, change, score.better]


def _promotion(tags: Mapping[str, Any]) -> str:
    return ": ".join(tags[name] for name in ("promotion", "promotion_reason") if name in tags) or "–"


def _tag(version: ModelVersion, name: str) -> str:
    return str(version.tags.get(name, "–"))


def _number(value: str | None) -> float | None:
    return None if value is None else float(value)
