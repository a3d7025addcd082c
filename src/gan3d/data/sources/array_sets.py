"""Sets of grids in one file: .npz, .npy and HDF5, with or without labels; read in blocks of rows, never as a whole.

Arrays (N, X, Y, Z) hold a grid a row; (X, Y, Z) is one grid; bits packed by `numpy.packbits`, (N, X·Y·Z / 8), are
named `…packed`, beside `shape`, one grid's three lengths (without it the grids are cubes). Labels are `y_train` beside
`X_train` (the same for test and val), `y` beside `X`, `labels` beside `voxels`; `classes` names them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from gan3d.data.formats.array_files import DAMAGED, opened
from gan3d.data.formats.binvox import LIMIT
from gan3d.data.formats.extensions import stem
from gan3d.data.formats.readers import Unreadable, as_grid
from gan3d.data.sources.archives import Place
from gan3d.data.sources.labels import SPLIT_FOLDERS

MODELNET10 = ("bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table", "toilet")
GRID_KEYS = ("voxels", "voxels_packed", "X", "instance", "voxel", "grids")
LABEL_KEYS = ("y", "labels", "label", "classes")


@dataclass(frozen=True)
class Part:
    """One array of grids: its key, how many, the split it states, and each grid's class (None: no labels)."""

    key: str
    count: int
    split: str | None = None
    classes: tuple[str, ...] = ()
    labels: np.ndarray | None = None  # (count,) indices into `classes`


def inspect(place: Place, name: str) -> list[Part]:
    """What a set holds, from its headers and labels; an .npy of one grid is a set of one.

    Raises:
        Unreadable: when it is damaged, holds no grids, or labels do not fit.
    """
    try:
        return _inspect(place, name)
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # numpy, zipfile and HDF5 fail in many ways on a damaged file
        raise DAMAGED from error


def _inspect(place: Place, name: str) -> list[Part]:
    with opened(place, name) as store:
        keys = {key: store.head(key) for key in store.keys}
        if any(dtype.hasobject for key, (_, dtype) in keys.items() if key in _wanted(keys)):
            raise Unreadable("It holds Python objects, which are not loaded.", "Store booleans, integers or floats.")
        parts = []
        for key in _grid_keys(keys):
            count = _count(key, *keys[key])
            label_key = _label_key(key, keys, count)
            labels = None if label_key is None else _labels(store.whole(label_key), key, label_key, count)
            parts.append((key, count, SPLIT_FOLDERS.get(key.removeprefix("X_").lower()), labels))
        found = [labels for *_, labels in parts if labels is not None]
        if not found:
            return [Part(key, count, split) for key, count, split, _ in parts]
        values = np.unique(np.concatenate(found))
        names = _names(name, values, store.whole("classes") if "classes" in keys else None)
    return [
        Part(key, count, split, names, None if labels is None else np.searchsorted(values, labels))
        for key, count, split, labels in parts
    ]


def grids(place: Place, name: str, key: str, rows: list[int]) -> Iterator[np.ndarray | Unreadable]:
    """The grids (X, Y, Z) of some rows in ascending order, booleans, or why one cannot be used."""
    try:
        stream = _stream(place, name, key)
        for row in rows:
            try:
                yield stream.grid(row)
            except Unreadable as error:
                yield error
    except MemoryError:
        raise
    except Unreadable as error:
        yield error
    except Exception:  # numpy, zlib and HDF5 fail in many ways on a damaged file
        _stream.cache_clear()
        yield Unreadable(f"Its {key or 'array'} is damaged.", "Export or download it again.")


def forget() -> None:
    """Close the files that this process holds."""
    _stream.cache_clear()


def _wanted(keys: Any) -> list[str]:
    return [key for key in keys if key in (*GRID_KEYS, *LABEL_KEYS) or key[:2] in ("X_", "y_") or len(keys) == 1]


def _grid_keys(keys: dict[str, tuple[tuple[int, ...], np.dtype]]) -> list[str]:
    """The arrays that are grids: the X_… ones, else a usual name, else the only one that can be."""
    splits = [key for key in keys if key.startswith("X_") and key[2:].lower() in SPLIT_FOLDERS]
    if splits:
        return sorted(splits, key=lambda key: ("train" not in key.lower(), key))
    usual = [key for key in GRID_KEYS if key in keys]
    if usual:
        return usual[:1]
    possible = [key for key, (shape, dtype) in keys.items() if len(shape) >= 3 and dtype.kind in "buif"]
    if len(possible) == 1:
        return possible
    if len(keys) == 1:
        return list(keys)
    raise Unreadable(
        f"It holds {', '.join(keys)[:80] or 'nothing'}, no grids that can be told.",
        "Store an array `voxels` of (N, R, R, R).",
    )


