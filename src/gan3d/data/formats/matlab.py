"""MATLAB files of version 5 to 7.3: one grid from their variables.

Format: https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf. Version 5 is parsed here because SciPy
allocates as much memory as a damaged header claims; version 4 has no arrays of three axes.
"""

import io
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from gan3d.data.formats.binvox import MAX_VOXELS
from gan3d.data.formats.names import parse_name
from gan3d.data.formats.unreadable import UnreadableFile

KEYS = ("instance", "voxel", "voxels")

_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC = range(6, 16)  # array classes double to uint64; the others are strings, cells and structures
_HEADER_BYTES = 4096  # enough for the flags, lengths and name of a variable

Shapes = dict[str, tuple[int, ...]]
Load = Callable[[str], np.ndarray]


class _Variable(NamedTuple):
    name: str
    shape: tuple[int, ...]
    data: int  # offset of the values in its body


def parse_mat(content: bytes) -> np.ndarray:
    """The grid of a MATLAB file: `instance`, `voxel` or `voxels`, else the most tellingly named array of three axes.

    Returns:
        A numeric array (X, Y, Z).

    Raises:
        UnreadableFile: if there is no grid, or more than one candidate.
        ValueError: if the file is broken, or the grid larger than MAX_VOXELS.
    """
    shapes, load = _hdf5(content) if b"MATLAB 7.3" in content[:128] else _level_5(content)
    usual = [name for key in KEYS for name in shapes if name.lower() == key]
    others = [name for name, shape in shapes.items() if sum(length > 1 for length in shape) == 3]
    telling = {name: parse_name(name).tier for name in others if parse_name(name).role == "grids"}
    best = [name for name in telling if telling[name] == min(telling.values())]
    names = usual or (best if len(best) == 1 else others)
    if len(names) != 1 and not usual:
        content_names = ", ".join(shapes)[:80] or "nothing"
        raise UnreadableFile(
            f"It holds {content_names}, and none is recognised as a voxel grid.",
            f"Name the grid one of {', '.join(KEYS)}.",
        )
    if math.prod(shapes[names[0]]) > MAX_VOXELS:
        raise ValueError(f"its {names[0]} has the shape {shapes[names[0]]}")
    return load(names[0])


def _level_5(content: bytes) -> tuple[Shapes, Load]:
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise ValueError("it is not a MATLAB file of version 5 or later")
    bodies = {}
    for body in _bodies(content, order):
        variable = _parse_variable(body(_HEADER_BYTES), order)
        bodies[variable.name] = variable, body

    def load(name: str) -> np.ndarray:
        variable, body = bodies[name]
        kind, values, _ = _element(body(variable.data + 16 + 8 * math.prod(variable.shape)), variable.data, order)
        if kind not in _TYPES:
            raise ValueError(f"its {name} is stored as the type {kind}")
        flat = np.frombuffer(values, order + _TYPES[kind], len(values) // np.dtype(_TYPES[kind]).itemsize)
        return flat.reshape(variable.shape, order="F")

    return {name: variable.shape for name, (variable, _) in bodies.items()}, load


def _bodies(content: bytes, order: str) -> Iterator[Callable[[int], bytes]]:
    """For each variable, a function that returns up to a number of bytes of its body."""
    at = 128
    while at + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}2I", content, at)
        start, at = at + 8, at + 8 + size
        if at > len(content):
            raise ValueError("a variable claims more bytes than the file holds")
        if kind == _COMPRESSED:
            yield partial(_decompress, content[start:at])
        elif kind == _MATRIX:
            yield partial(_head, content[start:at])


def _head(body: bytes, limit: int) -> bytes:
    return body[:limit]


def _decompress(compressed: bytes, limit: int) -> bytes:
    return zlib.decompressobj().decompress(compressed, 8 + limit)[8:]


def _parse_variable(head: bytes, order: str) -> _Variable:
    _, flags, at = _element(head, 0, order)
    _, lengths, at = _element(head, at, order)
    _, name, at = _element(head, at, order)
    shape = tuple(int(length) for length in np.frombuffer(lengths, f"{order}i4"))
    if len(flags) < 8 or min(shape, default=0) < 0:
        raise ValueError("the header of a variable is damaged")
    is_numeric = struct.unpack_from(f"{order}I", flags)[0] & 0xFF in _NUMERIC
    return _Variable(name.decode("latin-1"), shape if is_numeric else (), at)


def _element(body: bytes, at: int, order: str) -> tuple[int, bytes, int]:
    """Type and bytes of the element at an offset, and the offset of the next element."""
    if at + 8 > len(body):
        raise ValueError("a variable is truncated")
    kind, size = struct.unpack_from(f"{order}2I", body, at)
    if kind >> 16:  # a small element: up to four bytes in the same word as the size
        return kind & 0xFFFF, body[at + 4 : at + 4 + min(kind >> 16, 4)], at + 8
    start = at + 8
    if start + size > len(body):
        raise ValueError("a variable claims more bytes than the file holds")
    return kind, body[start : start + size], start + size + -size % 8


def _hdf5(content: bytes) -> tuple[Shapes, Load]:
    """Variables of version 7.3, which is HDF5 after 512 bytes; axes are reversed, since MATLAB is column-major."""
    import h5py

    root = h5py.File(io.BytesIO(content), "r")
    shapes = {
        name: tuple(reversed(item.shape or ()))
        for name in root
        if isinstance(root.get(name, getlink=True), h5py.HardLink)
        and isinstance(item := root[name], h5py.Dataset)
        and not item.is_virtual
        and item.external is None
    }
    return shapes, lambda name: np.asarray(root[name][()]).T
