"""The page of a study: its trials, each with a link to its run, and plots of what was found; it works offline."""

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.importance import get_param_importances
from optuna.trial import FrozenTrial, TrialState

from gan3d.metrics.table import BY_KEY, DIRECTIONS
from gan3d.rendering import plots
from gan3d.rendering.document import Markup
from gan3d.rendering.pages import fill_template
from gan3d.rendering.plots import Series

MAX_TRIALS = 500  # in the table; the database has all

Address = Callable[[str], str]


def page(study: optuna.Study, objectives: Sequence[str], summary: Sequence[str], address: Address) -> str:
    """The page.

    Args:
        objectives: keys of the scores, in the study's order.
        summary: lines for the top.
        address: of a run's page in MLflow, by the run's id.
    """
    trials = study.get_trials(deepcopy=False)
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    return fill_template(
        "study",
        title=f"Study {study.study_name}",
        summary=summary,
        plots=[Markup(plot) for plot in _plots(study, trials, objectives, names)],
        head=["trial", "ended", *(BY_KEY[key].heading for key in objectives), *names, "note"],
        rows=[_row(trial, names, len(objectives), address) for trial in _by_score(trials, objectives)[:MAX_TRIALS]],
        numeric=range(2, 2 + len(objectives) + len(names)),
        left_out=max(0, len(trials) - MAX_TRIALS),
    )


def _plots(
    study: optuna.Study, trials: Sequence[FrozenTrial], objectives: Sequence[str], names: Sequence[str]
) -> list[str]:
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and _finite(trial.values)]
    found = []
    for i, key in enumerate(objectives):
        heading = BY_KEY[key].heading
        found.append(_history(complete, i, key))
        if len(complete) > 1 and (shares := _importances(study, i, len(objectives))):
            found.append(plots.bars(shares, f"What {heading} depends on"))
        found += [_slice(complete, i, key, name) for name in names]
    for one, two in combinations(range(len(objectives)), 2):
        found.append(_against(study, complete, one, two, objectives))
    if len(objectives) == 1:
        found.append(_progress(trials, objectives[0]))
    return found


def _history(complete: Sequence[FrozenTrial], i: int, key: str) -> str:
    numbers = [trial.number for trial in complete]
    values = np.array([trial.values[i] for trial in complete])
    best = (np.minimum if DIRECTIONS[key] == "minimize" else np.maximum).accumulate(values) if len(values) else values
    series = [
        Series("best so far", numbers, best, color=1),
        Series("trial", numbers, values, lines=False, names=[_name(trial) for trial in complete]),
    ]
    return plots.plot(series, f"{BY_KEY[key].heading} of each trial, and the best so far", "trial")


def _importances(study: optuna.Study, i: int, count: int) -> list[tuple[str, float]]:
    """Share of the score's variation by parameter; empty if the study has too few trials to tell."""
    target: dict[str, Any] = {"target": lambda trial: trial.values[i]} if count > 1 else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the number of trials, which the page tells
        try:
            return list(get_param_importances(study, **target).items())
        except (ValueError, RuntimeError):
            return []


def _slice(complete: Sequence[FrozenTrial], i: int, key: str, name: str) -> str:
    known = [trial for trial in complete if isinstance(trial.params.get(name), int | float)]
    distributions = [trial.distributions[name] for trial in known]
    log = any(
        getattr(distribution, "log", False) or isinstance(distribution, CategoricalDistribution)
        for distribution in distributions
    ) and all(trial.params[name] > 0 for trial in known)
    series = Series(
        name,
        [trial.params[name] for trial in known],
        [trial.values[i] for trial in known],
        lines=False,
        names=[_name(trial) for trial in known],
    )
    return plots.plot([series], f"{BY_KEY[key].heading} by {name}", name, log_x=log)


def _against(
    study: optuna.Study, complete: Sequence[FrozenTrial], one: int, two: int, objectives: Sequence[str]
) -> str:
    best = {trial.number for trial in study.best_trials}
    series = [
        Series(
            name,
            [trial.values[one] for trial in chosen],
            [trial.values[two] for trial in chosen],
            color=color,
            lines=False,
            faint=not color,
            names=[_name(trial) for trial in chosen],
        )
        for color, name in enumerate(("trial", "on the Pareto front"))
        if (chosen := [trial for trial in complete if (trial.number in best) == bool(color)])
    ]
    headings = [BY_KEY[objectives[i]].heading for i in (one, two)]
    return plots.plot(series, f"{headings[1]} against {headings[0]}", headings[0])


def _progress(trials: Sequence[FrozenTrial], key: str) -> str:
    """Scores during training of all trials, the best one in front."""
    reported = [trial for trial in trials if trial.intermediate_values]
    order = _by_score(reported, [key])
    best = order[0].number if order and order[0].state == TrialState.COMPLETE else None
    series = [
        Series(
            _name(trial),
            sorted(trial.intermediate_values),
            [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)],
            color=1 if trial.number == best else 0 if trial.state == TrialState.COMPLETE else 7,
            faint=trial.number != best,
        )
        for trial in reversed(order)
    ]
    return plots.plot(series, f"{BY_KEY[key].heading} during training; thick: the best trial")


def _by_score(trials: Sequence[FrozenTrial], objectives: Sequence[str]) -> list[FrozenTrial]:
    """The best complete trials first, then the others by number."""
    sign = -1.0 if DIRECTIONS[objectives[0]] == "maximize" else 1.0
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    others = [trial for trial in trials if trial.state != TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: sign * trial.values[0]) + others


def _row(trial: FrozenTrial, names: Sequence[str], count: int, address: Address) -> list[object]:
    run = trial.user_attrs.get("run_id")
    link: object = str(trial.number)
    if run:
        link = Markup('<a href="{}" target="_blank" rel="noopener">{}</a>').format(address(run), trial.number)
    values = trial.values if trial.state == TrialState.COMPLETE else [None] * count
    scores = ["–" if value is None else f"{value:.4f}" for value in values]
    settings = [f"{trial.params[name]:g}" if name in trial.params else "–" for name in names]
    return [link, trial.state.name.lower(), *scores, *settings, trial.user_attrs.get("reason") or ""]


def _name(trial: FrozenTrial) -> str:
    score = ", ".join(f"{value:.4f}" for value in trial.values) if _finite(trial.values) else trial.state.name.lower()
    return f"trial {trial.number}: {score}; " + ", ".join(f"{name} {value:g}" for name, value in trial.params.items())


def _finite(values: Sequence[float] | None) -> bool:
    return values is not None and all(math.isfinite(value) for value in values)
