"""Fixtures: a snapshot on disk, and real MLflow stores; a conftest imports those that its tests use."""

import os
import shutil

import mlflow
import pytest
from candidates import connect, tiny
from mlflow import MlflowClient

from gan3d import model_file


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A snapshot with its training weights."""
    path = tmp_path_factory.mktemp("models") / "r08"
    model_file.save(path, tiny())
    return path


@pytest.fixture(scope="session")
def new_store(tmp_path_factory):
    """Makes stores: each is a copy of one that was migrated, since a migration takes seconds."""
    source = tmp_path_factory.mktemp("migrated")
    mlflow.set_tracking_uri(f"sqlite:///{source / 'mlflow.db'}")
    MlflowClient().search_experiments()
    os.environ.pop("MLFLOW_TRACKING_URI")

    def make(name):
        mlruns = tmp_path_factory.mktemp(name) / "mlruns"
        shutil.copytree(source, mlruns)
        return mlruns

    return make


@pytest.fixture(autouse=True)
def leave_nothing_open():
    yield
    while mlflow.active_run():
        mlflow.end_run()
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture
def mlruns(new_store):
    return new_store("store")


@pytest.fixture
def client(mlruns):
    return connect(mlruns)
