"""The MLflow store: SQLite and artifacts under mlruns/, unless MLFLOW_TRACKING_URI names another one."""

import logging
import os
from pathlib import Path

import mlflow
from filelock import FileLock
from mlflow import MlflowClient

EXPERIMENT = "gan3d"
MODEL = "gan3d"
VARIABLE = "MLFLOW_TRACKING_URI"

_own: set[str] = set()  # MLflow writes what it is told into the variable, where it would pass for the user's choice


def connect(mlruns: Path, experiment: str = EXPERIMENT) -> MlflowClient:
    """Point MLflow at the project's store and experiment, both made when missing.

    The store is migrated under a lock, since processes that open a fresh SQLite store at once crash in the migration.

    Args:
        mlruns: folder of the store; ignored when MLFLOW_TRACKING_URI is set.
    """
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    given = os.environ.get(VARIABLE)
    if given and given not in _own:
        mlflow.set_tracking_uri(given)
        mlflow.set_experiment(experiment)
        return MlflowClient()
    mlruns.mkdir(parents=True, exist_ok=True)
    uri = f"sqlite:///{mlruns / 'mlflow.db'}"
    _own.add(uri)
    with FileLock(mlruns / ".lock"):
        mlflow.set_tracking_uri(uri)
        client = MlflowClient()
        if client.get_experiment_by_name(experiment) is None:
            client.create_experiment(experiment, artifact_location=(mlruns / "artifacts").as_uri())
        mlflow.set_experiment(experiment)
    return client
