"""A stage's study: opening it, retrying its trials, and its parent run in MLflow."""

import json
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import optuna
from mlflow import MlflowClient
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url

from gan3d.errors import UserError
from gan3d.metrics.table import DIRECTIONS
from gan3d.tracking.provenance import provenance_tags
from gan3d.tracking.store import experiment_id
from gan3d.tuning import space
from gan3d.tuning.pruners import make_pruner
from gan3d.tuning.storage import ensure_database
from gan3d.tuning.study_spec import StudySpec

MAX_RETRIES = 3  # of one trial
MISSED_HEARTBEATS = 3  # after which a worker counts as dead
SETUP, PARENT_RUN = "setup", "parent_run"  # attributes of a study
FINGERPRINT = "fingerprint"  # in SETUP
WORKER_PID = "worker_pid"  # attribute of a trial
OLD_FINGERPRINT = "inputs"  # what 0.1 called it

warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def open_study(spec: StudySpec, fingerprint: str, client: MlflowClient) -> optuna.Study:
    """Open a study and its parent run, or create them.

    Args:
        fingerprint: of what all trials share; see `gan3d.tuning.trial.TrialRunner.fingerprint`.

    Raises:
        UserError: if the storage cannot be opened, or the study was started with other settings.
    """
    setup = space.comparable_settings(spec.tune) | {FINGERPRINT: fingerprint}
    with spec.translate_database_errors(), spec.lock():
        storage = open_storage(spec, client)
        study = optuna.create_study(
            study_name=spec.name,
            storage=storage,
            directions=[DIRECTIONS[name] for name in spec.tune.objectives],
            pruner=make_pruner(spec.tune),
            load_if_exists=True,
        )
        if SETUP not in study.user_attrs:
            study.set_user_attr(SETUP, setup)
            study.set_metric_names(list(spec.tune.objectives))
            current = space.current_values(spec.params, spec.stage)
            if current is not None:
                study.enqueue_trial(current, user_attrs={"origin": "params.yaml"})
        check_setup(spec, study, setup)
        open_parent_run(spec, study, client)
    return study


def find_study(spec: StudySpec) -> optuna.Study:
    """Open a study for reading.

    Raises:
        UserError: if it does not exist.
    """
    missing = UserError(f"there is no study {spec.name} in {spec.display_url}: run `gan3d tune {spec.stage}` first.")
    path = make_url(spec.url).database if spec.url.startswith("sqlite") else None
    if path and not Path(path).is_file():
        raise missing  # Optuna would create the database
    with spec.translate_database_errors():
        ensure_database(spec.url)
        try:
            return optuna.load_study(study_name=spec.name, storage=spec.url)
        except KeyError:
            raise missing from None


def open_storage(spec: StudySpec, client: MlflowClient) -> RDBStorage:
    """Open the database, with heartbeats: a trial whose worker died fails there and in MLflow, and is retried."""
    sqlite = spec.url.startswith("sqlite")
    ensure_database(spec.url)
    return RDBStorage(
        spec.url,
        engine_kwargs={"connect_args": {"timeout": 60}} if sqlite else {"pool_pre_ping": True},
        heartbeat_interval=spec.tune.heartbeat,
        grace_period=MISSED_HEARTBEATS * spec.tune.heartbeat,
        heartbeat_stale_trial_callback=stale_trial_callback(client),
    )


def stale_trial_callback(client: MlflowClient) -> Callable[[optuna.Study, FrozenTrial], None]:
    """What Optuna calls for a trial whose worker died."""

    def on_stale_trial(study: optuna.Study, trial: FrozenTrial) -> None:
        run = trial.user_attrs.get("run_id") or find_run(study, trial.number, client)
        if run is None:  # it died before its first step
            tags = {MLFLOW_PARENT_RUN_ID: study.user_attrs[PARENT_RUN], "study": study.study_name}
            name = f"{study.study_name} {trial.number}"
            run = client.create_run(
                experiment_id(client), tags=tags | {"trial": str(trial.number)}, run_name=name
            ).info.run_id
            for parameter, value in trial.params.items():
                client.log_param(run, parameter, value)
        client.set_tag(run, "reason", "its worker died")
        client.set_terminated(run, "FAILED")
        retry(study, trial)

    return on_stale_trial


def retry(study: optuna.Study, trial: FrozenTrial, max_retries: int | None = MAX_RETRIES) -> None:
    """Queue a failed trial again, linked to the original; its training resumes from the last checkpoint.

    Args:
        max_retries: limited for a trial whose worker dies, since the trial itself may be the cause. None: no limit.
    """
    for name in ("run_id", WORKER_PID, "reason", "continued_at"):  # of the failed trial
        trial.user_attrs.pop(name, None)
    RetryHeartbeatStaleTrialCallback(max_retry=max_retries, inherit_intermediate_values=True)(study, trial)


