"""What MLflow shall get, written to disk first and delivered by a thread: training never waits for a server.

    MLRUNS/outbox/<run id>/00000012.json    one entry: its kind and arguments
    MLRUNS/outbox/<run id>/00000012/        the files that belong to it

An entry is deleted once MLflow has it. What is left when a run ends, or when its process is killed, is delivered by the
next run of the same id or by `gan3d sync`. Metrics carry their time, so that delivering one twice leaves one.
"""

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric
from PIL import Image

BATCH = 900  # metrics a request; MLflow takes 1000
PATIENCE = (1.0, 60.0)  # seconds between two tries: the first, and the longest
log = logging.getLogger(__name__)


class Outbox:
    """The entries of one run; `put_*` return at once, whatever the server does."""

    def __init__(self, client: MlflowClient, run_id: str, folder: Path):
        self.client, self.folder = client, folder / run_id
        self.run_id = run_id
        self.folder.mkdir(parents=True, exist_ok=True)
        # a kill may have left an entry's files without the entry
        self.number = max((int(path.stem) for path in self.folder.glob("[0-9]*")), default=0)
        self.news = threading.Condition()
        self.closing = False
        self.trouble = ""
        self.thread = threading.Thread(target=self._work, name=f"outbox {run_id}", daemon=True)
        self.thread.start()

    def put_metrics(self, rows: list[dict[str, float]]) -> None:
        """Rows of values, each with its step under `images`."""
        if rows:
            self._put("metrics", {"rows": rows, "time": int(time.time() * 1000)})

    def put_image(self, key: str, step: int, pixels: np.ndarray) -> None:
        """A picture, uint8 (H, W, 3), in a series."""
        entry = {"key": key, "step": step, "time": int(time.time() * 1000)}
        self._put("image", entry, lambda folder: Image.fromarray(pixels).save(folder / "image.png"))

    def put_files(self, path: Path, artifact_folder: str) -> None:
        """A file or a folder's content, copied now."""

        def copy(folder: Path) -> None:
            target = folder / "files"
            if path.is_dir():
                shutil.copytree(path, target)
            else:
                target.mkdir()
                shutil.copy(path, target)

        self._put("files", {"folder": artifact_folder}, copy)

    def put_tag(self, name: str, value: str) -> None:
        self._put("tag", {"name": name, "value": value})

    def put_end(self, status: str) -> None:
        """The run's end: FINISHED, FAILED or KILLED."""
        self._put("end", {"status": status, "time": int(time.time() * 1000)})

    def close(self, seconds: float = 30.0) -> int:
        """Wait for the thread to deliver all, at most so long; returns how many entries are left."""
        with self.news:
            self.closing = True
            self.news.notify()
        self.thread.join(seconds)
        left = len(waiting(self.folder))
        if not left and not self.thread.is_alive():
            shutil.rmtree(self.folder, ignore_errors=True)
        return left

    def steps(self) -> set[int]:
        """Steps of the metrics that still wait."""
        found: set[int] = set()
        for path in waiting(self.folder):
            entry = _read(path)
            if entry and entry["kind"] == "metrics":
                found |= {int(row["images"]) for row in entry["rows"]}
        return found

    def _put(self, kind: str, entry: dict[str, Any], attach: Callable[[Path], None] | None = None) -> None:
        with self.news:
            self.number += 1
            path = self.folder / f"{self.number:08d}.json"
            if attach is not None:
                path.with_suffix("").mkdir()
                attach(path.with_suffix(""))
            unfinished = path.with_suffix(".tmp")
            unfinished.write_text(json.dumps({"kind": kind, **entry}), encoding="utf-8")
            unfinished.rename(path)
            self.news.notify()

    def _work(self) -> None:
        pause = PATIENCE[0]
        while True:
            try:
                deliver(self.client, self.run_id, self.folder)
                pause, self.trouble = PATIENCE[0], ""
            except Exception as error:  # whatever is wrong with the server, the training goes on
                self.trouble = f"{type(error).__name__}: {error}".splitlines()[0]
            with self.news:
                left = bool(waiting(self.folder))
                if self.closing and (not left or self.trouble):
                    return
                if not left or self.trouble:
                    self.news.wait(pause if left else None)
                    pause = min(2 * pause, PATIENCE[1])


def waiting(folder: Path) -> list[Path]:
    """The entries of a run in order."""
    return sorted(folder.glob("*.json"))


def deliver(client: MlflowClient, run_id: str, folder: Path) -> int:
    """Hand all entries of a run to MLflow, in order; returns how many.

    Raises:
        Exception: of MLflow, at the first entry that it does not take; those before it are gone, the rest waits.
    """
    with FileLock(folder / ".lock"):  # of a living run and a `gan3d sync` beside it, one at a time
        entries = waiting(folder)
        for path in entries:
            entry = _read(path)
            if entry is not None:
                _SEND[entry["kind"]](client, run_id, entry, path.with_suffix(""))
            path.unlink()
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
        return len(entries)


def sync(client: MlflowClient, folder: Path) -> tuple[dict[str, int], dict[str, str]]:
    """Deliver what all runs have left; returns the number of entries by run id, and why others are not delivered."""
    done: dict[str, int] = {}
    refused: dict[str, str] = {}
    for run in sorted({path.parent for path in folder.glob("*/*.json")}):
        try:
            done[run.name] = deliver(client, run.name, run)
        except Exception as error:  # one run that was deleted, say, keeps back no other
            refused[run.name] = " ".join(str(error).split())[:160].rstrip(".")
    return done, refused


def _read(path: Path) -> dict[str, Any] | None:
    """An entry; None when it is damaged, which a full disk can do."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        log.warning("%s is damaged and left out.", path)
        return None


def _metrics(client: MlflowClient, run_id: str, entry: dict[str, Any], files: Path) -> None:
    metrics = [
        Metric(name, value, entry["time"], int(row["images"]))
        for row in entry["rows"]
        for name, value in row.items()
        if name != "images"
    ]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])


def _image(client: MlflowClient, run_id: str, entry: dict[str, Any], files: Path) -> None:
    with Image.open(files / "image.png") as picture:
        pixels = np.asarray(picture)
    client.log_image(run_id, pixels, key=entry["key"], step=entry["step"], timestamp=entry["time"], synchronous=True)


def _files(client: MlflowClient, run_id: str, entry: dict[str, Any], files: Path) -> None:
    client.log_artifacts(run_id, str(files / "files"), entry["folder"] or None)


def _tag(client: MlflowClient, run_id: str, entry: dict[str, Any], files: Path) -> None:
    client.set_tag(run_id, entry["name"], entry["value"])


def _end(client: MlflowClient, run_id: str, entry: dict[str, Any], files: Path) -> None:
    client.set_terminated(run_id, entry["status"], entry["time"])


_SEND: dict[str, Callable[[MlflowClient, str, dict[str, Any], Path], None]] = {
    "metrics": _metrics,
    "image": _image,
    "files": _files,
    "tag": _tag,
    "end": _end,
}
