"""No work waits more than seconds for a tracker, whatever is wrong with it, and nothing is lost."""

import contextlib
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import mlflow
import numpy as np
import pytest
from faulty_server import faulty_server
from free_port import free_port
from mlflow import MlflowClient

from gan3d.errors import UserError
from gan3d.tracking import database, delivery, limits, outbox, store
from gan3d.tracking.delivery import sync
from gan3d.tracking.limits import bounded
from gan3d.tracking.metric_names import LOSS
from gan3d.tracking.mlflow_callback import MLflowCallback
from gan3d.tracking.outbox import Outbox
from gan3d.tracking.run import TrackedRun
from gan3d.tracking.store import connect, connect_later

LIMIT = 10.0
SLACK = 4.0  # of a busy machine


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store that is there already."""
    mlruns = tmp_path_factory.mktemp("whole") / "mlruns"
    for name in (store.URI_VARIABLE, store.ID_VARIABLE):
        os.environ.pop(name, None)
    connect(mlruns)
    return mlruns


@pytest.fixture
def mlruns(whole, tmp_path, monkeypatch):
    for name in (store.URI_VARIABLE, store.ID_VARIABLE, store.NAME_VARIABLE, store.RUN_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "mlruns"
    folder.mkdir()
    (folder / "mlflow.db").write_bytes((whole / "mlflow.db").read_bytes())
    yield folder
    mlflow.set_tracking_uri(None)


def log_a_run(mlruns, **options):
    """What each stage does: a run with all kinds of entries."""
    run = TrackedRun(connect_later(mlruns), mlruns, "stage", {"batch": 4}, {"stage": "r04"}, **options)
    run.outbox.put_metrics([{"images": 10, "loss_d": 1.0}, {"images": 20, "loss_d": 2.0}])
    run.outbox.put_image("samples", 20, np.full((8, 9, 3), 200, np.uint8))
    (mlruns / "note.txt").write_text("a file", encoding="utf-8")
    run.outbox.put_files(mlruns / "note.txt", "files")
    run.end()
    return run


def check(client, run_id):
    """The run has everything once."""
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "stage")
    assert (run.data.params, run.data.tags["stage"]) == ({"batch": "4"}, "r04")
    assert [m.step for m in client.get_metric_history(run_id, "loss_d")] == [10, 20]
    assert {item.path for item in client.list_artifacts(run_id)} == {"files", "images"}


def only_run(client):
    (run,) = client.search_runs([store.experiment_id(client)])
    return run.info.run_id


@pytest.mark.parametrize("fault", ["refuses", "hangs", "errors"])
def test_a_server_that_fails_from_the_start_holds_up_nothing(mlruns, monkeypatch, capfd, fault):
    with faulty_server(fault) as server:
        monkeypatch.setenv(store.URI_VARIABLE, server.url)
        start = time.monotonic()
        run = log_a_run(mlruns)
        assert time.monotonic() - start < LIMIT + SLACK
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert re.fullmatch(r"warning: 5 entries of stage did not reach MLflow \(.+\): they are kept in .*", err.strip())
    monkeypatch.delenv(store.URI_VARIABLE)
    client = connect(mlruns)
    assert sync(client, mlruns / "outbox") == ({run.id: 5}, {})
    check(client, only_run(client))
    assert delivery.resolve_run(client, run.id) == only_run(client)
    assert list((mlruns / "outbox").iterdir()) == []


@pytest.mark.parametrize("seconds", [2, 300])
@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_locked_store_holds_up_nothing(mlruns, capfd, lock, seconds):
    held = sqlite3.connect(mlruns / "mlflow.db", isolation_level=None, check_same_thread=False)
    held.execute(f"BEGIN {lock}")
    start = time.monotonic()
    timer = None
    if seconds < LIMIT:
        timer = threading.Timer(seconds, held.rollback)
        timer.start()
    log_a_run(mlruns)
    assert time.monotonic() - start < LIMIT + SLACK
    err = capfd.readouterr().err
    if timer is None:
        held.rollback()
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert "locked" in err or "in time" in err
        time.sleep(1)
    client = connect(mlruns)
    sync(client, mlruns / "outbox")
    check(client, only_run(client))


def serve(folder, port):
    """A real MLflow server on loopback."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
    command += ["--artifacts-destination", str(folder / "a")]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(900):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return server
        time.sleep(0.5)
    server.kill()
    raise AssertionError("the server did not start")


