"""Entries of an outbox on disk, and what is known of their run.

MLRUNS/outbox/<id>/00000012.json       one entry: its kind and arguments
MLRUNS/outbox/<id>/00000012/           its files
MLRUNS/outbox/<id>/refused/00000012/   an entry that MLflow refuses for good, and why
MLRUNS/outbox/<id>/run.json            the run's id in MLflow, once it has one
MLRUNS/outbox/<id>/.alive              a lock of the process that writes; it ends with the process
"""

import json
import logging
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOCAL = "local-"  # beginning of an id that MLflow does not know
STATE, ALIVE, REFUSED = "run.json", ".alive", "refused"
log = logging.getLogger(__name__)


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


def all_boxes(folder: Path) -> list[Path]:
    """The outboxes of all runs."""
    return sorted(path for path in folder.glob("*") if path.is_dir())


def remove_delivered(folder: Path) -> None:
    """Remove an outbox without entries; refused ones stay."""
    if not (folder / REFUSED).is_dir():
        shutil.rmtree(folder, ignore_errors=True)


def set_aside(path: Path, why: str) -> None:
    """Keep an entry where nothing tries to deliver it."""
    target = path.parent / REFUSED / path.stem
    target.mkdir(parents=True, exist_ok=True)
    (target / "why.txt").write_text(why + "\n", encoding="utf-8")
    if path.with_suffix("").is_dir():
        path.with_suffix("").replace(target / "files")
    path.replace(target / path.name)
    log.warning("MLflow refuses an entry (%s): it is kept in %s.", why, target)


def write_entry(path: Path, entry: dict[str, Any], attach: Callable[[Path], None] | None = None) -> None:
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


def read_entry(path: Path) -> dict[str, Any] | None:
    """Read an entry; None if it is damaged, as by a full disk."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        log.warning("%s is damaged and skipped.", path)
        return None
