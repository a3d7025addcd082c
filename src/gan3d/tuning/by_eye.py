"""A sweep whose objective is a person's eye: the dashboard shows two trials at a time, and the person picks the worse.

It is a preferential study of optuna-dashboard. Its own sampler needs PyTorch; here every other trial varies a preferred
one, and the others are drawn at random.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from optuna_dashboard import register_preference_feedback_component
from optuna_dashboard.preferential import PreferentialStudy, create_study

from gan3d.config.schema import Range, Tune
from gan3d.tracking.store import connect
from gan3d.tuning import dashboard, space
from gan3d.tuning import study as studies
from gan3d.tuning.gallery import TURNTABLE
from gan3d.tuning.samplers import RoundingSampler
from gan3d.tuning.storage import ensure_database
from gan3d.tuning.study_spec import StudySpec
from gan3d.tuning.trial import TrialRunner, make_tracker

SUFFIX = "-by-eye"  # of the study's name
AT_ONCE = 2  # trials to choose from
REACH = 0.2  # of a range, by which a variation differs at most
POLL_SECONDS = 1.0


def run(spec: StudySpec, port: int, log: Callable[[str], None] = print) -> list[str]:
    """Train trials and serve the dashboard until there are enough trials and one is preferred to all others.

    Returns:
        The outcome in a few lines.

    Raises:
        UserError: if the dashboard's port is taken, or trials cannot be run.
        KeyboardInterrupt: on Ctrl-C; the same command continues.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    client = connect(spec.project.mlruns)
    runner = TrialRunner(spec.params, spec.stage, spec.project)
    with spec.translate_database_errors():
        ensure_database(spec.url)
        study, new = open_study(spec, runner.fingerprint())
        parent = studies.open_parent_run(spec, study._study, client)
        port = dashboard.check_port(port)
        server = threading.Thread(target=dashboard.run, args=(spec.url, port, spec.project.mlruns), daemon=True)
        server.start()
        dashboard.wait_until_served(port)
        log(f"{'new study' if new else 'study'} {spec.name}; choose at {page_address(study, port)} which one is worse")
        try:
            choose(spec, study, runner, lambda trial, values: make_tracker(runner, trial, values, client, parent), log)
        finally:
            lines = outcome(spec, study)
            client.set_tag(parent, "choices", str(choices(study)))
            client.set_terminated(parent, "FINISHED")
    return lines


def open_study(spec: StudySpec, fingerprint: str) -> tuple[PreferentialStudy, bool]:
    """Open or create the study; also returns whether it is new.

    Raises:
        UserError: if it was started with other settings.
    """
    setup = space.comparable_settings(spec.tune) | {studies.FINGERPRINT: fingerprint}
    study = create_study(
        n_generate=AT_ONCE,
        storage=RDBStorage(spec.url),
        sampler=RandomSampler(),
        study_name=spec.name,
        load_if_exists=True,
    )
    study._study.pruner = NopPruner()
    new = studies.SETUP not in study.user_attrs
    if new:
        study.set_user_attr(studies.SETUP, setup)
        register_preference_feedback_component(study, "artifact", TURNTABLE)
        current = space.current_values(spec.params, spec.stage)
        if current is not None:
            study.enqueue_trial(current, user_attrs={"origin": "params.yaml"})
    studies.check_setup(spec, study._study, setup)
    return study, new


def choose(
    spec: StudySpec,
    study: PreferentialStudy,
    runner: TrialRunner,
    tracker: Callable[[optuna.Trial, dict[str, Any]], Any],
    log: Callable[[str], None] = print,
) -> None:
    """Train a trial whenever there are fewer than two to choose from, until the last choice is made."""
    told = -1
    while True:
        trained = [trial for trial in study.get_trials(deepcopy=False) if TURNTABLE in trial.user_attrs]
        if choices(study) != told:
            told = choices(study)
            log(f"{len(trained)} of {spec.tune.trials} trials, {told} choices")
        if not study.should_generate():
            time.sleep(POLL_SECONDS)
            continue
        if len(trained) >= spec.tune.trials:
            return
        rng = np.random.default_rng([spec.params.seed, len(study.trials)])
        if len(study.trials) % 2 and study.best_trials:
            study.enqueue_trial(vary(study.best_trials[-1], spec.tune, rng))
        study._study.sampler = RoundingSampler(RandomSampler(seed=int(rng.integers(2**31))))
        trial = study.ask()
        values = space.suggest(trial, spec.tune.space)
        try:
            runner.run(trial, values, tracker(trial, values))
        except optuna.TrialPruned as reason:  # it collapsed: there is nothing to look at
            study._study.tell(trial.number, state=TrialState.FAIL)
            log(f"trial {trial.number} ended early: {reason}")
        except BaseException:
            study._study.tell(trial.number, state=TrialState.FAIL)
            raise


def vary(best: FrozenTrial, tune: Tune, rng: np.random.Generator) -> dict[str, Any]:
    """Values near those of a trial."""
    values = {}
    for name, given in tune.space.items():
        if not isinstance(given, Range):
            values[name] = rng.choice(list(given)).item() if rng.random() < REACH else best.params[name]
            continue
        low, high, value = (np.log(x) if given.log else x for x in (given.low, given.high, best.params[name]))
        moved = float(np.clip(value + rng.uniform(-REACH, REACH) * (high - low), low, high))
        moved = float(np.exp(moved)) if given.log else moved
        values[name] = round(moved) if name in space.INTEGERS else space.round_float(moved, given.low, given.high)
    return values


def choices(study: PreferentialStudy) -> int:
    """How many choices were made."""
    return len(study.get_preferences(deepcopy=False))


def outcome(spec: StudySpec, study: PreferentialStudy) -> list[str]:
    """What was preferred, after how many choices, and the command that applies it."""
    lines = [f"{spec.name}: {choices(study)} choices between {len(study.trials)} trials."]
    best = study.best_trials
    if best:
        values = ", ".join(f"{name} {value:g}" for name, value in best[-1].params.items())
        lines.append(f"preferred: trial {best[-1].number} ({values})")
        lines.append(f"apply it with `gan3d tune apply {spec.stage} --study {spec.name} --trial {best[-1].number}`")
    return lines


def page_address(study: PreferentialStudy, port: int) -> str:
    """The page of the dashboard where a person chooses."""
    return f"http://{dashboard.HOST}:{port}/dashboard/studies/{study._study._study_id}"


def by_eye_name(spec: StudySpec) -> str:
    """The study's name, unless one was given."""
    return f"{spec.params.name}-{spec.stage}{SUFFIX}"
