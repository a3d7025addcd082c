"""Many grids in one file (.npz, .npy, HDF5), with or without labels; read in batches of rows, never whole.

An array (N, X, Y, Z) holds one grid per row, (X, Y, Z) a single grid. An array of bits as packed by `numpy.packbits`,
(N, X·Y·Z / 8), is named `…packed`, next to `shape`, the three lengths of a grid (without it the grids are cubes).
Labels are `y_train` for `X_train` (likewise test and val), `y` for `X`, `labels` for `voxels`; `classes` names them.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gan3d.data.formats.array_files import DAMAGED, ArrayFile, open_arrays
from gan3d.data.formats.binvox import MAX_VOXELS
from gan3d.data.formats.extensions import stem
from gan3d.data.formats.readers import UnreadableFile, as_grid
from gan3d.data.sources.archives import Location
from gan3d.data.sources.labels import SPLIT_FOLDERS

MODELNET10 = ("bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table", "toilet")
GRID_KEYS = ("voxels", "voxels_packed", "X", "instance", "voxel", "grids")
LABEL_KEYS = ("y", "labels", "label", "classes")
_BATCH_ROWS, _BATCH_BYTES = 64, 2**24  # read at once: at most so many rows, and about so many bytes


@dataclass(frozen=True)
class GridArray:
    """One array of grids in a file.

    Args:
        key: its name.
        count: number of grids.
        split: the split that its name states, if any.
        classes: names of the labels.
        labels: index into `classes` for each grid, (count,); None without labels.
    """

    key: str
    count: int
    split: str | None = None
    classes: tuple[str, ...] = ()
    labels: np.ndarray | None = None


def inspect(location: Location, name: str) -> list[GridArray]:
    """The arrays of grids in a file, from its headers and labels; an .npy of one grid is an array of one.

    Raises:
        UnreadableFile: if the file is damaged, holds no grids, or its labels do not match.
    """
    try:
        with open_arrays(location.open(), name) as arrays:
            return _inspect(arrays, name)
    except (UnreadableFile, MemoryError):
        raise
    except Exception as error:  # numpy, zipfile and HDF5 raise many types on a damaged file
        raise DAMAGED from error


def _inspect(arrays: ArrayFile, name: str) -> list[GridArray]:
    headers = {key: arrays.header(key) for key in arrays.keys}
    if any(dtype.hasobject for key, (_, dtype) in headers.items() if _is_relevant(key) or len(headers) == 1):
        raise UnreadableFile("It holds Python objects, which are not loaded.", "Store booleans, integers or floats.")
    found = []
    for key in _grid_keys(headers):
        count = _grid_count(key, *headers[key])
        label_key = _label_key(key, headers, count)
        labels = None if label_key is None else _check_labels(arrays.read(label_key), key, label_key, count)
        found.append((key, count, SPLIT_FOLDERS.get(key.removeprefix("X_").lower()), labels))
    all_labels = [labels for *_, labels in found if labels is not None]
    if not all_labels:
        return [GridArray(key, count, split) for key, count, split, _ in found]
    values = np.unique(np.concatenate(all_labels))
    names = _class_names(name, values, arrays.read("classes") if "classes" in headers else None)
    return [
        GridArray(key, count, split, names, None if labels is None else np.searchsorted(values, labels))
        for key, count, split, labels in found
    ]


def read_grids(location: Location, name: str, key: str, rows: list[int]) -> Iterator[np.ndarray | UnreadableFile]:
    """Read some rows of an array.

    Args:
        location: the file.
        name: whose extension decides the format.
        key: of the array.
        rows: in ascending order.

    Yields:
        Booleans (X, Y, Z) per row, or why a row cannot be used; a damaged array ends after its first error.
    """
    try:
        reader = _cached_reader(location, name, key)
        for row in rows:
            try:
                yield reader.grid(row)
            except UnreadableFile as error:
                yield error
    except MemoryError:
        raise
    except UnreadableFile as error:
        yield error
    except Exception:  # numpy, zlib and HDF5 raise many types on a damaged file
        _cached_reader.cache_clear()
        yield UnreadableFile(f"Its {key or 'array'} is damaged.", "Export or download it again.")


def clear_caches() -> None:
    """Close the files that this process holds open."""
    _cached_reader.cache_clear()


def _is_relevant(key: str) -> bool:
    return key in (*GRID_KEYS, *LABEL_KEYS) or key[:2] in ("X_", "y_")


def _grid_keys(headers: dict[str, tuple[tuple[int, ...], np.dtype]]) -> list[str]:
    """The arrays of grids: those named X_…, else the first usual name, else the only candidate."""
    by_split = [key for key in headers if key.startswith("X_") and key[2:].lower() in SPLIT_FOLDERS]
    if by_split:
        return sorted(by_split, key=lambda key: ("train" not in key.lower(), key))
    usual = [key for key in GRID_KEYS if key in headers]
    if usual:
        return usual[:1]
    candidates = [key for key, (shape, dtype) in headers.items() if len(shape) >= 3 and dtype.kind in "buif"]
    if len(candidates) == 1:
        return candidates
    if len(headers) == 1:
        return list(headers)
    raise UnreadableFile(
        f"It holds {', '.join(headers)[:80] or 'nothing'}, and none is recognised as grids.",
        "Store an array `voxels` of shape (N, R, R, R).",
    )


def _is_packed(key: str) -> bool:
    return "packed" in key.lower()


def _grid_count(key: str, shape: tuple[int, ...], dtype: np.dtype) -> int:
    """The number of grids in an array."""
    inner = shape if len(shape) == 3 else shape[1:]
    fits = len(shape) == 2 and dtype == np.uint8 if _is_packed(key) else len(shape) >= 3
    if not fits or 0 in inner or min(shape) < 0 or dtype.kind not in "buif":
        what = f"the shape {shape}" if dtype.kind in "buif" else f"the type {dtype}"
        raise UnreadableFile(
            f"Its {key or 'array'} has {what}.", "Store an array `voxels` of numbers with the shape (N, R, R, R)."
        )
    if math.prod(inner) > MAX_VOXELS:
        raise UnreadableFile(
            f"Its {key or 'array'} has the shape {shape}.", f"Store at most {MAX_VOXELS} voxels per grid (512³)."
        )
    return 1 if len(shape) == 3 else shape[0]


def _label_key(key: str, keys: Iterable[str], count: int) -> str | None:
    """The name of the labels of an array; they are required for X_… and optional for others."""
    if key.startswith("X_"):
        label_key = "y_" + key[2:]
        if label_key not in keys:
            raise UnreadableFile(f"It has {key} but no {label_key}.", f"In {label_key}, store {count} labels.")
        return label_key
    return next((label for label in ("y", "labels", "label") if label in keys), None)


def _check_labels(labels: np.ndarray, key: str, label_key: str, count: int) -> np.ndarray:
    if labels.size != count or labels.dtype.kind not in "buif" or (labels != labels.astype(np.int64)).any():
        raise UnreadableFile(
            f"{label_key} does not hold one integer per grid of {key}.", f"In {label_key}, store {count} labels."
        )
    return labels.astype(np.int64).ravel()


def _class_names(name: str, values: np.ndarray, given: np.ndarray | None) -> tuple[str, ...]:
    """Class names of the labels: `classes`, ModelNet10's for ten labels in a file named so, else class_<label>."""
    if given is not None:
        names = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in given.ravel()]
        if values.min() >= 0 and values.max() < len(names):
            return tuple(names[value] for value in values)
        raise UnreadableFile(
            f"`classes` has {len(names)} names for labels up to {values.max()}.", "In `classes`, name each label."
        )
    if "modelnet10" in stem(name).lower() and values.tolist() == list(range(10)):
        return MODELNET10
    return tuple(f"class_{value}" for value in values)