def orphans(study: optuna.Study, older: float) -> list[FrozenTrial]:
    """Running trials whose worker died before its first heartbeat, so that Optuna does not find them.

    Args:
        older: seconds since a trial's start after which its worker counts as dead.
    """
    now = datetime.now()
    return [
        trial
        for trial in study.get_trials(deepcopy=True, states=(TrialState.RUNNING,))
        if WORKER_PID not in trial.user_attrs
        and trial.datetime_start is not None
        and (now - trial.datetime_start).total_seconds() > older
    ]


def find_run(study: optuna.Study, number: int, client: MlflowClient) -> str | None:
    """The MLflow run of a trial that died before it stored its run's id."""
    found = client.search_runs(
        [experiment_id(client)], f"tags.study = '{study.study_name}' and tags.trial = '{number}'"
    )
    return found[0].info.run_id if found else None


def check_setup(spec: StudySpec, study: optuna.Study, setup: dict[str, Any]) -> None:
    """Check that new trials can be compared with those of the study.

    Raises:
        UserError: if they differ in space, budget, data or model; names the difference.
    """
    old, setup = dict(study.user_attrs[SETUP]), json.loads(json.dumps(setup))
    if OLD_FINGERPRINT in old:
        old[FINGERPRINT] = old.pop(OLD_FINGERPRINT)
    if old == setup:
        return
    old_space, new_space = old.get("space", {}), setup["space"]
    differing = [
        f"space.{name} was {_show(old_space.get(name))} and is {_show(new_space.get(name))}"
        for name in {**old_space, **new_space}
        if json.dumps(old_space.get(name)) != json.dumps(new_space.get(name))
    ]
    for name in setup:
        if name not in ("space", FINGERPRINT) and old.get(name) != setup[name]:
            differing.append(f"{name} was {_show(old.get(name))} and is {_show(setup[name])}")
    if not differing:
        differing = ["the data, the previous stage's model or other parameters of the stage have changed"]
    raise UserError(
        f"study {spec.name} was started with other settings ({'; '.join(differing)}), so its {len(study.trials)} trials"
        " cannot be compared with new ones: restore params.yaml, or start another study with --study NAME."
    )


def _show(value: Any) -> str:
    return "missing" if value is None else json.dumps(value)


def open_parent_run(spec: StudySpec, study: optuna.Study, client: MlflowClient) -> str:
    """Open or create the study's run in MLflow; returns its id."""
    known = study.user_attrs.get(PARENT_RUN)
    if known:
        try:
            client.update_run(known, status="RUNNING")
            return known
        except mlflow.MlflowException:
            pass  # deleted, or in another store
    tags = resolve_tags() | provenance_tags(spec.project.work)
    tags |= {"stage": spec.stage, "study": spec.name, "storage": spec.display_url}
    name = f"{spec.name} study"
    run = client.create_run(experiment_id(client), tags=tags | {MLFLOW_RUN_NAME: name}, run_name=name).info.run_id
    settings = {"sampler": spec.tune.sampler, "pruner": spec.tune.pruner} | space.comparable_settings(spec.tune)
    for setting, value in settings.items():
        client.log_param(run, setting, value if isinstance(value, str) else json.dumps(value))
    study.set_user_attr(PARENT_RUN, run)
    return run


def trained_values(study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
    """The values that a trial was trained with."""
    if OLD_FINGERPRINT not in study.user_attrs.get(SETUP, {}):
        return trial.params
    values = dict(trial.params)  # 0.1 stored floats before it rounded them
    for name, distribution in trial.distributions.items():
        if isinstance(distribution, FloatDistribution):
            values[name] = space.round_float(values[name], distribution.low, distribution.high)
    return values


class TrialCounts(NamedTuple):
    """Numbers of trials: `original` are all but retries, `finished` have a result."""

    original: int
    waiting: int
    running: int
    finished: int


def count_trials(study: optuna.Study) -> TrialCounts:
    """Count a study's trials."""
    trials = study.get_trials(deepcopy=False)
    original = [trial for trial in trials if not RetryHeartbeatStaleTrialCallback.retry_history(trial)]
    states = [trial.state for trial in trials]
    finished = states.count(TrialState.COMPLETE) + states.count(TrialState.PRUNED)
    return TrialCounts(len(original), states.count(TrialState.WAITING), states.count(TrialState.RUNNING), finished)
