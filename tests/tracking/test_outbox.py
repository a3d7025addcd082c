"""Nothing that a run logs is lost, whether its server fails or its process is killed."""

import json
import socket
import subprocess
import sys
import time

import mlflow
import numpy as np
import pytest
from free_port import free_port
from mlflow import MlflowClient
from PIL import Image

from gan3d.errors import UserError
from gan3d.rendering import sheets
from gan3d.tracking import mlflow_callback, outbox
from gan3d.tracking.delivery import deliver, resolve_run, sync
from gan3d.tracking.metric_names import LOSS, RUN_SCORE
from gan3d.tracking.mlflow_callback import MLflowCallback
from gan3d.tracking.outbox import Outbox
from gan3d.tracking.store import connect


@pytest.fixture(scope="module")
def mlruns(tmp_path_factory):
    return tmp_path_factory.mktemp("mlruns")


@pytest.fixture
def client(mlruns, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield connect(mlruns)
    if mlflow.active_run():
        mlflow.end_run()


def new_run(client):
    return client.create_run(client.get_experiment_by_name("gan3d").experiment_id).info.run_id


def test_models_are_found_in_the_order_of_their_scores(client, mlruns, tmp_path):
    """Each with its step, parameters and data, linked to the run."""
    (tmp_path / "config.json").write_text("{}")
    callback = MLflowCallback(client, "stage", {"lr_g": 0.005}, {"stage": "r16"}, ["chair"], "y", mlruns=mlruns)
    callback.on_train_begin(0, [], {})
    for images, score in ((1000, 0.8), (2000, 0.6), (3000, 0.7)):
        callback.keep_model(f"after {images} images", images, score, [tmp_path / "config.json"])
    callback.finish({})
    found = client.search_logged_models(
        [client.get_run(callback.run_id).info.experiment_id],
        order_by=[{"field_name": f"metrics.{RUN_SCORE}", "ascending": True}],
    )
    found = [model for model in found if model.source_run_id == callback.run_id]
    assert [model.name for model in found] == ["after 2000 images", "after 3000 images", "after 1000 images"]
    assert [(metric.value, metric.step) for metric in found[0].metrics] == [(0.6, 2000)]
    assert found[0].params == {"lr_g": "0.005", "images": "2000"}
    assert found[0].status == "READY"
    assert {output.model_id for output in client.get_run(callback.run_id).outputs.model_outputs} == {
        model.model_id for model in found
    }
    assert [each.path for each in client.list_logged_model_artifacts(found[0].model_id)] == ["config.json"]


class Dead:
    """A client whose server is down until `dead` is unset."""

    def __init__(self, client):
        self.client, self.dead = client, True

    def __getattr__(self, name):
        if self.dead:
            raise mlflow.MlflowException("no answer")
        return getattr(self.client, name)


def rows(*steps):
    return [{"images": step, "loss_d": step / 10, "loss_g": 1.0} for step in steps]


def curve(client, run, name="loss_d"):
    return [(m.step, m.value) for m in sorted(client.get_metric_history(run, name), key=lambda m: m.step)]


def test_everything_arrives_in_order(client, tmp_path):
    run = new_run(client)
    box = Outbox(client, run, tmp_path)
    box.put_metrics(rows(10, 20))
    box.put_image("samples", 20, np.full((8, 9, 3), 200, np.uint8))
    (tmp_path / "plot.txt").write_text("a plot")
    box.put_files(tmp_path / "plot.txt", "plots")
    box.put_tag("warning", "none")
    box.put_metrics(rows(30))
    box.put_end("FINISHED")
    assert box.close() == 0
    assert curve(client, run) == [(10, 1.0), (20, 2.0), (30, 3.0)]
    assert [item.path for item in client.list_artifacts(run, "plots")] == ["plots/plot.txt"]
    assert any("samples" in item.path for item in client.list_artifacts(run, "images"))
    done = client.get_run(run)
    assert (done.info.status, done.data.tags["warning"]) == ("FINISHED", "none")


def test_a_server_that_is_back_gets_what_it_missed(client, tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "RETRY_SECONDS", (0.05, 0.1))
    run, server = new_run(client), Dead(client)
    box = Outbox(server, run, tmp_path)
    start = time.monotonic()
    for step in range(10, 60, 10):
        box.put_metrics(rows(step))
    assert time.monotonic() - start < 1.0
    time.sleep(0.3)
    assert box.steps() == {10, 20, 30, 40, 50}
    server.dead = False
    assert box.close() == 0
    assert [step for step, _ in curve(client, run)] == [10, 20, 30, 40, 50]


def test_sync_delivers_what_a_dead_server_missed(client, tmp_path):
    run = new_run(client)
    box = Outbox(Dead(client), run, tmp_path)
    box.put_metrics(rows(10))
    box.put_end("FINISHED")
    assert box.close(seconds=5) == 2
    assert "no answer" in box.last_error
    assert sync(client, tmp_path) == ({run: 2}, {})
    assert curve(client, run) == [(10, 1.0)]
    assert client.get_run(run).info.status == "FINISHED"
    assert sync(client, tmp_path) == ({}, {})


def test_an_entry_that_is_delivered_twice_is_stored_once(client, tmp_path):
    """A process may be killed between MLflow's answer and the deletion of the entry."""
    run = new_run(client)
    folder = tmp_path / run
    folder.mkdir()
    entry = json.dumps({"kind": "metrics", "rows": rows(10), "time": 1_700_000_000_000})
    for name in ("00000001.json", "00000002.json"):
        (folder / name).write_text(entry)
    assert deliver(client, folder) == 2
    assert curve(client, run) == [(10, 1.0)]


def test_a_deleted_run_does_not_block_the_others(client, tmp_path):
    gone, run = sorted((new_run(client), new_run(client)))
    client.delete_run(gone)
    for name in (gone, run):
        (tmp_path / name).mkdir()
        entry = json.dumps({"kind": "metrics", "rows": rows(10), "time": 1_700_000_000_000})
        (tmp_path / name / "00000001.json").write_text(entry)
    done, refused = sync(client, tmp_path)
    assert done == {run: 1}
    assert list(refused) == [gone]
    assert "deleted" in refused[gone]
    assert curve(client, run) == [(10, 1.0)]


def test_files_without_an_entry_are_ignored(client, tmp_path):
    run = new_run(client)
    (tmp_path / run / "00000001").mkdir(parents=True)
    box = Outbox(client, run, tmp_path)
    box.put_image("vis", 10, np.zeros((4, 4, 3), np.uint8))
    assert box.close() == 0


def test_a_damaged_entry_is_skipped(client, tmp_path):
    run = new_run(client)
    folder = tmp_path / run
    folder.mkdir()
    (folder / "00000001.json").write_text('{"kind": "metr')
    (folder / "00000002.json").write_text(json.dumps({"kind": "metrics", "rows": rows(20), "time": 1}))
    assert sync(client, tmp_path) == ({run: 2}, {})
    assert curve(client, run) == [(20, 2.0)]


def too_large_for_pil(folder):
    """A picture as an older version queued it: more pixels than PIL opens."""
    Image.new("1", (20_000, 10_000)).save(folder / "image.png")


def no_picture(folder):
    (folder / "image.png").write_bytes(b"no picture")


HOPELESS = {
    "a picture too large to open": ({"kind": "image", "key": "samples", "step": 1, "time": 1}, too_large_for_pil),
    "a damaged picture": ({"kind": "image", "key": "samples", "step": 1, "time": 1}, no_picture),
    "a lost picture": ({"kind": "image", "key": "samples", "step": 1, "time": 1}, lambda folder: folder.rmdir()),
    "a metric's name": ({"kind": "metrics", "rows": [{"images": 1, "a*b?": 1.0}], "time": 1}, lambda folder: None),
    "an unknown kind": ({"kind": "sound"}, lambda folder: None),
    "a missing field": ({"kind": "tag", "name": "a"}, lambda folder: None),
}


@pytest.mark.parametrize("kind", HOPELESS)
def test_one_entry_that_cannot_be_delivered_holds_back_no_other(client, tmp_path, kind):
    run = new_run(client)
    entry, attach = HOPELESS[kind]
    (tmp_path / run / "00000001").mkdir(parents=True)
    attach(tmp_path / run / "00000001")
    (tmp_path / run / "00000001.json").write_text(json.dumps(entry))
    box = Outbox(client, run, tmp_path)
    box.put_metrics(rows(10))
    box.put_end("FINISHED")
    assert box.close() == 0
    assert curve(client, run) == [(10, 1.0)]
    assert client.get_run(run).info.status == "FINISHED"
    refused = tmp_path / run / "refused" / "00000001"
    assert json.loads((refused / "00000001.json").read_text()) == entry
    assert (refused / "why.txt").read_text().strip()
    assert sync(client, tmp_path) == ({}, {})


def test_a_very_large_picture_is_reduced(client, tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "MAX_PIXELS", 1000)
    run = new_run(client)
    box = Outbox(client, run, tmp_path)
    box.put_image("samples", 64, np.full((300, 100, 3), 7, np.uint8))
    assert box.close() == 0
    (path,) = [each.path for each in client.list_artifacts(run, "images") if each.path.endswith(".png")]
    with Image.open(client.download_artifacts(run, path)) as image:
        assert image.size == (17, 50)


def test_a_resumed_run_logs_no_row_twice(client, mlruns):
    def make():
        return MLflowCallback(client, "stage", {"batch": 4}, {"stage": "r04"}, ["chair"], "y", mlruns=mlruns)

    first = make()
    record = first.on_train_begin(0, [], {})
    for row in rows(10, 20, 30):
        first.on_log(row)
    first.fail(killed=True)
    assert client.get_run(first.run_id).info.status == "KILLED"
    second = make()
    assert second.on_train_begin(20, rows(10, 20), record) == record
    for row in rows(30, 40):
        second.on_log(row)
    second.finish({})
    assert second.run_id == first.run_id
    assert curve(client, first.run_id, LOSS) == [(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0)]
    assert client.get_run(first.run_id).info.status == "FINISHED"


def test_a_deleted_run_is_replaced_by_one_with_the_whole_curve(client, mlruns):
    gone = new_run(client)
    client.delete_run(gone)
    again = MLflowCallback(client, "stage", {}, {}, ["chair"], "y", mlruns=mlruns)
    record = again.on_train_begin(20, rows(10, 20), {"run_id": gone})
    again.finish({})
    assert again.run_id != gone
    assert [step for step, _ in curve(client, again.run_id, LOSS)] == [10, 20]
    assert resolve_run(client, record["run_id"]) == again.run_id


def serve(folder, port):
    """A real MLflow server on loopback."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder / 'server.db'}",
        "--artifacts-destination",
        str(folder / "a"),
    ]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(240):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return server
        except OSError:
            time.sleep(0.5)
    server.kill()
    raise AssertionError("the server did not start")


def test_a_server_that_is_down_from_the_start_is_named_at_once(tmp_path, monkeypatch):
    """Before the training starts, which needs a run."""
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    start = time.monotonic()
    try:
        with pytest.raises(UserError, match=rf"store {address} cannot be reached \(connection refused\): see to it"):
            connect(tmp_path / "mlruns")
    finally:
        mlflow.set_tracking_uri(None)
    assert time.monotonic() - start < 10
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.slow
def test_a_real_server_that_is_killed_during_a_run(tmp_path, monkeypatch):
    """The training goes on, and after a sync the run has every point."""
    monkeypatch.setattr(mlflow_callback, "FLUSH_SECONDS", 0.0)
    port = free_port()
    server = serve(tmp_path, port)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    try:
        client = connect(tmp_path / "mlruns")
        callback = MLflowCallback(client, "stage", {}, {}, ["chair"], "y", mlruns=tmp_path / "mlruns")
        callback.on_train_begin(0, [], {})
        for row in rows(10, 20):
            callback.on_log(row)
        time.sleep(1)
        server.kill()
        server.wait()
        start = time.monotonic()
        for row in rows(*range(30, 110, 10)):
            callback.on_log(row)
        assert time.monotonic() - start < 2
        monkeypatch.setattr(Outbox, "close", lambda box, seconds=2.0, close=Outbox.close: close(box, seconds))
        callback.finish({})
        server = serve(tmp_path, port)
        sync(MlflowClient(), tmp_path / "mlruns" / "outbox")  # unless the thread, still alive here, was faster
        assert [step for step, _ in curve(MlflowClient(), callback.run_id, LOSS)] == list(range(10, 110, 10))
        assert MlflowClient().get_run(callback.run_id).info.status == "FINISHED"
    finally:
        server.kill()
        server.wait()
        mlflow.set_tracking_uri(None)
