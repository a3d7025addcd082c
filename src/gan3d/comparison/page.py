"""The page of a comparison: one self-contained HTML file."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gan3d.comparison.differences import (
    ABSENT,
    Difference,
    difference,
    differing_params,
    incomparable,
    verdicts,
)
from gan3d.comparison.subject import CURVES, Subject
from gan3d.dataset import UNCONDITIONAL
from gan3d.errors import UserError
from gan3d.metrics.rows import MEAN, Z_95
from gan3d.metrics.table import BY_KEY, SCORES, Score
from gan3d.rendering import plots
from gan3d.rendering.document import Markup, shorten
from gan3d.rendering.pages import fill_template
from gan3d.rendering.plots import Series, smooth
from gan3d.rendering.scripts import bundle
from gan3d.rendering.viewer import encode
from gan3d.rendering.voxels import class_color
from gan3d.sampling.sampler import Sampler

CELLS = 24  # rows of shapes to turn, over all classes
SEEDS = 6  # per class, at most
TABLED = 24  # classes with a row of their own in the table of scores
SHEETS = 4  # pictures of one key during training
KEYS = 3  # of pictures
NEAR = 0.05  # by which the images of two pictures may differ, as a share


def comparison_page(subjects: Sequence[Subject]) -> str:
    """The page of two subjects or more.

    Raises:
        UserError: if there are fewer.
    """
    if len(subjects) < 2:
        raise UserError("a comparison needs two generators or more: name another one.")
    names = [subject.name for subject in subjects]
    warning = incomparable(subjects)
    return fill_template(
        "compare",
        title=f"{', '.join(names[:-1])} and {names[-1]}, compared",
        names=names,
        warning=warning,
        verdicts=verdicts(subjects),
        scores_head=["score", *names, *(f"{name} − {shorten(names[0], 24)}" for name in names[1:]), "best"],
        scores_numeric=range(1, 2 * len(names)),
        scores=_scores(subjects, warning is None),
        params=differing_params(subjects),
        params_known=sum(bool(subject.params) for subject in subjects) > 1,
        data=_shapes(subjects),
        script=bundle("viewer"),
        curves=_curves(subjects),
        equal_curves=_equal_stages(subjects),
        sheets=_sheets(subjects),
        facts=_facts(subjects),
    )


def _scores(subjects: Sequence[Subject], comparable: bool) -> list[list[object]]:
    if not any(subject.scores for subject in subjects):
        return []
    by_class: list[dict[str, Mapping[str, Any]]] = [
        {scores.name: scores.generated for scores in subject.scores} for subject in subjects
    ]
    rows = [_score_row(score, score.heading, [each.get(MEAN, {}) for each in by_class], comparable) for score in SCORES]
    one_nna = BY_KEY["one_nna_cd"]
    classes = [name for name in dict.fromkeys(name for each in by_class for name in each) if name != MEAN]
    for name in classes[:TABLED] if len(classes) > 1 else ():
        rows.append(_score_row(one_nna, f"1-NNA-CD, {name}", [each.get(name, {}) for each in by_class], comparable))
    return [row for row in rows if set(row[1 : 1 + len(subjects)]) != {ABSENT}]


def _score_row(score: Score, heading: str, rows: Sequence[Mapping[str, Any]], comparable: bool) -> list[object]:
    values = [_with_half(score, row.get(score.key), row.get(f"{score.key}_se")) for row in rows]
    found = [difference(score, rows[0], row) if comparable else None for row in rows[1:]]
    return [heading, *values, *(_difference(score, each) for each in found), score.better]


def _with_half(score: Score, value: float | None, error: float | None) -> object:
    if value is None:
        return ABSENT
    if error is None:
        return score.text(value)
    return Markup("{} <small>± {}</small>").format(score.text(value), score.text(Z_95 * error))


def _difference(score: Score, found: Difference | None) -> object:
    if found is None:
        return ABSENT
    text = f"{found.value:+.{score.digits}f}"
    half = "" if found.half is None else f" ± {score.text(found.half)}"
    word = "" if not found.more_than_chance or found.better is None else " better" if found.better else " worse"
    bold = "<b class=worse>{}{}</b>" if word == " worse" else "<b>{}{}</b>"
    pattern = f"{bold if word else '{}{}'}<small>{{}}</small>"
    return Markup(pattern).format(text, word, half)


def _curves(subjects: Sequence[Subject]) -> dict[str, list[Markup]]:
    """Plots of each stage, of what any subject has logged; thin lines are single values, thick ones moving averages."""
    equal = _equal_stages(subjects)
    stages = dict.fromkeys(stage for subject in subjects for stage in subject.curves if stage not in equal)
    found = {}
    for stage in reversed(stages):
        drawn = []
        for name, title in CURVES.items():
            series = []
            for number, subject in enumerate(subjects):
                if curve := subject.curves.get(stage, {}).get(name):
                    values = np.asarray(curve[1])
                    if len(values) > 40:
                        series.append(Series(subject.name, curve[0], values, number, faint=True))
                        values = smooth(values, 0.08)
                    series.append(Series(subject.name, curve[0], values, number))
            if series:
                drawn.append(Markup(plots.plot(sorted(series, key=lambda each: not each.faint), title)))
        if drawn:
            found[stage] = drawn
    return found


def _equal_stages(subjects: Sequence[Subject]) -> list[str]:
    """Stages of several subjects that all went the same way, as when they come from the cache."""
    stages = dict.fromkeys(stage for subject in subjects for stage in subject.curves)
    curves = {stage: [subject.curves[stage] for subject in subjects if subject.curves.get(stage)] for stage in stages}
    return [stage for stage, each in curves.items() if len(each) > 1 and all(one == each[0] for one in each)]


def _sheets(subjects: Sequence[Subject]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Pictures of the same latents, side by side at about the same images."""
    pictured = [subject for subject in subjects if subject.pictures]
    if len(pictured) < 2:
        return []
    keys = [key for key in _keys(pictured[0]) if all(key in _keys(subject) for subject in pictured)][:KEYS]
    found = []
    for key in keys:
        steps = [step for at, step in sorted(pictured[0].pictures) if at == key]
        shown = [steps[i] for i in np.unique(np.linspace(0, len(steps) - 1, SHEETS).round().astype(int))]
        for step in shown:
            figures = [_figure(subject, key, step) for subject in subjects]
            if sum(figure["address"] is not None for figure in figures) > 1:
                found.append((f"{key.rsplit('/', 1)[-1]}, about {step:,} images", figures))
    return found


