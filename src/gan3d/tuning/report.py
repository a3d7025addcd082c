"""What a study has found, in its parent run: the best values, and its figures as one interactive page."""

import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import plotly.io
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from optuna import visualization
from optuna.trial import FrozenTrial, TrialState

from gan3d.errors import UserError
from gan3d.rendering.pages import fill_template
from gan3d.tuning import space
from gan3d.tuning.study_spec import StudySpec

PAGE = "study.html"
SHOWN = 5  # trials of a Pareto front that are told in words


def best(study: optuna.Study, number: int | None = None) -> FrozenTrial:
    """The best complete trial, or the one of this number.

    Raises:
        UserError: when there is none, or when several objectives leave a choice.
    """
    trials = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
    if number is not None:
        if number not in trials or trials[number].state != TrialState.COMPLETE:
            raise UserError(f"trial {number} of {study.study_name} is not complete: choose another one.")
        return trials[number]
    found = study.best_trials
    if not found:
        raise UserError(f"study {study.study_name} has no complete trial yet: let it run on.")
    if len(study.directions) > 1 and len(found) > 1:
        front = "; ".join(f"{t.number} ({', '.join(f'{value:.4g}' for value in t.values)})" for t in found)
        raise UserError(f"several trials of {study.study_name} are best ({front}): choose one with --trial NUMBER.")
    return found[0]


def write(study: optuna.Study, client: MlflowClient, parent: str, task: StudySpec) -> None:
    """Write the best values and the figures into the parent run; earlier ones are replaced."""
    trials = study.get_trials(deepcopy=False)
    states = {state.name.lower(): sum(trial.state == state for trial in trials) for state in TrialState}
    for name, count in states.items():
        client.set_tag(parent, f"trials.{name}", str(count))
    client.set_tag(parent, MLFLOW_RUN_NOTE, "\n\n".join(verdict(study, task)))
    found = study.best_trials
    if not found:
        return
    rows = [
        {
            "trial": trial.number,
            "run_id": trial.user_attrs.get("run_id"),
            "scores": dict(zip(task.tune.objectives, trial.values, strict=True)),
            "params": space.trained(trial.params),
        }
        for trial in found
    ]
    for name, value in rows[0]["params"].items():
        client.set_tag(parent, f"best.{name}", str(value))
    client.set_tag(parent, "best.trial", str(found[0].number))
    for name, value in rows[0]["scores"].items():
        client.log_metric(parent, f"best/{name}", value, step=sum(trial.state.is_finished() for trial in trials))
    client.log_dict(parent, {"best": rows}, "best.json")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / PAGE
        path.write_text(page(study, task), encoding="utf-8")
        client.log_artifact(parent, str(path))


def progress(study: optuna.Study, client: MlflowClient, parent: str, task: StudySpec) -> None:
    """The best so far as a curve of the parent run, over the trials that have ended."""
    ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    if len(study.directions) == 1 and any(trial.state == TrialState.COMPLETE for trial in ended):
        client.log_metric(parent, f"best/{task.tune.objectives[0]}", study.best_value, step=len(ended))


def page(study: optuna.Study, task: StudySpec) -> str:
    """All figures that the trials so far allow, on one page that works offline."""
    drawings: list[tuple[str, str]] = []
    for title, figure in figures(study, task.tune.objectives):
        figure.update_layout(title=None, margin={"t": 30})
        # the page needs plotly's script once
        drawings.append((title, plotly.io.to_html(figure, full_html=False, include_plotlyjs=not drawings)))
    return fill_template("study", title=study.study_name, summary=verdict(study, task), figures=drawings)


def figures(study: optuna.Study, objectives: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Titles and plotly figures; those that need more trials than there are, are left out."""
    for i, name in enumerate(objectives):
        target: dict[str, Any] = {}
        if len(objectives) > 1:
            target = {"target": lambda trial, i=i: trial.values[i], "target_name": name}
        yield from drawn(f"History of {name}", visualization.plot_optimization_history, study, **target)
        yield from drawn(f"What {name} depends on", visualization.plot_param_importances, study, **target)
        yield from drawn(f"Slices of {name}", visualization.plot_slice, study, **target)
    if 1 < len(objectives) < 4:
        yield from drawn("Pareto front", visualization.plot_pareto_front, study)
    if len(objectives) == 1:
        yield from drawn("Scores over images seen", visualization.plot_intermediate_values, study)
    yield from drawn("Who ran when", visualization.plot_timeline, study)


def drawn(title: str, plot: Callable[..., Any], study: optuna.Study, **target: Any) -> Iterator[tuple[str, Any]]:
    """A figure, unless the study has too few trials for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are few trials: the page says how many
        try:
            figure = plot(study, **target)
        except (ValueError, RuntimeError):
            return
    yield title, figure


def summary(study: optuna.Study) -> str:
    """One line: how many trials ended how, and the best."""
    trials = study.get_trials(deepcopy=False)
    counts = {state: sum(trial.state == state for trial in trials) for state in TrialState}
    told = ", ".join(f"{count} {state.name.lower()}" for state, count in counts.items() if count)
    return f"{len(trials)} trials: {told}."


def verdict(study: optuna.Study, task: StudySpec) -> list[str]:
    """What a person should know at the end, in a few lines."""
    lines = [f"{study.study_name}: {summary(study)}"]
    for trial in study.best_trials[:SHOWN]:
        scores = ", ".join(f"{n} {v:.4f}" for n, v in zip(task.tune.objectives, trial.values, strict=True))
        lines.append(f"best: trial {trial.number}, {scores}, {json.dumps(space.trained(trial.params))}")
    if len(study.best_trials) > SHOWN:
        lines.append(f"and {len(study.best_trials) - SHOWN} more that are best in their way")
    if study.best_trials:
        which = "" if len(study.best_trials) == 1 else " --trial NUMBER"
        lines.append(f"take it over with `gan3d tune apply {task.stage}{which}`, then `dvc repro`")
    return lines
