"""A queue on disk of what a run sends to MLflow; a thread delivers it, so that no work waits for a server.

    MLRUNS/outbox/<id>/00000012.json       one entry: its kind and arguments
    MLRUNS/outbox/<id>/00000012/           its files
    MLRUNS/outbox/<id>/refused/00000012/   an entry that MLflow refuses for good, and why
    MLRUNS/outbox/<id>/run.json            the run's id in MLflow, once it has one
    MLRUNS/outbox/<id>/.alive              a lock of the process that writes; it ends with the process

The run itself is created by the first entry, so that it may wait, too; until then it goes by the id of its folder,
which the run gets as a tag. An entry is deleted once MLflow has it. What is left when a run ends or its process is
killed is delivered by the next run of the project, or by `gan3d sync`. Metrics carry their timestamps, so that
delivering one twice stores it once.
"""

import contextlib
import json
import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from mlflow import MlflowClient, MlflowException
from mlflow.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric, Param
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from PIL import Image, UnidentifiedImageError

from gan3d.rendering.sheets import reduce
from gan3d.tracking.limits import is_transient, reason
from gan3d.tracking.store import experiment_id

BATCH = 900  # metrics per request; MLflow takes 1000
PARAMS = 100  # per request
RETRY_SECONDS = (1.0, 60.0)  # the first and the longest pause between two attempts
LOCAL = "local-"  # beginning of an id that MLflow does not know
LOCAL_TAG = "gan3d.local_id"
STATE, ALIVE, REFUSED = "run.json", ".alive", "refused"
SYSTEM = "system/"  # beginning of the names of system metrics
log = logging.getLogger(__name__)


class RunGoneError(Exception):
    """The run of these entries does not exist any more."""


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
            _remove_delivered(self.folder)
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
            entry = _read(path)
            if entry and entry["kind"] == "metrics":
                found |= {int(row["images"]) for row in entry["rows"]}
        return found

    def _put(self, kind: str, entry: dict[str, Any], attach: Callable[[Path], None] | None = None) -> None:
        with self.changed, self._keeping():
            self.number += 1
            _write_entry(self.folder / f"{self.number:08d}.json", {"kind": kind, **entry}, attach)
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


def new_id() -> str:
    """An id for a run that MLflow does not know yet."""
    return LOCAL + uuid.uuid4().hex


def pending(folder: Path) -> list[Path]:
    """The undelivered entries of a run, in order."""
    return sorted(folder.glob("[0-9]*.json"))


def read_state(folder: Path) -> dict[str, Any]:
    """What is known of a run: `run_id` in MLflow, whether it is `open`, its status if its process is `dead`."""
    try:
        return json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_state(folder: Path, **changes: Any) -> None:
    """Change what is known of a run."""
    _write_json(folder / STATE, read_state(folder) | changes)


def deliver(client: MlflowClient, folder: Path) -> int:
    """Deliver all entries of a run to MLflow, in order; returns how many.

    An entry that MLflow refuses for good is set aside, with a warning, and holds back no other.

    Raises:
        RunGoneError: if the run was deleted.
        Exception: from MLflow, if it cannot be reached; what is not delivered stays queued.
    """
    with FileLock(folder / ".lock"):  # shared with a `gan3d sync` in another process
        entries = pending(folder)
        for path in entries:
            entry = _read(path)
            if entry is not None:
                run_id = read_state(folder).get("run_id") or folder.name
                if run_id.startswith(LOCAL) and entry["kind"] != "start":  # scores for a run that was created since
                    known = resolve_run(client, run_id)
                    if known is None:
                        raise RunGoneError(f"the run {run_id} does not exist in MLflow")
                    run_id = known
                try:
                    _SEND[entry["kind"]](client, run_id, entry, path.with_suffix(""))
                except Exception as error:
                    damaged = isinstance(error, UnidentifiedImageError)
                    if (is_transient(error) and not damaged) or entry["kind"] == "start":
                        raise
                    if resolve_run(client, run_id) is None:
                        raise RunGoneError(f"the run {run_id} was deleted") from error
                    _set_aside(path, reason(error))
                    continue
            path.unlink()
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
        return len(entries)


def sync(client: MlflowClient, folder: Path) -> tuple[dict[str, int], dict[str, str]]:
    """Deliver what all runs have left; returns the entries delivered by run id, and the error by run id.

    Runs whose process died end as such.
    """
    done: dict[str, int] = {}
    refused: dict[str, str] = {}
    end_dead_runs(folder)
    for run in sorted({path.parent for path in folder.glob("*/[0-9]*.json")}):
        try:
            done[run.name] = deliver(client, run)
        except Exception as error:  # a deleted run, say, does not block the others
            refused[run.name] = reason(error)
    for run in _boxes(folder):
        with contextlib.suppress(Timeout, OSError), FileLock(run / ALIVE, blocking=False):
            if not pending(run) and not read_state(run).get("open"):
                _remove_delivered(run)
    return done, refused