def _is_packed(key: str) -> bool:
    return "packed" in key.lower()


def _count(key: str, shape: tuple[int, ...], dtype: np.dtype) -> int:
    """The number of grids in an array."""
    inner = shape if len(shape) == 3 else shape[1:]
    fits = len(shape) == 2 and dtype == np.uint8 if _is_packed(key) else len(shape) >= 3
    if not fits or 0 in inner or min(shape) < 0 or dtype.kind not in "buif":
        what = f"the shape {shape}" if dtype.kind in "buif" else f"the type {dtype}"
        raise Unreadable(f"Its {key or 'array'} has {what}.", "Store an array `voxels` of (N, R, R, R), of numbers.")
    if math.prod(inner) > LIMIT:
        raise Unreadable(f"Its {key or 'array'} has the shape {shape}.", f"Store at most {LIMIT} voxels a grid (512³).")
    return 1 if len(shape) == 3 else shape[0]


def _label_key(key: str, keys: Any, count: int) -> str | None:
    """The labels of an array: y_… of X_… must be there, others may."""
    if key.startswith("X_"):
        label_key = "y_" + key[2:]
        if label_key not in keys:
            raise Unreadable(f"{label_key} is missing beside {key}.", f"In {label_key}, store {count} labels.")
        return label_key
    return next((label for label in ("y", "labels", "label") if label in keys), None)


def _labels(labels: np.ndarray, key: str, label_key: str, count: int) -> np.ndarray:
    if labels.size != count or labels.dtype.kind not in "buif" or (labels != labels.astype(np.int64)).any():
        raise Unreadable(
            f"{label_key} does not give one whole number a grid of {key}.", f"In {label_key}, store {count} labels."
        )
    return labels.astype(np.int64).ravel()


def _names(name: str, values: np.ndarray, given: np.ndarray | None) -> tuple[str, ...]:
    """Names of the labels: `classes`, or ModelNet10's for ten labels in a file whose name says so, or class_<label>."""
    if given is not None:
        names = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in given.ravel()]
        if values.min() >= 0 and values.max() < len(names):
            return tuple(names[value] for value in values)
        raise Unreadable(
            f"`classes` has {len(names)} names for labels up to {values.max()}.", "In it, name each label."
        )
    if "modelnet10" in stem(name).lower() and values.tolist() == list(range(10)):
        return MODELNET10
    return tuple(f"class_{value}" for value in values)


class _Stream:
    """Grids of one array, in blocks that are kept until the rows leave them."""

    def __init__(self, place: Place, name: str, key: str):
        self.store, self.key = opened(place, name), key
        self.shape, self.dtype = self.store.head(key)
        self.side: tuple[int, ...] | None = None
        if _is_packed(key):
            self.side = self._packed_side()
        each = math.prod(self.shape[1:]) * self.dtype.itemsize
        self.step = max(1, min(64, 2**24 // max(each, 1)))
        self.start, self.held = 0, np.empty(0)

    def _packed_side(self) -> tuple[int, ...]:
        bits = 8 * self.shape[1]
        if "shape" in self.store.keys:
            side = tuple(int(length) for length in self.store.whole("shape").ravel())
        else:
            side = (round(bits ** (1 / 3)),) * 3
        if len(side) != 3 or min(side) < 1 or not 0 <= bits - math.prod(side) < 8:
            raise Unreadable(f"Its {self.key} has {bits} bits a grid, no cube.", "Store `shape`, one grid's lengths.")
        return side

    def grid(self, row: int) -> np.ndarray:
        if len(self.shape) == 3:
            return as_grid(self.store.block(self.key, 0, self.shape[0]))
        if not self.start <= row < self.start + len(self.held):
            self.start = row
            self.held = self.store.block(self.key, row, min(row + self.step, self.shape[0]))
        array = self.held[row - self.start]
        if self.side is None:
            return as_grid(array)
        return np.unpackbits(array, count=math.prod(self.side)).reshape(self.side).astype(bool)


@lru_cache(maxsize=2)
def _stream(place: Place, name: str, key: str) -> _Stream:
    return _Stream(place, name, key)
