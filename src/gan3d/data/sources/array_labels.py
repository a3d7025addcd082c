"""Labels and class names in array files: integers, texts, one-hot rows, and NumPy's arrays of plain Python objects."""

import io
import math
import pickle
from typing import Any

import numpy as np

from gan3d.data.formats.array_files import ArrayFile
from gan3d.data.formats.names import nfc
from gan3d.data.formats.readers import UnreadableFile

MAX_LABEL_BYTES = 2**27  # of an array of labels


def python_objects() -> UnreadableFile:
    """The error for pickled objects."""
    return UnreadableFile("It holds Python objects, which are not loaded.", "Store booleans, integers or floats.")


def read_labels(arrays: ArrayFile, key: str) -> np.ndarray:
    """Labels as stored: integers or strings (count,), from integers, texts or one-hot rows.

    Raises:
        UnreadableFile: if they are neither.
    """
    labels = _read_plain(arrays, key)
    if labels.ndim == 2 and min(labels.shape) > 1:
        labels = _from_one_hot(labels, key)
    labels = labels.ravel()
    if labels.dtype.kind in "SO" or labels.dtype.kind == "U":
        texts = [_text(item) for item in labels.tolist()]
        if all(isinstance(text, str) for text in texts):
            return np.array(texts)
        if all(isinstance(text, int) for text in texts):
            return np.array(texts, np.int64)
        raise python_objects()
    if labels.dtype.kind not in "buif" or (labels.dtype.kind == "f" and not np.isfinite(labels).all()):
        raise _no_labels(key)
    whole = labels.astype(np.int64)
    if (whole != labels).any():
        raise _no_labels(key)
    return whole


def _text(item: Any) -> Any:
    """A text in NFC, from bytes or str; anything else as it is."""
    item = item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else item
    return nfc(item.strip("\0 \t\r\n")) if isinstance(item, str) else item


def _no_labels(key: str) -> UnreadableFile:
    return UnreadableFile(
        f"Its {key or 'array'} does not hold labels.", "Store one integer, text or one-hot row per grid."
    )


def _from_one_hot(labels: np.ndarray, key: str) -> np.ndarray:
    """The index of the one in each row (N, K)."""
    is_one_hot = labels.dtype.kind in "buif" and ((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all()
    if not is_one_hot:
        raise _no_labels(key)
    return labels.argmax(1)


class _PlainPickle(pickle.Unpickler):
    """Loads pickled lists, dicts, texts and numbers, as in NumPy's arrays of objects, and nothing that runs code."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = ("_reconstruct", "ndarray", "dtype", "scalar")
        if module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray") and name in allowed:
            return super().find_class(module, name)
        raise python_objects()


def _read_plain(arrays: ArrayFile, key: str) -> np.ndarray:
    """A small array whole; one of objects if these are texts, numbers, lists and dicts."""
    shape, dtype = arrays.header(key)
    if math.prod(shape) * max(dtype.itemsize, 1) > MAX_LABEL_BYTES:
        raise _no_labels(key)
    if not dtype.hasobject:
        return arrays.read(key)
    try:
        value = _PlainPickle(io.BytesIO(arrays.read_objects(key))).load()
    except (UnreadableFile, MemoryError):
        raise
    except Exception as error:  # a damaged pickle raises anything
        raise python_objects() from error
    return np.asarray(value, object)


def read_names(arrays: ArrayFile, key: str) -> np.ndarray:
    """Class names, from texts, a dict from number to name, or a dict from name to number."""
    value = _read_plain(arrays, key)
    if value.dtype.kind == "O" and value.ndim == 0 and isinstance(value.item(), dict):
        pairs = {}
        for one, other in value.item().items():
            number, name = (one, other) if isinstance(_text(other), str) else (other, one)
            if not str(number).isdigit() or int(number) > 10**6:
                return np.array([])
            pairs[int(number)] = str(_text(name))
        return np.array([pairs.get(number, f"class_{number}") for number in range(max(pairs, default=-1) + 1)])
    return np.array([str(_text(item)) for item in value.ravel().tolist()])
