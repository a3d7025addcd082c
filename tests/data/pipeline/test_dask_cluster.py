"""A real Dask cluster of two worker processes, one of which is killed during the run."""

import os
import signal
from pathlib import Path

import pytest

from gan3d.data.pipeline import dask_cluster
from gan3d.data.pipeline.prepare import prepare
from gan3d.errors import UserError
from gan3d.synthetic import furniture

pytest.importorskip("distributed", reason="Dask is not installed: the extra dask brings it")
pytestmark = pytest.mark.slow


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_cluster_gives_the_bytes_of_one_process_although_a_worker_is_killed(tmp_path):
    from distributed import LocalCluster

    source = tmp_path / "source"
    furniture.write(source, chairs=40, tables=40, test=5)
    (source / "chair/train/broken.obj").write_text("v 0 0 0\n")
    prepare(source, tmp_path / "one", 16, workers=1)
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        victims = [worker.pid for worker in cluster.workers.values()]

        def kill(done: int, total: int) -> None:
            if done >= 20 and victims:
                os.kill(victims.pop(), signal.SIGKILL)
                victims.clear()

        prepare(source, tmp_path / "cluster", 16, progress=kill, dask=cluster.scheduler_address)
        assert not victims
    assert contents(tmp_path / "cluster") == contents(tmp_path / "one")


def test_an_unreachable_scheduler_gives_a_one_sentence_error(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "CONNECT_TIMEOUT", 1)
    furniture.write(tmp_path / "source", chairs=2, tables=2, test=1)
    with pytest.raises(UserError, match=r"tcp://127.0.0.1:9 does not answer"):
        prepare(tmp_path / "source", tmp_path / "out", 8, dask="tcp://127.0.0.1:9")
