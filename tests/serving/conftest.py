"""A server with a tiny generator, for all tests that do not need one of their own."""

import pytest
from candidates import tiny
from loopback import serving

from gan3d import model_file
from gan3d.serving.model import Holder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A snapshot of 8³ with two classes."""
    path = tmp_path_factory.mktemp("models") / "r08"
    model_file.save(path, tiny())
    return path


@pytest.fixture(scope="session")
def holder(folder, tmp_path_factory):
    return Holder(str(folder), tmp_path_factory.mktemp("mlruns"))


@pytest.fixture(scope="session")
def server(holder):
    with serving(holder) as running:
        yield running