@pytest.fixture(scope="module")
def upstream(whole, tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    (folder / "server.db").write_bytes((whole / "mlflow.db").read_bytes())
    server = serve(folder, port)
    yield port
    server.kill()
    server.wait()


@pytest.mark.full
@pytest.mark.parametrize("fault", ["delays", "drops", "none"])
def test_a_slow_or_lossy_server_gets_everything_once(mlruns, upstream, monkeypatch, fault):
    with faulty_server(fault, upstream) as server:
        monkeypatch.setenv(store.URI_VARIABLE, server.url)
        monkeypatch.setenv(store.NAME_VARIABLE, f"of {fault}")
        start = time.monotonic()
        run = log_a_run(mlruns)
        assert time.monotonic() - start < LIMIT + SLACK
        server.fault = "none"
        client = connect(mlruns)
        until = time.monotonic() + 60
        while sync(client, mlruns / "outbox")[1] or (mlruns / "outbox" / run.id).exists():
            assert time.monotonic() < until
            time.sleep(0.5)
        check(client, only_run(client))


@pytest.mark.full
@pytest.mark.parametrize("fault", ["hangs", "errors", "delays"])
def test_a_server_that_fails_in_the_middle(mlruns, upstream, monkeypatch, fault):
    with faulty_server("none", upstream) as server:
        monkeypatch.setenv(store.URI_VARIABLE, server.url)
        monkeypatch.setenv(store.NAME_VARIABLE, f"until it {fault}")
        callback = MLflowCallback(connect_later(mlruns), "stage", {}, {}, ["chair"], "y", mlruns=mlruns)
        callback.on_train_begin(0, [], {})
        callback.on_log({"images": 10, "loss_d": 1.0})
        callback.flush()
        server.fault = fault
        start = time.monotonic()
        callback.on_log({"images": 20, "loss_d": 2.0})
        callback.finish({})
        assert time.monotonic() - start < LIMIT + SLACK
        server.fault = "none"
        server.stopped.set()
        time.sleep(1)
        client = connect(mlruns)
        until = time.monotonic() + 60
        while sync(client, mlruns / "outbox")[1]:
            assert time.monotonic() < until
            time.sleep(0.5)
        run = client.get_run(only_run(client))
        assert run.info.status == "FINISHED"
        assert [m.step for m in client.get_metric_history(run.info.run_id, LOSS)] == [10, 20]


@pytest.mark.parametrize("fault", ["refuses", "hangs", "errors"])
def test_what_needs_answers_fails_in_one_sentence_within_seconds(mlruns, monkeypatch, fault):
    with faulty_server(fault) as server:
        monkeypatch.setenv(store.URI_VARIABLE, server.url.replace("127", "ann:secret@127"))
        start = time.monotonic()
        with pytest.raises(UserError, match=r"cannot be reached \(.*\): .* repeat the command") as told:
            connect(mlruns)
        assert time.monotonic() - start < LIMIT + SLACK / 2
        assert "secret" not in str(told.value)
        assert len(str(told.value)) < 300


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_locked_store_is_told_within_seconds(mlruns, lock):
    client = connect(mlruns)
    with contextlib.closing(sqlite3.connect(mlruns / "mlflow.db", isolation_level=None)) as held:
        held.execute(f"BEGIN {lock}")
        start = time.monotonic()
        with pytest.raises(UserError, match=r"locked by another process"), bounded("the store"):
            connect(mlruns).create_run(store.experiment_id(client))
        assert time.monotonic() - start < LIMIT + SLACK / 2
    assert connect(mlruns).create_run(store.experiment_id(client)).info.status == "RUNNING"


@pytest.mark.full
def test_the_first_run_of_a_project_waits_for_its_store(mlruns, capfd):
    """Which takes longer than a fault may, on a busy machine."""
    (mlruns / "mlflow.db").unlink()
    run = log_a_run(mlruns)
    assert "warning" not in capfd.readouterr().err
    check(connect(mlruns), run.run_id)


def test_a_slow_server_uses_up_its_time(mlruns, monkeypatch):
    """The limit is for all requests together."""
    monkeypatch.setattr(limits, "DEFAULT_SECONDS", 4.0)
    with faulty_server("delays") as server:  # then errors
        start = time.monotonic()
        with pytest.raises(UserError, match=limits.SECONDS_VARIABLE), bounded(server.url):
            MlflowClient(server.url).search_experiments()
        assert time.monotonic() - start < 4 + SLACK / 2


def test_an_entry_that_is_refused_for_good_holds_back_no_other(mlruns, caplog):
    client = connect(mlruns)
    run = TrackedRun(client, mlruns, "stage", {}, {})
    run.outbox.put_tag("longer than MLflow takes" * 100, "")
    run.outbox.put_metrics([{"images": 1, "loss_d": 1.0}])
    run.end()
    done = client.get_run(only_run(client))
    assert (done.info.status, done.data.metrics) == ("FINISHED", {"loss_d": 1.0})
    assert "refuses an entry" in caplog.text
    assert len(list((mlruns / "outbox" / run.id / "refused").iterdir())) == 1


def test_a_full_disk_costs_entries_and_not_the_work(mlruns, monkeypatch, capsys):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    run = TrackedRun(connect(mlruns), mlruns, "stage", {}, {})
    monkeypatch.setattr(outbox, "write_entry", full)
    run.outbox.put_metrics([{"images": 1, "loss_d": 1.0}])
    run.end()
    assert "No space left on device" in capsys.readouterr().err


DIES = """
import os, sys
from pathlib import Path
from gan3d.tracking.run import TrackedRun
from gan3d.tracking.store import connect
mlruns = Path(sys.argv[1])
run = TrackedRun(connect(mlruns), mlruns, "stage", {}, {}, dead=sys.argv[2])
run.outbox.put_metrics([{"images": 1, "loss_d": 1.0}])
if sys.argv[3] == "late":
    run.wait_for_start()
os._exit(9)
"""


@pytest.mark.parametrize(("status", "moment"), [("KILLED", "late"), ("FAILED", "late"), ("KILLED", "early")])
def test_the_next_run_ends_that_of_a_dead_process(mlruns, status, moment):
    env = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    subprocess.run([sys.executable, "-c", DIES, mlruns, status, moment], env=env)
    client = connect(mlruns)
    living = TrackedRun(client, mlruns, "living", {}, {})
    next_run = TrackedRun(client, mlruns, "next", {}, {})
    next_run.end()
    found = {run.info.run_name: run for run in client.search_runs([store.experiment_id(client)])}
    assert found["stage"].info.status == status
    assert found["stage"].data.metrics == {"loss_d": 1.0}
    assert found["living"].info.status == "RUNNING"
    living.end()
    assert client.get_run(living.run_id).info.status == "FINISHED"
    sync(client, mlruns / "outbox")  # two processes that tidy up at once may each leave a folder to the other
    assert list((mlruns / "outbox").iterdir()) == []


def test_the_callers_run_is_the_parent_of_ours(mlruns, monkeypatch):
    client = connect(mlruns)
    outer = client.create_run(store.experiment_id(client)).info.run_id
    monkeypatch.setenv(store.RUN_VARIABLE, outer)
    monkeypatch.setattr(store, "_parent", [])
    ids = [log_a_run(mlruns).run_id for _ in range(2)]
    assert len({*ids, outer}) == 3
    assert {client.get_run(run).data.tags["mlflow.parentRunId"] for run in ids} == {outer}
    assert client.get_run(outer).data.metrics == {}


def test_the_callers_experiment_is_honoured_or_refused(mlruns, monkeypatch):
    client = connect(mlruns)
    number = client.create_experiment("theirs")
    monkeypatch.setenv(store.NAME_VARIABLE, "theirs")
    assert store.experiment_id(connect(mlruns)) == number
    monkeypatch.setattr(store, "_set_here", {store.URI_VARIABLE: {database.url_of(mlruns / "mlflow.db")}})
    monkeypatch.setenv(store.ID_VARIABLE, number)
    assert store.experiment_id(client) == number
    monkeypatch.setenv(store.NAME_VARIABLE, "another")
    with pytest.raises(UserError, match=r"is the experiment theirs, but MLFLOW_EXPERIMENT_NAME is another: unset one"):
        store.experiment_id(client)
    monkeypatch.setenv(store.ID_VARIABLE, "77")
    with pytest.raises(UserError, match=r"MLFLOW_EXPERIMENT_ID=77 is no experiment"):
        store.experiment_id(client)


def test_an_outbox_of_an_older_version_is_delivered(mlruns):
    """Without run.json, in a folder named by the run."""
    client = connect(mlruns)
    run = client.create_run(store.experiment_id(client)).info.run_id
    box = Outbox(client, run, mlruns / "outbox")
    box.put_metrics([{"images": 1, "loss_d": 1.0}])
    assert box.close() == 0
    assert client.get_run(run).data.metrics == {"loss_d": 1.0}


@pytest.mark.full
def test_a_database_that_the_user_names_is_created_whole_too(mlruns, tmp_path, monkeypatch):
    path = tmp_path / "their folder" / "theirs.db"
    monkeypatch.setenv(store.URI_VARIABLE, database.url_of(path))
    client = connect(mlruns)
    assert client.get_experiment_by_name("gan3d") is not None
    assert database._complete(path, store.SCHEMA)
    assert sorted(found.name for found in path.parent.iterdir()) == [".lock", "theirs.db"]


def test_scores_that_come_after_the_end_do_not_end_a_run_again(mlruns, monkeypatch):
    """A training and its evaluation, both while the server is down."""
    with faulty_server("refuses") as server:
        monkeypatch.setenv(store.URI_VARIABLE, server.url)
        trained = log_a_run(mlruns)
        evaluation = TrackedRun(connect_later(mlruns), mlruns, "evaluation", {}, {})
        evaluation.other(trained.run_id).put_metrics([{"images": 0, "score": 0.5}])
        evaluation.end()
    monkeypatch.delenv(store.URI_VARIABLE)
    client = connect(mlruns)
    assert not sync(client, mlruns / "outbox")[1]
    found = {run.info.run_name: run for run in client.search_runs([store.experiment_id(client)])}
    check(client, found["stage"].info.run_id)
    assert found["stage"].data.metrics["score"] == 0.5
    assert found["evaluation"].info.status == "FINISHED"
    late = TrackedRun(client, mlruns, "late", {}, {})  # the run is delivered, and known by its local id alone
    late.other(trained.id).put_metrics([{"images": 0, "late": 1.0}])
    late.end()
    assert client.get_run(found["stage"].info.run_id).data.metrics["late"] == 1.0
    assert list((mlruns / "outbox").iterdir()) == []


@pytest.mark.parametrize(
    "uri", ["nonsense://x", "mlruns", "file:///somewhere", "http://[::1", "http://", "http://h:99999"]
)
def test_an_address_that_is_no_store_is_one_sentence(mlruns, monkeypatch, uri):
    monkeypatch.setenv(store.URI_VARIABLE, uri)
    with pytest.raises(UserError, match=f"{store.URI_VARIABLE} is {re.escape(uri)}, which MLflow cannot use"):
        connect(mlruns)
    monkeypatch.delenv(store.URI_VARIABLE)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri)
    with pytest.raises(UserError, match=f"MLFLOW_REGISTRY_URI is {re.escape(uri)}, which MLflow cannot use"):
        connect(mlruns)


@pytest.mark.parametrize("fault", ["refuses", "hangs"])
def test_a_database_server_that_fails_is_told_within_seconds(mlruns, monkeypatch, fault):
    pytest.importorskip("psycopg")
    with socket.create_server(("127.0.0.1", 0 if fault == "hangs" else free_port())) as server:
        port = server.getsockname()[1]
        if fault == "refuses":
            server.close()
        monkeypatch.setenv(store.URI_VARIABLE, f"postgresql+psycopg://me:Xq7top@127.0.0.1:{port}/studies")
        start = time.monotonic()
        with pytest.raises(
            UserError, match=r"store postgresql\+psycopg://\*\*\*@127.0.0.1:\d+/studies cannot be reached"
        ):
            connect(mlruns)
    assert time.monotonic() - start < LIMIT + SLACK
