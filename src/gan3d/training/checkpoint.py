"""Unfinished training on disk: written atomically, verified by hash, used only by the run that wrote it.

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

from gan3d.training.recipe import Recipe


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def whole(path: Path) -> bool:
    """Whether a checkpoint is as it was written."""
    return digest(path.read_bytes()) == path.stem.split("-")[1]


def save(folder: Path, images: int, state: Any, record: dict[str, Any], keep: int = 2, best: int | None = None) -> Path:
    """Write a checkpoint and keep, of those up to it, the newest `keep`; a kill at any moment leaves them whole.

    Newer ones are of a longer training, which may be gone on with: they stay, unless they are damaged.

    Args:
        state: a nested structure of arrays.
        record: anything JSON can hold.
        best: images of one that is kept, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    leaves = keras.tree.flatten(state)
    buffer = io.BytesIO()
    arrays = {f"leaf{i:04d}": keras.ops.convert_to_numpy(leaf) for i, leaf in enumerate(leaves)}
    np.savez(buffer, record=np.frombuffer(json.dumps(record).encode(), np.uint8), **arrays)
    content = buffer.getvalue()
    path = folder / f"{images:010d}-{digest(content)}.npz"
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(path)
    upto = sorted(old for old in folder.glob("*.npz") if old.name <= path.name)
    kept = upto[-keep:] + [old for old in upto if int(old.stem.split("-")[0]) == best]
    kept += [newer for newer in folder.glob("*.npz") if newer.name > path.name and whole(newer)]
    for other in {*folder.glob("*.npz"), *folder.glob("*.tmp")} - set(kept):
        other.unlink(missing_ok=True)
    return path


def load(folder: Path, like: Any, end: int) -> tuple[int, Any, dict[str, Any], list[str]] | None:
    """The newest whole checkpoint of at most `end` images, or None when there is none.

    Args:
        like: a state of the same structure.
        end: images of the whole training, which may be shorter than the one that was broken off.

    Returns:
        Images seen, the state, the record, and one warning for each damaged checkpoint that was passed over.
    """
    warnings = []
    for path in sorted(folder.glob("*.npz"), reverse=True):
        images, expected = path.stem.split("-")
        if int(images) > end:
            continue
        content = path.read_bytes()
        if digest(content) != expected:
            warnings.append(f"{path} is damaged; the checkpoint before it is used.")
            continue
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            record = json.loads(arrays["record"].tobytes())
            leaves = [arrays[name] for name in sorted(arrays.files) if name.startswith("leaf")]
        return int(images), keras.tree.pack_sequence_as(like, leaves), record, warnings
    return None


def checkpoint_state(state: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """What of a state a checkpoint needs: where β₁ is 0, no first moments, which are a third of what D takes."""
    if recipe.beta_1:
        return state
    lighter = {name: {key: state[name][key] for key in ("v", "t")} for name in ("adam_g", "adam_d")}
    return state | lighter
