"""A server with a tiny generator, shared by most tests."""

import pytest
from candidates import tiny
from loopback import serving

from gan3d import model_file
from gan3d.serving.models import ModelHolder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A model of 8³ with two classes."""
    path = tmp_path_factory.mktemp("models") / "r08"
    model_file.save(path, tiny())
    return path


@pytest.fixture(scope="session")
def holder(folder, tmp_path_factory):
    return ModelHolder(str(folder), tmp_path_factory.mktemp("mlruns")).load()


@pytest.fixture(scope="session")
def server(holder):
    with serving(holder) as running:
        yield running
