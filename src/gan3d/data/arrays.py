"""Sets of grids in one .npz: `X_train`/`y_train` as ModelNet10 files have them, `voxels`, or packed bits."""

import io
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np

from gan3d.data.readers import Unreadable, as_grid, npy_header
from gan3d.errors import UserError

MODELNET10 = ("bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table", "toilet")
PACKED = "voxels_packed"  # rows of numpy.packbits, beside `shape`: one grid's three lengths


@dataclass(frozen=True)
class Labelled:
    """Names of classes, and (key of the grids, stated split, label of each row as an index into the classes)."""

    classes: list[str]
    parts: list[tuple[str, str | None, np.ndarray]]


def labelled(path: Path) -> Labelled | None:
    """Labels of an .npz with `X_train` and `y_train` (perhaps `X_test`, `y_test`, `classes`); None without X_train.

    Names of classes are `classes`, one a label in ascending order; ModelNet10's for ten labels in a file whose name
    says so; otherwise `class_<label>`.

    Raises:
        UserError: when the file is damaged, or labels are missing, no integers, or of another number than the grids.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {key: file[key] for key in file.files if key in ("y_train", "y_test", "classes")}
            keys = [key for key in ("X_train", "X_test") if key in file.files]
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, KeyError):
        raise UserError(f"{path} is damaged or holds Python objects: export the arrays again.") from None
    if "X_train" not in keys:
        return None
    parts = []
    for key in keys:
        label_key = key.replace("X_", "y_")
        count = _shape(path, None, key)[0][0]
        labels = np.asarray(found.get(label_key, []))
        if labels.size != count or labels.dtype.kind not in "buif" or (labels != labels.astype(int)).any():
            raise UserError(
                f"{label_key} in {path} does not give one whole number a grid of {key}: store {count} labels."
            )
        parts.append((key, key.removeprefix("X_"), labels.astype(int).ravel()))
    values = np.unique(np.concatenate([labels for *_, labels in parts]))
    classes = _names(path, values, found.get("classes"))
    return Labelled(classes, [(key, split, np.searchsorted(values, labels)) for key, split, labels in parts])


def _names(path: Path, values: np.ndarray, given: np.ndarray | None) -> list[str]:
    if given is not None:
        names = [str(name) for name in given.ravel()]
        if values.min() >= 0 and values.max() < len(names):
            return [names[value] for value in values]
        raise UserError(f"`classes` in {path} has {len(names)} names for labels up to {values.max()}: name each label.")
    if "modelnet10" in path.name.lower() and values.tolist() == list(range(10)):
        return list(MODELNET10)
    return [f"class_{value}" for value in values]


def rows(path: Path, member: str | None) -> tuple[str, int]:
    """The key and the number of the grids in an .npz (itself perhaps a member of a zip), from the headers alone.

    Raises:
        Unreadable: when it holds neither `voxels` nor `voxels_packed` with `shape`, nor one lone array.
    """
    try:
        with zipfile.ZipFile(_open(path, member)) as file:
            keys = [entry.removesuffix(".npy") for entry in file.namelist()]
    except (zipfile.BadZipFile, OSError) as error:
        raise Unreadable("It is damaged.", "Export or download it again.") from error
    key = next((key for key in ("voxels", PACKED) if key in keys), keys[0] if len(keys) == 1 else None)
    if key is None or (key == PACKED and "shape" not in keys):
        raise Unreadable(f"It holds {', '.join(keys)[:80]}, no grids.", "Store an array `voxels` of (N, R, R, R).")
    shape, dtype = _shape(path, member, key)
    if dtype.hasobject or len(shape) < (2 if key == PACKED else 4):
        raise Unreadable(f"Its {key} has the shape {shape}.", "Store an array `voxels` of (N, R, R, R).")
    return key, shape[0]


def grid(path: Path, member: str | None, key: str, row: int) -> np.ndarray:
    """One grid (X, Y, Z) of booleans; the array is decompressed once a process.

    Raises:
        Unreadable: when the array is damaged or holds no grids.
    """
    array, side = _array(path, member, key)
    if side is None:
        return as_grid(array[row])
    return np.unpackbits(array[row], count=int(np.prod(side))).reshape(side).astype(bool)


@lru_cache(maxsize=2)
def _array(path: Path, member: str | None, key: str) -> tuple[np.ndarray, tuple[int, ...] | None]:
    try:
        with np.load(_open(path, member), allow_pickle=False) as file:
            side = tuple(int(length) for length in file["shape"]) if key == PACKED else None
            return file[key], side
    except Exception as error:  # numpy and zipfile fail in many ways on a damaged file
        raise Unreadable(f"Its {key} is damaged.", "Export or download it again.") from error


def forget() -> None:
    """Drop the arrays that this process holds."""
    _array.cache_clear()


def _shape(path: Path, member: str | None, key: str) -> tuple[tuple[int, ...], np.dtype]:
    with zipfile.ZipFile(_open(path, member)) as file, file.open(f"{key}.npy") as stream:
        return npy_header(stream)


def _open(path: Path, member: str | None) -> IO[bytes] | Path:
    if member is None:
        return path
    with zipfile.ZipFile(path) as archive:
        return io.BytesIO(archive.read(member))
