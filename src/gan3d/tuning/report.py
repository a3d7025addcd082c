"""What a study has found, written into its parent run: the best values, and its page."""

import json

import optuna
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from optuna.trial import FrozenTrial, TrialState

from gan3d.errors import UserError
from gan3d.tracking.run_page import run_address
from gan3d.tracking.store import experiment_id
from gan3d.tuning.study import count_trials
from gan3d.tuning.study_page import page
from gan3d.tuning.study_spec import StudySpec

PAGE = "study.html"
MAX_LISTED = 5  # trials of a Pareto front


def best(study: optuna.Study, number: int | None = None) -> FrozenTrial:
    """The best complete trial, or the one with this number.

    Raises:
        UserError: if there is none, or if several are best, by different objectives.
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


def write(study: optuna.Study, client: MlflowClient, parent_run: str, spec: StudySpec) -> None:
    """Write the best values and the page into the parent run, in place of earlier ones."""
    trials = study.get_trials(deepcopy=False)
    states = {state.name.lower(): sum(trial.state == state for trial in trials) for state in TrialState}
    for name, count in states.items():
        client.set_tag(parent_run, f"trials.{name}", str(count))
    client.set_tag(parent_run, MLFLOW_RUN_NOTE, "\n\n".join(verdict(study, spec)))
    found = study.best_trials
    if not found:
        return
    rows = [
        {
            "trial": trial.number,
            "run_id": trial.user_attrs.get("run_id"),
            "scores": dict(zip(spec.tune.objectives, trial.values, strict=True)),
            "params": trial.params,
        }
        for trial in found
    ]
    for name, value in rows[0]["params"].items():
        client.set_tag(parent_run, f"best.{name}", str(value))
    client.set_tag(parent_run, "best.trial", str(found[0].number))
    for name, value in rows[0]["scores"].items():
        client.log_metric(parent_run, f"best/{name}", value, step=sum(trial.state.is_finished() for trial in trials))
    client.log_dict(parent_run, {"best": rows}, "best.json")
    experiment = experiment_id(client)
    lines = verdict(study, spec)
    text = page(study, spec.tune.objectives, lines, lambda run: run_address(client, experiment, run))
    client.log_text(parent_run, text, PAGE)


def log_progress(study: optuna.Study, client: MlflowClient, parent_run: str, spec: StudySpec) -> None:
    """Log the best score so far to the parent run, over the number of finished trials."""
    finished = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    if len(study.directions) == 1 and any(trial.state == TrialState.COMPLETE for trial in finished):
        client.log_metric(parent_run, f"best/{spec.tune.objectives[0]}", study.best_value, step=len(finished))


def progress(study: optuna.Study, spec: StudySpec, before: int, seconds: float) -> str:
    """One line: how many trials are done, the best score so far, and about how long the others will take.

    Args:
        before: trials that were finished before.
        seconds: since then.
    """
    done = count_trials(study).finished
    parts = [f"{done} of {spec.tune.trials} trials"]
    if len(study.directions) == 1 and study.best_trials:
        parts.append(f"best {spec.tune.objectives[0]} {study.best_value:.4f} (trial {study.best_trial.number})")
    left = max(0, spec.tune.trials - done)
    if left and done > before:
        parts.append(f"about {duration(left * seconds / (done - before))} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def summary(study: optuna.Study) -> str:
    """One line: how many trials ended how."""
    trials = study.get_trials(deepcopy=False)
    counts = {state: sum(trial.state == state for trial in trials) for state in TrialState}
    states = ", ".join(f"{count} {state.name.lower()}" for state, count in counts.items() if count)
    return f"{len(trials)} trials: {states}."


def verdict(study: optuna.Study, spec: StudySpec) -> list[str]:
    """The outcome in a few lines: counts, best trials, and the command that applies the best one."""
    lines = [f"{study.study_name}: {summary(study)}"]
    for trial in study.best_trials[:MAX_LISTED]:
        scores = ", ".join(f"{n} {v:.4f}" for n, v in zip(spec.tune.objectives, trial.values, strict=True))
        lines.append(f"best: trial {trial.number}, {scores}, {json.dumps(trial.params)}")
    if len(study.best_trials) > MAX_LISTED:
        lines.append(f"and {len(study.best_trials) - MAX_LISTED} more on the Pareto front")
    if study.best_trials:
        which = "" if len(study.best_trials) == 1 else " --trial NUMBER"
        lines.append(f"apply it with `gan3d tune apply {spec.stage}{which}`, then run `dvc repro`")
    return lines
