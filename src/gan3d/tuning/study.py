"""A stage's study: where it lies, what it may be continued with, and its parent run in MLflow."""

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow
import optuna
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from gan3d.errors import UserError
from gan3d.params import Params, Tune
from gan3d.project import Project
from gan3d.tracking.facts import cause
from gan3d.tracking.store import EXPERIMENT
from gan3d.tuning import space
from gan3d.tuning.judge import DIRECTIONS

RETRIES = 3  # of one trial
SILENT = 3  # heartbeats; then a worker counts as dead
ATTEMPTS = 8  # to make the tables, while others make them too
SETUP, PARENT = "setup", "parent_run"  # attributes of a study
BEGUN = "begun"  # attribute of a trial: its process

warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@dataclass(frozen=True)
class Task:
    """Which study: a stage with its parameters in a project, a storage and a name."""

    params: Params
    stage: str
    project: Project
    url: str
    name: str

    @property
    def tune(self) -> Tune:
        return self.params.tune

    @property
    def shown(self) -> str:
        """The storage without its password."""
        return make_url(self.url).render_as_string(hide_password=True)

    def lock(self) -> FileLock:
        """Taken while a study is made and while a trial is begun, by all workers that share this project's folder."""
        self.project.mlruns.mkdir(parents=True, exist_ok=True)
        return FileLock(self.project.mlruns / f".tune-{self.name}.lock")


def task(params: Params, stage: str, project: Project, storage: str | None = None, name: str | None = None) -> Task:
    """The study of a stage.

    Args:
        storage: instead of tune.storage.
        name: instead of the model's name and the stage.

    Raises:
        UserError: for a stage that does not exist or that cannot be searched as params.yaml says.
    """
    stages = params.train.stages
    if stage not in stages:
        raise UserError(f"stage {stage!r} is not in train.stages: choose one of {', '.join(stages)}, or all.")
    if "width" in params.tune.space and len(stages[stage].widths) > 1:
        raise UserError(f"{stage} has several widths, which cannot be searched: take width out of tune.space.")
    url = storage or params.tune.storage or f"sqlite:///{project.mlruns / 'optuna.db'}"
    try:
        made = make_url(url)
    except SQLAlchemyError:
        raise UserError(f"storage {url!r} is no database URL: use one such as sqlite:///studies.db.") from None
    if made.drivername in ("postgresql", "postgres"):  # whose default driver depends on SQLAlchemy's version
        url = made.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    return Task(params, stage, project, url, name or f"{params.name}-{stage}")


def open_study(task: Task, inputs: str, client: MlflowClient) -> optuna.Study:
    """The task's study, made when it is missing, with its parent run.

    Args:
        inputs: of `gan3d.tuning.trial.Arena.inputs`.

    Raises:
        UserError: when the storage cannot be opened, or when the study was begun with something else.
    """
    setup = space.describe(task.tune) | {"inputs": inputs}
    with task.lock():
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


def find_study(task: Task) -> optuna.Study:
    """The task's study, for reading.

    Raises:
        UserError: when there is none.
    """
    try:
        return optuna.load_study(study_name=task.name, storage=task.url)
    except (KeyError, SQLAlchemyError, ImportError):
        raise UserError(
            f"there is no study {task.name} in {task.shown}: run `gan3d tune {task.stage}` first."
        ) from None


def open_storage(task: Task, client: MlflowClient) -> RDBStorage:
    """The RDB with a heartbeat; a trial whose worker died is failed there and in MLflow, and tried again.

    Raises:
        UserError: when it cannot be opened.
    """
    sqlite = task.url.startswith("sqlite")
    if sqlite and (database := make_url(task.url).database):
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(ATTEMPTS):
        try:
            return RDBStorage(
                task.url,
                engine_kwargs={"connect_args": {"timeout": 60}} if sqlite else {"pool_pre_ping": True},
                heartbeat_interval=task.tune.heartbeat,
                grace_period=SILENT * task.tune.heartbeat,
                heartbeat_stale_trial_callback=buried(client),
            )
        except ImportError:
            raise UserError(
                f"{task.shown} needs a database driver that is missing here: install gan3d[postgres], or the driver."
            ) from None
        except SQLAlchemyError as error:  # also from others that make the same tables at the same instant
            if attempt == ATTEMPTS - 1:
                why = str(getattr(error, "orig", error)).splitlines()[0]
                raise UserError(f"{task.shown} cannot be opened ({why}): check tune.storage.") from None
            time.sleep(0.2 * 2**attempt)
    raise AssertionError("unreachable")


def buried(client: MlflowClient) -> Callable[[optuna.Study, FrozenTrial], None]:
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


def retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a trial again, linked to its first form; training then takes up its last checkpoint."""
    trial.user_attrs.pop("run_id", None)
    RetryHeartbeatStaleTrialCallback(max_retry=RETRIES, inherit_intermediate_values=True)(study, trial)


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


def refuse_other(task: Task, study: optuna.Study, setup: dict[str, Any]) -> None:
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


def begin_parent(task: Task, study: optuna.Study, client: MlflowClient) -> str:
    """The study's run in MLflow, made or opened again; returns its id."""
    known = study.user_attrs.get(PARENT)
    if known:
        try:
            client.update_run(known, status="RUNNING")
            return known
        except mlflow.MlflowException:
            pass  # somebody deleted it, or it is in another store
    experiment = client.get_experiment_by_name(EXPERIMENT)
    tags = cause(task.project.work) | {"stage": task.stage, "study": task.name, "storage": task.shown}
    name = f"{task.name} study"
    run = client.create_run(experiment.experiment_id, tags=tags | {MLFLOW_RUN_NAME: name}, run_name=name).info.run_id
    settings = {"sampler": task.tune.sampler, "pruner": task.tune.pruner} | space.describe(task.tune)
    for setting, value in settings.items():
        client.log_param(run, setting, value if isinstance(value, str) else json.dumps(value))
    study.set_user_attr(PARENT, run)
    return run


def sampler(tune: Tune, seed: int) -> BaseSampler:
    """Seeded anew for each trial, so that workers never draw the same numbers."""
    return RandomSampler(seed=seed) if tune.sampler == "random" else TPESampler(seed=seed)


def pruner(tune: Tune) -> BasePruner:
    """Several objectives have no order by which to prune."""
    if tune.pruner == "none" or len(tune.objectives) > 1:
        return NopPruner()
    if tune.pruner == "median":
        return MedianPruner(n_startup_trials=4)
    # a third of the trials goes on at each rung, the first after one look (Li et al. 2020)
    return SuccessiveHalvingPruner(min_resource=tune.report, reduction_factor=3)


def begun(study: optuna.Study) -> tuple[int, int, int]:
    """Numbers of trials: all but retries, those that wait, those that run."""
    trials = study.get_trials(deepcopy=False)
    first = [trial for trial in trials if not RetryHeartbeatStaleTrialCallback.retry_history(trial)]
    states = [trial.state for trial in trials]
    return len(first), states.count(TrialState.WAITING), states.count(TrialState.RUNNING)