class _GridReader:
    """Random access to the grids of one array; the current batch of rows stays in memory."""

    def __init__(self, location: Location, name: str, key: str):
        self.arrays, self.key = open_arrays(location.open(), name), key
        self.shape, self.dtype = self.arrays.header(key)
        self.packed_shape = self._packed_shape() if _is_packed(key) else None
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        self.step = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(row_bytes, 1)))
        self.start, self.batch = 0, np.empty(0)

    def _packed_shape(self) -> tuple[int, ...]:
        bits = 8 * self.shape[1]
        if "shape" in self.arrays.keys:
            shape = tuple(int(length) for length in self.arrays.read("shape").ravel())
        else:
            shape = (round(bits ** (1 / 3)),) * 3
        if len(shape) != 3 or min(shape) < 1 or not 0 <= bits - math.prod(shape) < 8:
            raise UnreadableFile(
                f"Its {self.key} has {bits} bits per grid, which is not a cube.",
                "Store `shape`, the three lengths of a grid.",
            )
        return shape

    def grid(self, row: int) -> np.ndarray:
        if len(self.shape) == 3:
            return as_grid(self.arrays.read_rows(self.key, 0, self.shape[0]))
        if not self.start <= row < self.start + len(self.batch):
            self.start = row
            self.batch = self.arrays.read_rows(self.key, row, min(row + self.step, self.shape[0]))
        array = self.batch[row - self.start]
        if self.packed_shape is None:
            return as_grid(array)
        return np.unpackbits(array, count=math.prod(self.packed_shape)).reshape(self.packed_shape).astype(bool)


@lru_cache(maxsize=2)
def _cached_reader(location: Location, name: str, key: str) -> _GridReader:
    return _GridReader(location, name, key)
