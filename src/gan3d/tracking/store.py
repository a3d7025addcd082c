"""The MLflow store: SQLite and artifacts in mlruns/, unless MLFLOW_TRACKING_URI names another one."""

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
URI_VARIABLE = "MLFLOW_TRACKING_URI"

# MLflow stores a URI set here in the environment variable, where it would look like the user's choice
_set_here: set[str] = set()


def connect(mlruns: Path, experiment: str = EXPERIMENT) -> MlflowClient:
    """Connect MLflow to the project's store and experiment; create them if they are missing.

    A lock guards the schema migration: processes that open a new SQLite store at the same time crash in it.

    Args:
        mlruns: folder of the store; ignored if MLFLOW_TRACKING_URI is set.

    Raises:
        UserError: if the store that MLFLOW_TRACKING_URI names does not answer, or the experiment was deleted.
    """
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    given = os.environ.get(URI_VARIABLE)
    if given and given not in _set_here:
        mlflow.set_tracking_uri(given)
        try:
            with without_retries():
                mlflow.set_experiment(experiment)
        except MlflowException as error:
            why = str(error).splitlines()[0]
            if "deleted" in why:
                raise UserError(
                    f"the experiment {experiment} was deleted in {URI_VARIABLE}={given}: restore it there."
                ) from error
            raise UserError(
                f"{URI_VARIABLE}={given} does not answer ({why}): start it, or unset the variable to use {mlruns}."
            ) from error
        return MlflowClient()
    mlruns.mkdir(parents=True, exist_ok=True)
    uri = f"sqlite:///{mlruns / 'mlflow.db'}"
    _set_here.add(uri)
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


def connect_read_only(mlruns: Path) -> MlflowClient:
    """Connect MLflow to the store in a folder that may not be written, to read it: nothing is created or locked."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    uri = f"sqlite:///{mlruns / 'mlflow.db'}"
    _set_here.add(uri)
    mlflow.set_tracking_uri(uri)
    return MlflowClient()


@contextlib.contextmanager
def without_retries() -> Iterator[None]:
    """Make requests fail at once if the server does not answer; MLflow repeats them for minutes otherwise."""
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(name)
    os.environ[name] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
