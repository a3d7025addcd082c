"""Checkpoints: written atomically, verified by hash.

FOLDER/<images seen>-<hash>.npz    the state's arrays, and the loop's own record as JSON
"""

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from gan3d.array_archive import ArrayType, extract_arrays, read_plain
from gan3d.errors import UserError
from gan3d.training.recipe import Recipe

RECORD_BYTES = 2**28  # of the longest record: a row of numbers per log entry


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def is_intact(path: Path) -> bool:
    """Whether a checkpoint still has the content of its hash."""
    return digest(path.read_bytes()) == path.stem.split("-")[1]


def save(folder: Path, images: int, state: Any, record: dict[str, Any], keep: int = 2, best: int | None = None) -> Path:
    """Write a checkpoint and keep the newest `keep` up to it; a kill at any moment leaves them intact.

    Later ones belong to a longer training that may still be resumed: they stay unless they are damaged.

    Args:
        state: a nested structure of arrays.
        record: anything JSON can hold.
        best: images of another one to keep.
    """
    folder.mkdir(parents=True, exist_ok=True)
    leaves = keras.tree.flatten(state)
    buffer = io.BytesIO()
    arrays = {f"leaf{i:04d}": keras.ops.convert_to_numpy(leaf) for i, leaf in enumerate(leaves)}
    np.savez(buffer, record=np.frombuffer(json.dumps(record).encode(), np.uint8), **arrays)
    content = buffer.getvalue()
    path = folder / f"{images:010d}-{digest(content)}.npz"
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
    up_to_now = sorted(old for old in folder.glob("*.npz") if old.name <= path.name)
    kept = up_to_now[-keep:] + [old for old in up_to_now if int(old.stem.split("-")[0]) == best]
    kept += [later for later in folder.glob("*.npz") if later.name > path.name and is_intact(later)]
    for other in {*folder.glob("*.npz"), *folder.glob("*.tmp")} - set(kept):
        other.unlink(missing_ok=True)
    return path


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
    for path in sorted(folder.glob("*.npz"), reverse=True):
        images, expected = path.stem.split("-")
        if int(images) > end:
            continue
        try:
            content = read_plain(path, limit)
            if digest(content) != expected:
                raise UserError(f"{path} is damaged")
            arrays = extract_arrays(io.BytesIO(content), expected_arrays)
            record = json.loads(arrays.pop("record").tobytes())
        except (UserError, ValueError) as error:  # damaged, from another training, or from a stranger
            reason = str(error).removeprefix(str(path)).strip(" .")
            warnings.append(f"{path} {reason}: falling back to the checkpoint before it.")
            continue
        leaves = [arrays[name] for name in sorted(arrays)]
        return int(images), keras.tree.pack_sequence_as(like, leaves), record, warnings
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
