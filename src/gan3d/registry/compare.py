"""Two versions side by side: their scores, and what they draw from the same latents."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from gan3d import model_file
from gan3d.metrics.table import BY_KEY, TAGGED, Score
from gan3d.registry import fetch
from gan3d.rendering.sheets import encode_png, sheet
from gan3d.rendering.voxels import class_color
from gan3d.sampling.sampler import Sampler
from gan3d.tracking.store import MODEL

SEEDS = range(8)  # one shape each
FACTS = ("name", "stage", "resolution", "classes", "protocol", "test_split", "git.commit", "training_run")
STYLE = """body{font:15px/1.5 system-ui,sans-serif;color:#2d3138;max-width:1340px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}th,td{text-align:left;padding:.3rem .9rem;border-bottom:1px solid #e2e5ea}
td.number{font-variant-numeric:tabular-nums}td.better{font-weight:700;color:#1f7a5a}img{max-width:100%;display:block}
.note{background:#fff6e5;border-left:4px solid #e7953e;padding:.5rem 1rem}h2{margin-top:2.5rem}"""


@dataclass(frozen=True)
class Comparison:
    """Two versions, with pictures by class: uint8 (H, W, 3), a row a version; None where only one knows the class."""

    versions: tuple[ModelVersion, ModelVersion]
    pictures: dict[str, np.ndarray]

    @property
    def numbers(self) -> tuple[int, int]:
        return int(self.versions[0].version), int(self.versions[1].version)


def compare(client: MlflowClient, one: int, two: int, mlruns: Path) -> Comparison:
    """Draw both versions, each class that either knows.

    Raises:
        UserError: when the artifacts of a version are gone.
    """
    found = client.get_model_version(MODEL, str(one)), client.get_model_version(MODEL, str(two))
    samplers = [Sampler(model_file.load(fetch.resolve(f"models:/{MODEL}/{number}", mlruns))) for number in (one, two)]
    classes = list(dict.fromkeys(name for sampler in samplers for name in sampler.classes))
    return Comparison(found, {name: _picture(name, samplers, (one, two)) for name in classes})


def _picture(name: str, samplers: Sequence[Sampler], numbers: tuple[int, int]) -> np.ndarray:
    """A row a version, the same seeds below each other."""
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
    """A run "compare 2 3" with the page, the pictures and the scores; returns its id."""
    one, two = comparison.numbers
    tags = {"compared": f"{one} {two}"}
    with mlflow.start_run(run_name=f"compare {one} {two}", tags=tags) as run:
        mlflow.log_text(page(comparison), "comparison.html")
        for name, picture in comparison.pictures.items():
            mlflow.log_image(picture, f"{name}.png")
        for version in comparison.versions:
            scores = {
                name: float(version.tags[name]) for name in (score.key for score in TAGGED) if name in version.tags
            }
            mlflow.log_metrics({f"version_{version.version}_{name}": value for name, value in scores.items()})
        return run.info.run_id


def page(comparison: Comparison) -> str:
    """The whole as one HTML file that needs nothing else."""
    one, two = comparison.versions
    title = f"{MODEL}: version {one.version} and version {two.version}"
    parts = [f"<h1>{title}</h1>", _note(one, two), "<h2>Scores</h2>", _scores(one, two)]
    parts.append("<p>Means over classes on the test split. 1-NNA-CD is best at 0.5 and worst at 1.</p>")
    for name, picture in comparison.pictures.items():
        data = base64.b64encode(encode_png(picture)).decode()
        parts.append(f'<h2>{html.escape(name)}</h2><img alt="{html.escape(name)}" src="data:image/png;base64,{data}">')
    parts += ["<h2>Where they come from</h2>", _facts(one, two)]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _note(one: ModelVersion, two: ModelVersion) -> str:
    """A warning where the scores were not taken alike."""
    differing = [
        name for name in ("resolution", "classes", "test_split", "protocol") if _tag(one, name) != _tag(two, name)
    ]
    if not differing:
        return ""
    words = ", ".join(name.replace("_", " ") for name in differing)
    return f'<p class="note">The scores do not compare: the versions differ in {words}.</p>'


def _scores(one: ModelVersion, two: ModelVersion) -> str:
    rows = [_row("th", "score", f"version {one.version}", f"version {two.version}", "difference", "best")]
    by_class = [json.loads(version.tags.get("one_nna_cd_by_class", "{}")) for version in (one, two)]
    for score in TAGGED:
        rows.append(_score(score.heading, score, *(_number(version.tags.get(score.key)) for version in (one, two))))
    for name in dict.fromkeys(key for scores in by_class for key in scores):
        rows.append(_score(f"1-NNA-CD, {name}", BY_KEY["one_nna_cd"], *(scores.get(name) for scores in by_class)))
    return f"<table>{''.join(rows)}</table>"


def _score(heading: str, score: Score, a: float | None, b: float | None) -> str:
    """A row of the table; the better value stands out."""
    better = None if a is None or b is None or score.loss(a) == score.loss(b) else int(score.loss(b) < score.loss(a))
    cells = [
        f'<td class="number{" better" if better == i else ""}">{score.text(value)}</td>'
        for i, value in enumerate((a, b))
    ]
    change = "–" if a is None or b is None else f"{b - a:+.{score.digits}f}"
    end = f'<td class="number">{change}</td><td>{score.better}</td></tr>'
    return f"<tr><td>{html.escape(heading)}</td>{''.join(cells)}{end}"


def _facts(one: ModelVersion, two: ModelVersion) -> str:
    rows = [_row("th", "", f"version {one.version}", f"version {two.version}")]
    rows += [_row("td", name, _tag(one, name), _tag(two, name)) for name in FACTS]
    rows += [_row("td", "promotion", *(_told(version.tags) for version in (one, two)))]
    return f"<table>{''.join(rows)}</table>"


def _told(tags: Mapping[str, Any]) -> str:
    return ": ".join(tags[name] for name in ("promotion", "promotion_reason") if name in tags) or "–"


def _row(cell: str, *texts: str) -> str:
    return "<tr>" + "".join(f"<{cell}>{html.escape(text)}</{cell}>" for text in texts) + "</tr>"


def _tag(version: ModelVersion, name: str) -> str:
    return str(version.tags.get(name, "–"))


def _number(value: str | None) -> float | None:
    return None if value is None else float(value)
