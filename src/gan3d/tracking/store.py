"""The MLflow store: SQLite and artifacts under mlruns/, unless MLFLOW_TRACKING_URI names another one."""

import os
from pathlib import Path

import mlflow
from filelock import FileLock
from mlflow import MlflowClient

EXPERIMENT = "gan3d"
MODEL = "gan3d"


def connect(mlruns: Path, experiment: str = EXPERIMENT) -> MlflowClient:
    """Point MLflow at the project's store and experiment, both made when missing.

    The store is migrated under a lock, since processes that open a fresh SQLite store at once crash in the migration.

    Args:
        mlruns: folder of the store; ignored when MLFLOW_TRACKING_URI is set.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if given:
        mlflow.set_tracking_uri(given)
        mlflow.set_experiment(experiment)
        return MlflowClient()
    mlruns.mkdir(parents=True, exist_ok=True)
    with FileLock(mlruns / ".lock"):
        mlflow.set_tracking_uri(f"sqlite:///{mlruns / 'mlflow.db'}")
        client = MlflowClient()
        if client.get_experiment_by_name(experiment) is None:
            client.create_experiment(experiment, artifact_location=(mlruns / "artifacts").as_uri())
        mlflow.set_experiment(experiment)
    return client
