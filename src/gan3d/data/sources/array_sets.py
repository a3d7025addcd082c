"""Many grids in one file (.npz, .npy, HDF5), with or without labels; read in batches of rows, never whole.

`gan3d.data.formats.axes` finds the axes: an array (N, X, Y, Z) holds one grid per row, (X, Y, Z) and (X, Y, Z, 1) a
single grid, (N, R³) flattened grids. An array of bits as packed by `numpy.packbits`, (N, X·Y·Z / 8), is named
`…packed`, next to `shape`, the three lengths of a grid (without it the grids are cubes). `gan3d.data.formats.names`
knows the usual keys: labels are `y_train` for `X_train`, `train_labels` for `train_voxels`, `labels` for `voxels`;
`classes` or `class_names` names them. Labels are integers, texts or one-hot rows.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from gan3d.data.formats.array_files import DAMAGED, ArrayFile, open_arrays
from gan3d.data.formats.extensions import stem, suffix
from gan3d.data.formats.names import Name, parse_name
from gan3d.data.formats.readers import UnreadableFile, as_grid
from gan3d.data.sources.archives import Location
from gan3d.data.sources.array_keys import Header, axes_of, count_of, find_grid_keys, find_label_key
from gan3d.data.sources.array_labels import python_objects, read_labels, read_names

MODELNET10 = ("bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table", "toilet")
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
        axes: how it holds grids, in words.
        label_key: the name of its labels.
        is_named: whether `classes` are names that the source gives; else they are made from numbers.
        numbers: the numbers that stand for `classes` in the file; empty if it holds names.
        keys: the names of all arrays of the file.
    """

    key: str
    count: int
    split: str | None = None
    classes: tuple[str, ...] = ()
    labels: np.ndarray | None = None
    axes: str = ""
    label_key: str | None = None
    is_named: bool = True
    numbers: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def missing_labels(self) -> UnreadableFile | None:
        """The error for an array named as one with labels, X_…, that has none."""
        if self.labels is not None or not self.key.lower().startswith("x_"):
            return None
        wanted = "y_" + self.key[2:]
        return UnreadableFile(
            f"It has {self.key} but no {wanted}.",
            f"In {wanted}, store {self.count} labels; or name the array `voxels` if it has none.",
        )


@dataclass(frozen=True)
class LabelFile:
    """A file of labels, or of class names, for the grids of other files.

    Args:
        values: integers or strings, (count,).
        role: labels or classes; None if the file's name does not tell.
    """

    values: np.ndarray
    role: str | None = None


def inspect(location: Location, name: str) -> list[GridArray] | LabelFile:
    """The arrays of grids in a file, from its headers and labels; an .npy of one grid is an array of one.

    An .npy of labels or class names, by its name and shape, gives a `LabelFile`.

    Raises:
        UnreadableFile: if the file is damaged, holds no grids, or its labels do not match.
    """
    try:
        with open_arrays(location.open(), name) as arrays:
            if suffix(name) in (".npy", ".npz") and (found := _label_file(arrays, name)) is not None:
                return found
            return _inspect(arrays, name)
    except (UnreadableFile, MemoryError):
        raise
    except Exception as error:  # numpy, zipfile and HDF5 raise many types on a damaged file
        raise DAMAGED from error


def _label_file(arrays: ArrayFile, name: str) -> LabelFile | None:
    """The content of `y_train.npy`, `labels.npy` or `class_names.npy`."""
    role = parse_name(stem(name)).role
    if role not in ("labels", "classes") or len(arrays.keys) != 1:
        return None
    key = arrays.keys[0]
    shape, _ = arrays.header(key)
    if len(shape) not in (0, 1, 2):
        return None
    return LabelFile(read_labels(arrays, key) if role == "labels" else read_names(arrays, key), role)


def _inspect(arrays: ArrayFile, name: str) -> list[GridArray]:
    headers = {key: arrays.header(key) for key in arrays.keys}
    names = {key: parse_name(key) for key in headers}
    found = []
    for key in find_grid_keys(headers, names):
        if headers[key][1].hasobject:
            raise python_objects()
        count = count_of(key, *headers[key])
        label_key = find_label_key(key, headers, names, count)
        labels = None if label_key is None else _check_labels(read_labels(arrays, label_key), key, label_key, count)
        axes = axes_of(key, headers[key], None if labels is None else len(labels))
        if axes is not None and len(headers[key][0]) <= 3 and not axes.is_single:
            _check_flattened(arrays, key)
        shown = f"{count} packed grids" if axes is None else str(axes)
        shown = f"{headers[key][0]} {headers[key][1]}: {shown}"
        array = GridArray(key, count, names[key].split, (), labels, shown, label_key, keys=tuple(headers))
        found.append(array)
    return name_labels(found, name, _given_names(arrays, headers, names, {array.label_key for array in found}))


