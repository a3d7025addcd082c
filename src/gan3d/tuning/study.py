"""A stage's study: where it lies, what it may be continued with, and its parent run in MLflow."""

import hashlib
import json
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow
import optuna
from mlflow import MlflowClient
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url

from gan3d.config.schema import Tune
from gan3d.errors import UserError
from gan3d.metrics.validation import DIRECTIONS
from gan3d.tracking.provenance import provenance_tags
from gan3d.tracking.store import EXPERIMENT
from gan3d.tuning import space
from gan3d.tuning.study_spec import StudySpec

RETRIES = 3  # of one trial
STARTUP = 5  # trials drawn at random before the sampler trusts what it has seen
SILENT = 3  # heartbeats; then a worker counts as dead
SETUP, PARENT = "setup", "parent_run"  # attributes of a study
BEGUN = "begun"  # attribute of a trial: its process

warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def open_study(task: StudySpec, inputs: str, client: MlflowClient) -> optuna.Study:
    """The task's study, made when it is missing, with its parent run.

    Args:
        inputs: of `gan3d.tuning.trial.Arena.inputs`.

    Raises:
        UserError: when the storage cannot be opened, or when the study was begun with something else.
    """
    setup = space.describe(task.tune) | {"inputs": inputs}
    with task.reached(), task.turn():
        store = open_storage(task, client)
        study = optuna.create_study(
            study_name=task.name,
            storage=store,
            directions=[DIRECTIONS[name] for name in task.tune.objectives],
            pruner=pruner(task.tune),
            load_if_exists=True,
        )
        if SETUP not in study.user_attrs:
            study.set_user_attr(SETUP, setup)
            study.set_metric_names(list(task.tune.objectives))
            now = space.present(task.params, task.stage)
            if now is not None:
                study.enqueue_trial(now, user_attrs={"origin": "params.yaml"})
        refuse_other(task, study, setup)
        begin_parent(task, study, client)
    return study


def find_study(task: StudySpec) -> optuna.Study:
    """The task's study, for reading.

    Raises:
        UserError: when there is none.
    """
    missing = UserError(f"there is no study {task.name} in {task.shown}: run `gan3d tune {task.stage}` first.")
    path = make_url(task.url).database if task.url.startswith("sqlite") else None
    if path and not Path(path).is_file():
        raise missing  # rather than make an empty database
    with task.reached():
        try:
            return optuna.load_study(study_name=task.name, storage=task.url)
        except KeyError:
            raise missing from None


def open_storage(task: StudySpec, client: MlflowClient) -> RDBStorage:
    """The RDB with a heartbeat; a trial whose worker died is failed there and in MLflow, and tried again."""
    sqlite = task.url.startswith("sqlite")
    if sqlite and (database := make_url(task.url).database):
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    return RDBStorage(
        task.url,
        engine_kwargs={"connect_args": {"timeout": 60}} if sqlite else {"pool_pre_ping": True},
        heartbeat_interval=task.tune.heartbeat,
        grace_period=SILENT * task.tune.heartbeat,
        heartbeat_stale_trial_callback=stale_trial_callback(client),
    )


def stale_trial_callback(client: MlflowClient) -> Callable[[optuna.Study, FrozenTrial], None]:
    """What is done for a trial whose worker fell silent."""

    def bury(study: optuna.Study, trial: FrozenTrial) -> None:
        run = trial.user_attrs.get("run_id") or run_of(study, trial.number, client)
        if run is None:  # it died before its first step
            tags = {MLFLOW_PARENT_RUN_ID: study.user_attrs[PARENT], "study": study.study_name}
            experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
            name = f"{study.study_name} {trial.number}"
            run = client.create_run(experiment, tags=tags | {"trial": str(trial.number)}, run_name=name).info.run_id
            for parameter, value in trial.params.items():
                client.log_param(run, parameter, value)
        client.set_tag(run, "reason", "its worker died")
        client.set_terminated(run, "FAILED")
        retry(study, trial)

    return bury


def retry(study: optuna.Study, trial: FrozenTrial, most: int | None = RETRIES) -> None:
    """Queue a trial again, linked to its first form; training then takes up its last checkpoint.

    Args:
        most: how often, for a trial whose worker dies: it may be the trial that kills it. None for any number.
    """
    for name in ("run_id", BEGUN, "reason", "continued_at"):  # of the one that ended
        trial.user_attrs.pop(name, None)
    RetryHeartbeatStaleTrialCallback(max_retry=most, inherit_intermediate_values=True)(study, trial)