def _keys(subject: Subject) -> list[str]:
    return list(dict.fromkeys(key for key, _ in sorted(subject.pictures)))


def _figure(subject: Subject, key: str, step: int) -> dict[str, Any]:
    steps = [at for name, at in subject.pictures if name == key and abs(at - step) <= NEAR * max(step, at)]
    if not steps:
        return {"name": subject.name, "images": None, "address": None}
    nearest = min(steps, key=lambda at: abs(at - step))
    content = subject.pictures[key, nearest]()
    address = None if content is None else f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return {"name": subject.name, "images": nearest, "address": address}


def _shapes(subjects: Sequence[Subject]) -> dict[str, Any]:
    """What the viewer draws: one row per class and seed, one column per subject; what a subject lacks is empty."""
    samplers = [_open(subject) for subject in subjects]
    classes = list(dict.fromkeys(name for sampler in samplers if sampler for name in sampler.classes))
    seeds = range(max(1, min(SEEDS, CELLS // max(len(classes), 1))))
    labels, details, colors, shapes, resolutions = [], [], [], [], []
    for number, class_name in enumerate(classes[: CELLS // len(seeds)]):
        columns = [_sampled(sampler, class_name, seeds) for sampler in samplers]
        for seed in seeds:
            for subject, column in zip(subjects, columns, strict=True):
                labels.append(subject.name)
                details.append(f"seed {seed}" if class_name == UNCONDITIONAL else f"{class_name}, seed {seed}")
                colors.append(list(class_color(number)))
                shapes.append(column[seed][1])
                resolutions.append(column[seed][0])
    frame = {"name": "final", "resolutions": resolutions, "shapes": shapes}
    return {"labels": labels, "details": details, "colors": colors, "columns": len(subjects), "frames": [frame]}


def _open(subject: Subject) -> Sampler | None:
    """A subject's generator; None if its files are gone, which the page shows as empty cells."""
    try:
        return subject.open()
    except UserError:
        return None


def _sampled(sampler: Sampler | None, class_name: str, seeds: Sequence[int]) -> list[tuple[int, str]]:
    """Resolution and encoded shape of each seed."""
    if sampler is None or class_name not in sampler.classes:
        return [(4, encode(np.zeros((1, 4, 4, 4), bool), "y")[0])] * len(seeds)
    label, side = sampler.classes.index(class_name), sampler.model.architecture.resolution
    drawn = np.concatenate([sampler.shapes(label, 1, seed) for seed in seeds])
    return [(side, text) for text in encode(drawn, sampler.model.up)]


def _facts(subjects: Sequence[Subject]) -> list[list[str]]:
    names = dict.fromkeys(name for subject in subjects for name in subject.facts)
    return [[name, *(subject.facts.get(name, ABSENT) for subject in subjects)] for name in names]