def end_dead_runs(folder: Path) -> None:
    """Queue the end of runs whose process died before it could."""
    for run in _boxes(folder):
        with contextlib.suppress(Timeout, OSError), FileLock(run / ALIVE, blocking=False):
            state, entries = read_state(run), pending(run)
            last = _read(entries[-1]) if entries else None
            if state.get("open") and (last is None or last["kind"] != "end"):
                number = max((int(path.stem) for path in run.glob("[0-9]*")), default=0) + 1
                entry = {"kind": "end", "status": state["dead"], "time": int(time.time() * 1000)}
                _write_entry(run / f"{number:08d}.json", entry)


@contextlib.contextmanager
def marked_alive(folder: Path, run_id: str) -> Iterator[None]:
    """For a run that is logged without an outbox: if this process dies, the next command ends it as KILLED."""
    box = folder / run_id
    box.mkdir(parents=True, exist_ok=True)
    with FileLock(box / ALIVE):
        write_state(box, run_id=run_id, dead="KILLED", open=True)
        yield
        write_state(box, open=False)
    _remove_delivered(box)


def resolve_run(client: MlflowClient, run_id: str) -> str | None:
    """The id in MLflow of a run that may go by its local id; None if it does not exist or was deleted."""
    if not run_id.startswith(LOCAL):
        try:
            run = client.get_run(run_id)
            if run.info.lifecycle_stage == LifecycleStage.ACTIVE:
                return run_id
        except MlflowException as error:
            if is_transient(error):
                raise
    found = client.search_runs([experiment_id(client)], f"tags.`{LOCAL_TAG}` = '{run_id}'", max_results=1)
    return found[0].info.run_id if found else None


def _boxes(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir())


def _remove_delivered(folder: Path) -> None:
    """Remove an outbox without entries; refused ones stay."""
    if not (folder / REFUSED).is_dir():
        shutil.rmtree(folder, ignore_errors=True)


def _set_aside(path: Path, why: str) -> None:
    """Keep an entry where nothing tries to deliver it."""
    target = path.parent / REFUSED / path.stem
    target.mkdir(parents=True, exist_ok=True)
    (target / "why.txt").write_text(why + "\n", encoding="utf-8")
    if path.with_suffix("").is_dir():
        path.with_suffix("").replace(target / "files")
    path.replace(target / path.name)
    log.warning("MLflow refuses an entry (%s): it is kept in %s.", why, target)


def _write_entry(path: Path, entry: dict[str, Any], attach: Callable[[Path], None] | None = None) -> None:
    """Write an entry's files first: without an entry, they are ignored."""
    try:
        if attach is not None:
            path.with_suffix("").mkdir()
            attach(path.with_suffix(""))
        _write_json(path, entry)
    except OSError:
        shutil.rmtree(path.with_suffix(""), ignore_errors=True)
        raise


def _write_json(path: Path, content: dict[str, Any]) -> None:
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(content), encoding="utf-8")
    unfinished.replace(path)


def _read(path: Path) -> dict[str, Any] | None:
    """Read an entry; None if it is damaged, as by a full disk."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        log.warning("%s is damaged and skipped.", path)
        return None


def _start(client: MlflowClient, run_id: str, entry: dict[str, Any], files: Path) -> None:
    """Create the run, or go on with it; remember which rows it has."""
    known, logged, system = resolve_run(client, run_id), set(), 0
    if known is None:
        run = client.create_run(
            experiment_id(client), entry["time"], entry["tags"] | {LOCAL_TAG: entry["local"]}, entry["name"]
        )
        known = run.info.run_id
    else:
        client.update_run(known, status="RUNNING")
        logged = {metric.step for metric in client.get_metric_history(known, "loss_d")}
        latest = [m.step for m in client.get_run(known).data._metric_objs if m.key.startswith(SYSTEM)]
        system = max(latest, default=-1) + 1
    write_state(files.parent, run_id=known, logged=sorted(logged), system=system)
    params = [Param(name, value) for name, value in entry["params"].items()]
    for start in range(0, len(params), PARAMS):
        try:
            client.log_batch(known, params=params[start : start + PARAMS])
        except MlflowException as error:
            if is_transient(error):
                raise
            log.warning("MLflow refuses parameters of %s (%s).", entry["name"], reason(error))
    if entry["dataset"]:
        context = InputTag(MLFLOW_DATASET_CONTEXT, "training")
        client.log_inputs(known, [DatasetInput(Dataset(**entry["dataset"]), [context])])


def _metrics(client: MlflowClient, run_id: str, entry: dict[str, Any], files: Path) -> None:
    state = read_state(files.parent)
    system = entry.get("system", False)
    logged, first = (set(), state.get("system", 0)) if system else (set(state.get("logged", ())), 0)
    metrics = [
        Metric(name, value, entry["time"], first + int(row["images"]))
        for row in entry["rows"]
        if int(row["images"]) not in logged
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
    if (files.parent / STATE).is_file():
        write_state(files.parent, open=False)


_SEND: dict[str, Callable[[MlflowClient, str, dict[str, Any], Path], None]] = {
    "start": _start,
    "metrics": _metrics,
    "image": _image,
    "files": _files,
    "tag": _tag,
    "end": _end,
}
