"""A server with a tiny generator, shared by most tests."""

import pytest
from loopback import serving
from registry_fixtures import folder  # noqa: F401

from gan3d.serving.models import ModelHolder


@pytest.fixture(scope="session")
def holder(folder, tmp_path_factory):  # noqa: F811
    return ModelHolder(str(folder), tmp_path_factory.mktemp("mlruns")).load()


@pytest.fixture(scope="session")
def server(holder):
    with serving(holder) as running:
        yield running
