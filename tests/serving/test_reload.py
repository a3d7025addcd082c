"""The alias moves while clients send requests: none is dropped, and each gets the shapes of the version it names."""

import os
import threading
import time

import numpy as np
import pytest
from candidates import MODEL, connect, facts, tiny
from loopback import serving

from gan3d import model_file
from gan3d.registry import aliases
from gan3d.registry.log import log_candidate
from gan3d.sampling.sampler import Sampler
from gan3d.serving.models import ModelHolder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A store with two versions, of which the first is champion."""
    root = tmp_path_factory.mktemp("reload")
    client = connect(root / "mlruns")
    for i, seed in enumerate((0, 2)):  # of these seeds, both classes have shapes: a server refuses a version without
        model_file.save(root / f"m{i}", tiny(seed))
        log_candidate(client, MODEL, root / f"m{i}", facts())
    client.set_registered_model_alias(MODEL, "champion", "1")
    yield root, client
    os.environ.pop("MLFLOW_TRACKING_URI", None)


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_request_is_dropped_when_the_alias_moves(registry):
    root, client = registry
    expected = {}
    for number in (1, 2):
        sampler = Sampler(model_file.load(root / f"m{number - 1}"))
        expected[f"{MODEL}/{number}"] = np.packbits(sampler.shapes(0, 4, 3)).tobytes()
    replies, stop = [], threading.Event()
    with serving(ModelHolder("models:/furniture@champion", root / "mlruns").load()) as server:

        def client_loop():
            while not stop.is_set():
                replies.append(server.shapes(class_="chair", count=4, seed=3, output="bits"))

        clients = [threading.Thread(target=client_loop) for _ in range(3)]
        for thread in clients:
            thread.start()
        wait_until(lambda: len(replies) > 5)
        aliases.promote(client, MODEL, 2, "a test")
        wait_until(lambda: replies[-1].headers["x-model"] == "furniture/2")
        aliases.rollback(client, MODEL, "another test")
        wait_until(lambda: replies[-1].headers["x-model"] == "furniture/1")
        stop.set()
        for thread in clients:
            thread.join()
        assert server.holder.reloads == 2
    assert {reply.status for reply in replies} == {200}
    assert all(reply.body == expected[reply.headers["x-model"]] for reply in replies)
    assert {reply.headers["x-model"] for reply in replies} == set(expected)


def test_an_unreachable_alias_does_not_stop_the_server(registry, caplog):
    root, client = registry
    client.set_registered_model_alias(MODEL, "wandering", "1")
    holder = ModelHolder("models:/furniture@wandering", root / "mlruns").load()
    client.delete_registered_model_alias(MODEL, "wandering")
    assert not holder.refresh()
    assert not holder.refresh()
    assert (holder.failures, holder.current.version) == (2, "furniture/1")
    assert len([record for record in caplog.records if "still serving" in record.message]) == 1
    client.set_registered_model_alias(MODEL, "wandering", "2")
    assert holder.refresh()
    assert holder.current.version == "furniture/2"


def test_version_numbers_and_folders_never_reload(registry):
    root, _ = registry
    for model, name in (("models:/furniture/2", "furniture/2"), (str(root / "m0"), str(root / "m0"))):
        holder = ModelHolder(model, root / "mlruns").load()
        assert holder.current.version == name
        assert not holder.refresh()
