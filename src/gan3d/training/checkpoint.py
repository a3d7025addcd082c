"""Checkpoints: written atomically, verified by hash.

FOLDER/<images seen>-<hash>.npz    the state's arrays, and the loop's own record as JSON
"""

import fcntl
import hashlib
import io
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import keras
import numpy as np

from gan3d.array_archive import ArrayType, extract_arrays, read_plain
from gan3d.errors import UserError
from gan3d.outputs import write_error
from gan3d.training.recipe import Recipe

NAME = re.compile(r"(\d{10,})-([0-9a-f]{16})\.npz")  # images seen, and hash of the content
TEMPORARY = re.compile(r".*\.(\d+)-[0-9a-f]+\.tmp")  # the process that writes it
LOCK = ".lock"
RECORD_BYTES = 2**28  # of the longest record: a row of numbers per log entry


def digest(content: bytes) -> str:
    """The hash in a checkpoint's name: 16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def is_intact(path: Path) -> bool:
    """Whether a checkpoint still has the content of its hash; not if another process has removed it."""
    try:
        return digest(path.read_bytes()) == hash_of(path)
    except FileNotFoundError:
        return False


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints, whole or damaged, by images seen."""
    return sorted(path for path in folder.glob("*.npz") if NAME.fullmatch(path.name))


def images_of(path: Path) -> int:
    """Images seen, as the name says."""
    return int(path.stem.split("-")[0])


def hash_of(path: Path) -> str:
    """The hash that the name promises."""
    return path.stem.split("-")[1]


def damaged(folder: Path, end: int) -> list[Path]:
    """The damaged checkpoints of at most `end` images."""
    return [path for path in checkpoints(folder) if images_of(path) <= end and not is_intact(path)]


@contextmanager
def sole_writer(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a checkpoint folder; wait until it is free. It dies with its process.

    Args:
        folder: created if missing.
        waiting: called once, if another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as stream:
        if not _try_lock(stream):
            waiting()
            while not _try_lock(stream):  # not one long wait, which Ctrl-C would not end
                time.sleep(0.2)
        yield


def _try_lock(stream: IO[str]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def save(folder: Path, images: int, state: Any, record: dict[str, Any], keep: int = 2, best: int | None = None) -> Path:
    """Write a checkpoint and keep the newest `keep` up to it; a kill at any moment leaves them intact.

    Later ones belong to a longer training that may still be resumed: they stay unless they are damaged.

    Args:
        state: a nested structure of arrays.
        record: anything JSON can hold.
        best: images seen at another checkpoint to keep.
    """
    folder.mkdir(parents=True, exist_ok=True)
    leaves = keras.tree.flatten(state)
    buffer = io.BytesIO()
    arrays = {f"leaf{i:04d}": keras.ops.convert_to_numpy(leaf) for i, leaf in enumerate(leaves)}
    np.savez(buffer, record=np.frombuffer(json.dumps(record).encode(), np.uint8), **arrays)
    content = buffer.getvalue()
    path = folder / f"{images:010d}-{digest(content)}.npz"
    temporary = path.with_name(f"{path.stem}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise write_error(path, error) from error
    _remove_old(folder, path, keep, best)
    return path


def _remove_old(folder: Path, newest: Path, keep: int, best: int | None) -> None:
    """Remove what `save` does not keep, and what killed processes have left."""
    up_to_now = [old for old in checkpoints(folder) if old.name <= newest.name and (old == newest or is_intact(old))]
    kept = up_to_now[-keep:] + [old for old in up_to_now if images_of(old) == best]
    kept += [later for later in checkpoints(folder) if later.name > newest.name and is_intact(later)]
    stale = [path for path in folder.glob("*.tmp") if not _is_being_written(path)]
    for other in {*checkpoints(folder), *stale} - set(kept):
        other.unlink(missing_ok=True)


def _is_being_written(path: Path) -> bool:
    """Whether a temporary file belongs to another process that is alive."""
    named = TEMPORARY.fullmatch(path.name)
    if named is None or int(named[1]) == os.getpid():
        return False
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return False
    except OSError:  # alive, but another user's
        return True
    return True


def load(folder: Path, like: Any, end: int) -> tuple[int, Any, dict[str, Any], list[str]] | None:
    """The newest intact checkpoint of at most `end` images, or None.

    Args:
        like: a state of the same structure.
        end: images of the whole training, which may be shorter than the interrupted one.

    Returns:
        Images seen, the state, the record, and one warning per damaged checkpoint that was skipped.
    """
    warnings = []
    expected_arrays = arrays_of(like)
    limit = sum(array.sizes()[1] for array in expected_arrays.values()) + 2**20
    for path in reversed(checkpoints(folder)):
        if images_of(path) > end:
            continue
        try:
            content = read_plain(path, limit)
            if digest(content) != hash_of(path):
                raise UserError(f"{path} is damaged")
            arrays = extract_arrays(io.BytesIO(content), expected_arrays)
            record = json.loads(arrays.pop("record").tobytes())
        except (UserError, ValueError) as error:  # damaged, from another training, or from a stranger
            if isinstance(error.__cause__, FileNotFoundError):  # another process has removed it
                continue
            reason = str(error).removeprefix(str(path)).strip(" .")
            warnings.append(f"{path} {reason}: falling back to the checkpoint before it.")
            continue
        leaves = [arrays[name] for name in sorted(arrays)]
        return images_of(path), keras.tree.pack_sequence_as(like, leaves), record, warnings
    return None


def arrays_of(like: Any) -> dict[str, ArrayType]:
    """The arrays of a checkpoint of such a state."""
    leaves = (np.asarray(keras.ops.convert_to_numpy(leaf)) for leaf in keras.tree.flatten(like))
    arrays = {f"leaf{i:04d}": ArrayType(leaf.shape, (leaf.dtype.str,)) for i, leaf in enumerate(leaves)}
    return arrays | {"record": ArrayType((RECORD_BYTES,), ("|u1",), any_length=True)}


def checkpoint_state(state: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The part of a state that a checkpoint needs: with β₁ = 0 no first moments, a third of D's share."""
    if recipe.beta_1:
        return state
    lighter = {name: {key: state[name][key] for key in ("v", "t")} for name in ("adam_g", "adam_d")}
    return state | lighter
