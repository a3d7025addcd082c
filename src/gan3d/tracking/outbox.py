"""A queue on disk of what a run sends to MLflow; a thread delivers it, so that training never waits for a server.

    MLRUNS/outbox/<run id>/00000012.json    one entry: its kind and arguments
    MLRUNS/outbox/<run id>/00000012/        its files
    MLRUNS/outbox/<run id>/refused/         entries that can never be delivered, each with why.txt

An entry is deleted once MLflow has it. What is left when a run ends or its process is killed is delivered when the run
is resumed, or by `gan3d sync`. Metrics carry their timestamps, so that delivering one twice stores it once.
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
from mlflow import MlflowClient, MlflowException
from mlflow.entities import Metric
from PIL import Image, UnidentifiedImageError

from gan3d.addresses import mask
from gan3d.rendering.sheets import reduce

REFUSED = "refused"
BATCH = 900  # metrics per request; MLflow takes 1000
RETRY_SECONDS = (1.0, 60.0)  # the first and the longest pause between two attempts
log = logging.getLogger(__name__)


class Outbox:
    """The queue of one run; `put_*` return at once, even if the server is down."""

    def __init__(self, client: MlflowClient, run_id: str, folder: Path):
        self.client, self.folder = client, folder / run_id
        self.run_id = run_id
        self.folder.mkdir(parents=True, exist_ok=True)
        # an entry's files may be left from a process that was killed before it wrote the entry
        self.number = max((int(path.stem) for path in self.folder.glob("[0-9]*")), default=0)
        self.changed = threading.Condition()
        self.closing = False
        self.last_error = ""
        self.thread = threading.Thread(target=self._run, name=f"outbox {run_id}", daemon=True)
        self.thread.start()

    def put_metrics(self, rows: list[dict[str, float]]) -> None:
        """Queue rows of metrics, each with its step under `images`."""
        if rows:
            self._put("metrics", {"rows": rows, "time": int(time.time() * 1000)})

    def put_image(self, key: str, step: int, pixels: np.ndarray) -> None:
        """Queue one image, uint8 (H, W, 3), of a series; a very large one is reduced."""
        entry = {"key": key, "step": step, "time": int(time.time() * 1000)}
        self._put("image", entry, lambda folder: Image.fromarray(reduce(pixels)).save(folder / "image.png"))

    def put_files(self, path: Path, artifact_folder: str) -> None:
        """Queue a file, or a folder's content; it is copied now."""

        def copy(folder: Path) -> None:
            target = folder / "files"
            if path.is_dir():
                shutil.copytree(path, target)
            else:
                target.mkdir()
                shutil.copy(path, target)

        self._put("files", {"folder": artifact_folder}, copy)

    def put_tag(self, name: str, value: str) -> None:
        """Queue a tag."""
        self._put("tag", {"name": name, "value": value})

    def put_end(self, status: str) -> None:
        """Queue the run's end: FINISHED, FAILED or KILLED."""
        self._put("end", {"status": status, "time": int(time.time() * 1000)})

    def close(self, seconds: float = 30.0) -> int:
        """Wait up to `seconds` for the thread to deliver everything; returns how many entries are left."""
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.thread.join(seconds)
        left = len(pending(self.folder))
        if not left and not self.thread.is_alive() and not (self.folder / REFUSED).is_dir():
            shutil.rmtree(self.folder, ignore_errors=True)
        return left

    def steps(self) -> set[int]:
        """Steps of the metrics that are not delivered yet."""
        found: set[int] = set()
        for path in pending(self.folder):
            entry = _read(path)
            if entry and entry["kind"] == "metrics":
                found |= {int(row["images"]) for row in entry["rows"]}
        return found

    def _put(self, kind: str, entry: dict[str, Any], attach: Callable[[Path], None] | None = None) -> None:
        with self.changed:
            self.number += 1
            path = self.folder / f"{self.number:08d}.json"
            if attach is not None:
                path.with_suffix("").mkdir()
                attach(path.with_suffix(""))
            unfinished = path.with_suffix(".tmp")
            unfinished.write_text(json.dumps({"kind": kind, **entry}), encoding="utf-8")
            unfinished.rename(path)
            self.changed.notify()

    def _run(self) -> None:
        pause = RETRY_SECONDS[0]
        while True:
            try:
                deliver(self.client, self.run_id, self.folder)
                pause, self.last_error = RETRY_SECONDS[0], ""
            except Exception as error:  # no fault of the server stops the training
                self.last_error = mask(f"{type(error).__name__}: {error}".splitlines()[0])
            with self.changed:
                left = bool(pending(self.folder))
                if self.closing and (not left or self.last_error):
                    return
                if not left or self.last_error:
                    self.changed.wait(pause if left else None)
                    pause = min(2 * pause, RETRY_SECONDS[1])


