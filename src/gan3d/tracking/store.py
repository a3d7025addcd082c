"""The MLflow store: SQLite and artifacts under mlruns/, unless MLFLOW_TRACKING_URI names another one."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import mlflow
from filelock import FileLock
from mlflow import MlflowClient, MlflowException
from mlflow.entities import LifecycleStage

from gan3d.errors import UserError

EXPERIMENT = "gan3d"
MODEL = "gan3d"
VARIABLE = "MLFLOW_TRACKING_URI"

_own: set[str] = set()  # MLflow writes what it is told into the variable, where it would pass for the user's choice


def connect(mlruns: Path, experiment: str = EXPERIMENT) -> MlflowClient:
    """Point MLflow at the project's store and experiment, both made when missing.

    The store is migrated under a lock, since processes that open a fresh SQLite store at once crash in the migration.

    Args:
        mlruns: folder of the store; ignored when MLFLOW_TRACKING_URI is set.

    Raises:
        UserError: when the store that MLFLOW_TRACKING_URI names does not answer.
    """
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    given = os.environ.get(VARIABLE)
    if given and given not in _own:
        mlflow.set_tracking_uri(given)
        try:
            with without_retries():
                mlflow.set_experiment(experiment)
        except MlflowException as error:
            why = str(error).splitlines()[0]
            if "deleted" in why:
                raise UserError(
                    f"{VARIABLE}={given} has deleted the experiment {experiment}: restore it there."
                ) from error
            raise UserError(
                f"{VARIABLE}={given} does not answer ({why}): start it, or unset the variable to use {mlruns}."
            ) from error
        return MlflowClient()
    mlruns.mkdir(parents=True, exist_ok=True)
    uri = f"sqlite:///{mlruns / 'mlflow.db'}"
    _own.add(uri)
    with FileLock(mlruns / ".lock"):
        mlflow.set_tracking_uri(uri)
        client = MlflowClient()
        found = client.get_experiment_by_name(experiment)
        if found is not None and found.lifecycle_stage != LifecycleStage.ACTIVE:
            raise UserError(
                f"the experiment {experiment} was deleted in MLflow: restore it with `mlflow experiments restore"
                f" --experiment-id {found.experiment_id}`, MLFLOW_TRACKING_URI={uri}."
            )
        if found is None:
            client.create_experiment(experiment, artifact_location=(mlruns / "artifacts").as_uri())
        mlflow.set_experiment(experiment)
    return client


@contextlib.contextmanager
def without_retries() -> Iterator[None]:
    """Within it, a request to a server that does not answer is not repeated for minutes."""
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(name)
    os.environ[name] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