def orphans(study: optuna.Study, older: float) -> list[FrozenTrial]:
    """Trials that run but were left before their worker gave a sign of life, where no heartbeat can find them."""
    now = datetime.now()
    return [
        trial
        for trial in study.get_trials(deepcopy=True, states=(TrialState.RUNNING,))
        if BEGUN not in trial.user_attrs
        and trial.datetime_start is not None
        and (now - trial.datetime_start).total_seconds() > older
    ]


def run_of(study: optuna.Study, number: int, client: MlflowClient) -> str | None:
    """The MLflow run of a trial that died before it could write down its run's id."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    found = client.search_runs(
        [experiment.experiment_id], f"tags.study = '{study.study_name}' and tags.trial = '{number}'"
    )
    return found[0].info.run_id if found else None


def refuse_other(task: StudySpec, study: optuna.Study, setup: dict[str, Any]) -> None:
    """Trials of different spaces, budgets, data or models cannot be compared.

    Raises:
        UserError: naming what differs.
    """
    old = study.user_attrs[SETUP]
    if old == json.loads(json.dumps(setup)):
        return
    old_space, new_space = old.get("space", {}), setup["space"]
    differing = [
        f"space.{name} was {_plain(old_space.get(name))} and is {_plain(new_space.get(name))}"
        for name in {**old_space, **new_space}
        if json.dumps(old_space.get(name)) != json.dumps(new_space.get(name))
    ]
    for name in setup:
        if name not in ("space", "inputs") and old.get(name) != json.loads(json.dumps(setup[name])):
            differing.append(f"{name} was {_plain(old.get(name))} and is {_plain(setup[name])}")
    if not differing:
        differing = ["the data, the model before or other parameters of the stage have changed"]
    raise UserError(
        f"study {task.name} was begun otherwise ({'; '.join(differing)}), and its {len(study.trials)} trials, which are"
        " kept, cannot be compared with new ones: set params.yaml back, or begin another study with --study NAME."
    )


def _plain(value: Any) -> str:
    return "not there" if value is None else json.dumps(value)


def begin_parent(task: StudySpec, study: optuna.Study, client: MlflowClient) -> str:
    """The study's run in MLflow, made or opened again; returns its id."""
    known = study.user_attrs.get(PARENT)
    if known:
        try:
            client.update_run(known, status="RUNNING")
            return known
        except mlflow.MlflowException:
            pass  # somebody deleted it, or it is in another store
    experiment = client.get_experiment_by_name(EXPERIMENT)
    tags = resolve_tags() | provenance_tags(task.project.work)
    tags |= {"stage": task.stage, "study": task.name, "storage": task.shown}
    name = f"{task.name} study"
    run = client.create_run(experiment.experiment_id, tags=tags | {MLFLOW_RUN_NAME: name}, run_name=name).info.run_id
    settings = {"sampler": task.tune.sampler, "pruner": task.tune.pruner} | space.describe(task.tune)
    for setting, value in settings.items():
        client.log_param(run, setting, value if isinstance(value, str) else json.dumps(value))
    study.set_user_attr(PARENT, run)
    return run


def sampler(task: StudySpec, before: int) -> BaseSampler:
    """Seeded anew for each trial of each study, so that no two draw the same numbers, whichever worker begins them.

    Args:
        before: trials that the study has.
    """
    text = f"{task.params.seed} {task.name} {before}"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    if task.tune.sampler == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=STARTUP)


def pruner(tune: Tune) -> BasePruner:
    """Several objectives have no order by which to prune."""
    if tune.pruner == "none" or len(tune.objectives) > 1:
        return NopPruner()
    if tune.pruner == "median":
        return MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=first_look(tune))
    # half of the trials go on at each rung (Li et al. 2020)
    return SuccessiveHalvingPruner(min_resource=first_look(tune), reduction_factor=2)


def first_look(tune: Tune) -> int:
    """Images before which no trial is pruned.

    A third of the budget, when the order of the trials begins to tell: measured at 4³ over 40 trials of 6000 images,
    the rank correlation of the good ones with their end is 0.2 after 1024 images, 0.7 after 2048, and a stage's
    fade-in is over. Where the clock ends a trial, its images are not known.
    """
    return 2 * tune.report if tune.images is None else max(tune.report, tune.images // 3)


def begun(study: optuna.Study) -> tuple[int, int, int]:
    """Numbers of trials: all but retries, those that wait, those that run."""
    trials = study.get_trials(deepcopy=False)
    first = [trial for trial in trials if not RetryHeartbeatStaleTrialCallback.retry_history(trial)]
    states = [trial.state for trial in trials]
    return len(first), states.count(TrialState.WAITING), states.count(TrialState.RUNNING)