def pending(folder: Path) -> list[Path]:
    """The undelivered entries of a run, in order."""
    return sorted(folder.glob("*.json"))


def deliver(client: MlflowClient, run_id: str, folder: Path) -> int:
    """Deliver all entries of a run to MLflow, in order; returns how many.

    Raises:
        Exception: from MLflow, at the first entry it refuses; the earlier ones are delivered, the rest stays queued.
    """
    with FileLock(folder / ".lock"):  # shared with a `gan3d sync` in another process
        entries = pending(folder)
        for path in entries:
            entry = _read(path)
            try:
                if entry is not None:
                    _SEND[entry["kind"]](client, run_id, entry, path.with_suffix(""))
            except Exception as error:
                if not is_hopeless(error, path.with_suffix("")):
                    raise
                _set_aside(path, error)
                continue
            path.unlink()
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
        return len(entries)


def is_hopeless(error: Exception, files: Path) -> bool:
    """Whether an entry fails for what it holds, however often it is sent: it must not hold back the others.

    What the server or the network cannot do now is tried again, and so is everything of a run that was deleted.
    """
    if isinstance(error, MlflowException):
        return error.error_code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST") and "deleted" not in str(error)
    if isinstance(error, FileNotFoundError):
        return not files.is_dir() or str(files) in str(error.filename)
    if isinstance(error, (Image.DecompressionBombError, UnidentifiedImageError)):
        return True
    return isinstance(error, (ValueError, KeyError, TypeError)) and not isinstance(error, OSError)  # of requests


def _set_aside(path: Path, error: Exception) -> None:
    """Move an entry and its files into the folder of those that cannot be delivered."""
    place = path.parent / REFUSED / path.stem
    place.mkdir(parents=True, exist_ok=True)
    path.replace(place / path.name)
    if path.with_suffix("").is_dir():
        path.with_suffix("").replace(place / "files")
    why = mask(f"{type(error).__name__}: {error}")
    (place / "why.txt").write_text(f"{why}\n", encoding="utf-8")
    log.warning("%s cannot be delivered to MLflow (%s) and is kept in %s.", path, why.splitlines()[0], place)


def sync(client: MlflowClient, folder: Path) -> tuple[dict[str, int], dict[str, str]]:
    """Deliver what all runs have left; returns the entries delivered by run id, and the error by run id."""
    done: dict[str, int] = {}
    refused: dict[str, str] = {}
    for run in sorted({path.parent for path in folder.glob("*/*.json")}):
        try:
            done[run.name] = deliver(client, run.name, run)
        except Exception as error:  # a deleted run, say, does not block the others
            refused[run.name] = " ".join(mask(str(error)).split())[:160].rstrip(".")
    return done, refused


def _read(path: Path) -> dict[str, Any] | None:
    """Read an entry; None if it is damaged, as by a full disk."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        log.warning("%s is damaged and skipped.", path)
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
    with Image.open(files / "image.png") as image:
        pixels = np.asarray(image)
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
