"""A queue on disk of what a run sends to MLflow; a thread delivers it, so that no work waits for a server.

The run itself is created by the first entry, so that it may wait, too; until then it goes by the id of its folder,
which the run gets as a tag. An entry is deleted once MLflow has it. What is left when a run ends or its process is
killed is delivered by the next run of the project, or by `gan3d sync`. Metrics carry their timestamps, so that
delivering one twice stores it once.
"""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from PIL import Image

from gan3d.rendering.sheets import reduce
from gan3d.tracking.delivery import RunGoneError, deliver, sync
from gan3d.tracking.entries import (
    ALIVE,
    new_id,
    pending,
    read_entry,
    read_state,
    remove_delivered,
    write_entry,
    write_state,
)
from gan3d.tracking.limits import reason

RETRY_SECONDS = (1.0, 60.0)  # the first and the longest pause between two attempts


class Outbox:
    """The queue of one run; `put_*` return at once, even if the server is down or the disk full.

    Args:
        client: of `gan3d.tracking.store.connect_later`.
        run_id: of a run in MLflow, or a local id.
        folder: of all outboxes.
        dead: the run's status if this process dies; None if the run belongs to another process.
    """

    def __init__(self, client: MlflowClient, run_id: str, folder: Path, dead: str | None = None):
        self.client, self.folder = client, folder / run_id
        self.id = self._known = run_id
        self.lost = ""  # why entries could not be kept on disk
        self.number = 0
        self.alive = FileLock(self.folder / ALIVE, thread_local=False)
        with self._keeping():
            self.folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(Timeout):  # a training of the same stage in another process
                self.alive.acquire(blocking=False)
            # an entry's files may be left from a process that was killed before it wrote the entry
            self.number = max((int(path.stem) for path in self.folder.glob("[0-9]*")), default=0)
            if dead is not None:
                write_state(self.folder, dead=dead, open=True)
        self.changed = threading.Condition()
        self.attempted = threading.Event()  # to deliver, since the start
        self.closing = False
        self.gone = False
        self.last_error = ""
        self.thread = threading.Thread(target=self._run, name=f"outbox {run_id}", daemon=True)
        self.thread.start()

    @property
    def run_id(self) -> str:
        """The run's id in MLflow, or the local one until it is known."""
        self._known = read_state(self.folder).get("run_id") or self._known
        return self._known

    def put_start(
        self, name: str, params: dict[str, Any], tags: dict[str, str], dataset: dict[str, str] | None = None
    ) -> None:
        """Queue the run's creation, or its continuation if it exists."""
        self.attempted.clear()
        entry = {"name": name, "params": {key: str(value) for key, value in params.items()}, "tags": tags}
        self._put("start", entry | {"dataset": dataset, "local": self.id, "time": int(time.time() * 1000)})

    def put_metrics(self, rows: list[dict[str, float]], system: bool = False) -> None:
        """Queue rows of metrics, each with its step under `images`.

        Args:
            system: steps continue those that the run has.
        """
        if rows:
            self._put("metrics", {"rows": rows, "time": int(time.time() * 1000), "system": system})

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

    def put_model(self, name: str, step: int, facts: dict[str, dict[str, Any]], files: Sequence[Path]) -> None:
        """Queue a model of MLflow, linked to the run; its files are copied now.

        Args:
            name: of the model.
            step: images after which it was kept.
            facts: `params`, `tags` and `metrics` of the model, and the `dataset` that it was trained on.
            files: of the model.
        """

        def copy(folder: Path) -> None:
            (folder / "files").mkdir()
            for path in files:
                shutil.copy(path, folder / "files")

        entry = {"name": name, "step": step, "id": new_id(), "time": int(time.time() * 1000)}
        self._put("model", entry | facts, copy)

    def put_tag(self, name: str, value: str) -> None:
        """Queue a tag."""
        self._put("tag", {"name": name, "value": value})

    def put_end(self, status: str) -> None:
        """Queue the run's end: FINISHED, FAILED or KILLED."""
        self._put("end", {"status": status, "time": int(time.time() * 1000)})

    def wait_for_start(self, seconds: float) -> None:
        """Wait until the run is created, or could not be at the first attempt."""
        self.attempted.wait(seconds)

    def close(self, seconds: float = 10.0) -> int:
        """Wait up to `seconds` for the thread to deliver everything; returns how many entries are left."""
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.thread.join(max(0.0, seconds))
        left = len(pending(self.folder))
        self.alive.release(force=True)
        self._known = self.run_id
        if not left and not self.thread.is_alive():
            remove_delivered(self.folder)
        elif not self.last_error:
            self.last_error = "no answer in time"
        return left

    def discard(self) -> None:
        """Drop what is left, as of a deleted run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def steps(self) -> set[int]:
        """Steps of the metrics that are not delivered yet."""
        found: set[int] = set()
        for path in pending(self.folder):
            entry = read_entry(path)
            if entry and entry["kind"] == "metrics":
                found |= {int(row["images"]) for row in entry["rows"]}
        return found

    def _put(self, kind: str, entry: dict[str, Any], attach: Callable[[Path], None] | None = None) -> None:
        with self.changed, self._keeping():
            self.number += 1
            write_entry(self.folder / f"{self.number:08d}.json", {"kind": kind, **entry}, attach)
            self.changed.notify()

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """A full disk costs entries, not the work they tell of."""
        try:
            yield
        except OSError as error:
            self.lost = error.strerror or str(error)

    def _run(self) -> None:
        pause, others = RETRY_SECONDS[0], True
        while True:
            if pending(self.folder):
                try:
                    deliver(self.client, self.folder)
                    pause, self.last_error = RETRY_SECONDS[0], ""
                except RunGoneError as error:
                    self.gone, self.last_error = True, str(error)
                except Exception as error:  # no fault of the server stops the work
                    self.last_error = reason(error)
                self.attempted.set()
                if others and not self.last_error:
                    others = False
                    with contextlib.suppress(Exception):
                        sync(self.client, self.folder.parent)
            with self.changed:
                left = bool(pending(self.folder))
                if self.closing and (not left or self.last_error):
                    return
                if not left or self.last_error:
                    self.changed.wait(pause if left else None)
                    pause = min(2 * pause, RETRY_SECONDS[1])