def name_labels(arrays: list[GridArray], name: str, given: np.ndarray | None = None) -> list[GridArray]:
    """Map the raw labels of arrays into indices of class names.

    Args:
        arrays: `labels` of which are integers or strings.
        name: of their file; ten labels in a file named after ModelNet10 get the names of its classes.
        given: names of the labels 0, 1, ….

    Raises:
        UnreadableFile: if a label has no name among the given.
    """
    all_labels = [array.labels for array in arrays if array.labels is not None]
    if not all_labels:
        return arrays
    values = np.unique(np.concatenate(all_labels))
    classes, is_named = _class_names(name, values, given)
    numbers = () if values.dtype.kind == "U" else tuple(values.tolist())
    return [
        array
        if array.labels is None
        else replace(
            array,
            labels=np.searchsorted(values, array.labels),
            classes=classes,
            is_named=is_named,
            numbers=numbers,
        )
        for array in arrays
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


def _check_flattened(arrays: ArrayFile, key: str) -> None:
    """Raise UnreadableFile if the first rows of a flattened array are features rather than occupancy."""
    rows = arrays.read_rows(key, 0, min(4, arrays.header(key)[0][0]))
    if rows.dtype.kind == "f" and not ((rows >= 0) & (rows <= 1)).all():
        raise UnreadableFile(
            f"Its {key or 'array'} has rows of {rows[0].size} values from {rows.min():.3g} to {rows.max():.3g}, which"
            " are features, not occupancy.",
            "Store occupancy from 0 to 1, with the shape (N, X, Y, Z).",
        )


def _check_labels(labels: np.ndarray, key: str, label_key: str, count: int) -> np.ndarray:
    if labels.size != count:
        raise UnreadableFile(
            f"{label_key} holds {labels.size} labels for {count} grid{'s' if count > 1 else ''} in {key}.",
            f"In {label_key}, store {count} labels.",
        )
    return labels


def _given_names(
    arrays: ArrayFile, headers: Mapping[str, Header], names: Mapping[str, Name], used: set[str | None]
) -> np.ndarray | None:
    """The class names in a file: `classes`, `class_names`, `label_map` and the like."""
    keys = [key for key in headers if key not in used and (names[key].role == "classes" or key.lower() == "classes")]
    keys.sort(key=lambda key: key != "classes")
    for key in keys:
        found = read_names(arrays, key)
        if found.size:
            return found
    return None


def _class_names(name: str, values: np.ndarray, given: np.ndarray | None) -> tuple[tuple[str, ...], bool]:
    """Class names of the labels, and whether the source gives them.

    Texts name themselves; numbers are named by `classes`, by ModelNet10's for ten labels in a file named so, else
    class_<label>.
    """
    if values.dtype.kind == "U":
        return tuple(str(value) for value in values), True
    if given is not None:
        if values.min() >= 0 and values.max() < len(given):
            return tuple(str(given[value]) for value in values), True
        raise UnreadableFile(
            f"`classes` has {len(given)} names for labels up to {values.max()}.", "In `classes`, name each label."
        )
    if "modelnet10" in stem(name).lower() and values.tolist() == list(range(10)):
        return MODELNET10, True
    return tuple(f"class_{value}" for value in values), False


class _GridReader:
    """Random access to the grids of one array; the current batch of rows stays in memory."""

    def __init__(self, location: Location, name: str, key: str):
        self.arrays, self.key = open_arrays(location.open(), name), key
        self.shape, self.dtype = self.arrays.header(key)
        self.axes = axes_of(key, (self.shape, self.dtype))
        self.packed_shape = self._packed_shape() if self.axes is None else None
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
        if self.axes is not None and self.axes.is_single:
            return as_grid(self.arrays.read_rows(self.key, 0, self.shape[0]))
        if not self.start <= row < self.start + len(self.batch):
            self.start = row
            self.batch = self.arrays.read_rows(self.key, row, min(row + self.step, self.shape[0]))
        array = self.batch[row - self.start]
        if self.axes is not None:
            return as_grid(array if array.ndim > 2 else array.reshape(self.axes.grid))
        assert self.packed_shape is not None
        return np.unpackbits(array, count=math.prod(self.packed_shape)).reshape(self.packed_shape).astype(bool)


@lru_cache(maxsize=2)
def _cached_reader(location: Location, name: str, key: str) -> _GridReader:
    return _GridReader(location, name, key)
