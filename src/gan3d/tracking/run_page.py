"""Addresses of runs in MLflow's UI."""

from mlflow import MlflowClient

LOCAL_UI = "http://127.0.0.1:5000"  # where `make ui` serves a store on disk


def run_path(experiment: str, run_id: str) -> str:
    """The part of a run's address that tells the page."""
    return f"#/experiments/{experiment}/runs/{run_id}"


def run_address(client: MlflowClient, experiment: str, run_id: str) -> str:
    """The address of a run's page, on the tracking server or where `make ui` shows the local store."""
    uri = client.tracking_uri
    home = uri.rstrip("/") if uri.startswith("http") else LOCAL_UI
    return f"{home}/{run_path(experiment, run_id)}"
