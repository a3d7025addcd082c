"""Deliver the entries of outboxes to MLflow, also those of processes that died."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from mlflow import MlflowClient, MlflowException
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LifecycleStage,
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
)
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID
from PIL import Image, UnidentifiedImageError

from gan3d.tracking.entries import (
    ALIVE,
    LOCAL,
    STATE,
    all_boxes,
    log,
    pending,
    read_entry,
    read_state,
    remove_delivered,
    set_aside,
    write_entry,
    write_state,
)
from gan3d.tracking.limits import is_transient, reason
from gan3d.tracking.links import NOTE, resolve_links
from gan3d.tracking.metric_names import LOSS
from gan3d.tracking.store import experiment_id

BATCH = 900  # metrics per request; MLflow takes 1000
PARAMS = 100  # per request
LOCAL_TAG = "gan3d.local_id"
SYSTEM = "system/"  # beginning of the names of system metrics


class RunGoneError(Exception):
    """The run of these entries does not exist any more."""


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
            entry = read_entry(path)
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
                    set_aside(path, reason(error))
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
    for run in all_boxes(folder):
        with contextlib.suppress(Timeout, OSError), FileLock(run / ALIVE, blocking=False):
            if not pending(run) and not read_state(run).get("open"):
                remove_delivered(run)
    return done, refused


def end_dead_runs(folder: Path) -> None:
    """Queue the end of runs whose process died before it could."""
    for run in all_boxes(folder):
        with contextlib.suppress(Timeout, OSError), FileLock(run / ALIVE, blocking=False):
            state = read_state(run)
            if state.get("open") and not _ends(run):
                number = max((int(path.stem) for path in run.glob("[0-9]*")), default=0) + 1
                entry = {"kind": "end", "status": state["dead"], "time": int(time.time() * 1000)}
                write_entry(run / f"{number:08d}.json", entry)


def _ends(folder: Path) -> bool:
    """Whether the end of the run is queued, maybe before scores that came later."""
    kinds = (entry["kind"] for path in reversed(pending(folder)) if (entry := read_entry(path)))
    return next((kind for kind in kinds if kind in ("start", "end")), "") == "end"


@contextlib.contextmanager
def marked_alive(folder: Path, run_id: str) -> Iterator[None]:
    """For a run that is logged without an outbox: if this process dies, the next command ends it as KILLED."""
    box = folder / run_id
    box.mkdir(parents=True, exist_ok=True)
    with FileLock(box / ALIVE):
        write_state(box, run_id=run_id, dead="KILLED", open=True)
        yield
        write_state(box, open=False)
    remove_delivered(box)


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


def _start(client: MlflowClient, run_id: str, entry: dict[str, Any], files: Path) -> None:
    """Create the run, or go on with it; remember which rows it has."""
    known, logged, system = resolve_run(client, run_id), set(), 0
    tags = _resolved(client, entry["tags"], files.parent.parent)
    if known is None:
        tags |= {LOCAL_TAG: entry["local"]}
        run = client.create_run(experiment_id(client), entry["time"], tags, entry["name"])
        known = run.info.run_id
    else:
        client.update_run(known, status="RUNNING")
        client.log_batch(known, tags=[RunTag(name, value) for name, value in tags.items()])
        logged = {metric.step for metric in client.get_metric_history(known, LOSS)}
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


def _resolved(client: MlflowClient, tags: dict[str, str], boxes: Path) -> dict[str, str]:
    """Tags with the ids that MLflow knows; a parent that is only queued is delivered first."""
    tags = dict(tags)
    parent = tags.get(MLFLOW_PARENT_RUN_ID, "")
    if parent.startswith(LOCAL):
        if pending(boxes / parent):
            with contextlib.suppress(RunGoneError):
                deliver(client, boxes / parent)
        if (known := resolve_run(client, parent)) is None:
            del tags[MLFLOW_PARENT_RUN_ID]
        else:
            tags[MLFLOW_PARENT_RUN_ID] = known
    if NOTE in tags:
        tags[NOTE] = _with_links(client, tags[NOTE])
    return tags


def _with_links(client: MlflowClient, text: str) -> str:
    return resolve_links(text, experiment_id(client), lambda run: resolve_run(client, run))


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


def _model(client: MlflowClient, run_id: str, entry: dict[str, Any], files: Path) -> None:
    """A model of MLflow with its scores; one that a broken connection left unfinished is replaced."""
    number, dataset = experiment_id(client), entry.get("dataset") or {}
    for old in client.search_logged_models([number], f"tags.`{LOCAL_TAG}` = '{entry['id']}'"):
        client.delete_logged_model(old.model_id)
    tags = entry["tags"] | {LOCAL_TAG: entry["id"]}
    params = {name: str(value) for name, value in entry["params"].items()}
    model = client.create_logged_model(number, entry["name"], run_id, tags, params, "generator").model_id
    client.log_model_artifacts(model, str(files / "files"))
    client.finalize_logged_model(model, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model, entry["step"])])
    metrics = [
        Metric(name, value, entry["time"], entry["step"], model, dataset.get("name"), dataset.get("digest"), run_id)
        for name, value in entry["metrics"].items()
    ]
    client.log_batch(run_id, metrics=metrics)


def _tag(client: MlflowClient, run_id: str, entry: dict[str, Any], files: Path) -> None:
    value = _with_links(client, entry["value"]) if entry["name"] == NOTE else entry["value"]
    client.set_tag(run_id, entry["name"], value)


def _end(client: MlflowClient, run_id: str, entry: dict[str, Any], files: Path) -> None:
    client.set_terminated(run_id, entry["status"], entry["time"])
    if (files.parent / STATE).is_file():
        write_state(files.parent, open=False)


_SEND: dict[str, Callable[[MlflowClient, str, dict[str, Any], Path], None]] = {
    "start": _start,
    "metrics": _metrics,
    "image": _image,
    "files": _files,
    "model": _model,
    "tag": _tag,
    "end": _end,
}
