"""MagicaVoxel's .vox: models of up to 256³ voxels, and a scene that rotates and places them.

Format: https://github.com/ephtracy/voxel-model. z points up. Hidden nodes count; an animation gives its first frame.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gan3d.data.formats.binvox import MAX_VOXELS

MAX_DEPTH = 64  # nested nodes, so that a cycle ends


@dataclass(frozen=True)
class Model:
    """Occupied cells, integers (N, 3), in a box of `size` cells with the lowest cell `low`."""

    cells: np.ndarray
    size: np.ndarray
    low: np.ndarray


def decode(content: bytes) -> np.ndarray:
    """Decode a .vox file: all models as the scene places them, booleans (X, Y, Z).

    A single model keeps the empty space of its box.

    Raises:
        ValueError: if the file is broken, or the scene spans more than MAX_VOXELS.
    """
    if content[:4] != b"VOX ":
        raise ValueError("it does not start with VOX")
    models: list[Model] = []
    nodes: dict[int, tuple[bytes, bytes]] = {}
    size = (0, 0, 0)
    try:
        for name, body in _chunks(content):
            if name == b"SIZE":
                size = struct.unpack_from("<3i", body)
            elif name == b"XYZI":
                models.append(_parse_model(body, size))
            elif name in (b"nTRN", b"nGRP", b"nSHP"):
                nodes[struct.unpack_from("<i", body)[0]] = (name, body)
        placed = list(_place_models(nodes, 0, models)) if 0 in nodes else [models[0]]
    except (struct.error, IndexError, KeyError):
        raise ValueError("it is truncated, or refers to a part that is missing") from None
    return _merge(placed)


def encode(voxels: np.ndarray) -> bytes:
    """Encode booleans (X, Y, Z) of at most 256³ cells as a .vox file with one model, the inverse of `decode`."""
    cells = np.argwhere(voxels)
    points = np.concatenate([cells, np.ones((len(cells), 1), int)], 1).astype(np.uint8).tobytes()
    chunks = _chunk(b"SIZE", struct.pack("<3i", *voxels.shape))
    chunks += _chunk(b"XYZI", struct.pack("<i", len(cells)) + points)
    return b"VOX " + struct.pack("<i", 150) + b"MAIN" + struct.pack("<ii", 0, len(chunks)) + chunks


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<ii", len(body), 0) + body


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each chunk; the children of MAIN follow it."""
    start = 8
    while start < len(content):
        name = content[start : start + 4]
        length, _ = struct.unpack_from("<ii", content, start + 4)
        if length < 0 or start + 12 + length > len(content):
            raise ValueError("a chunk claims more bytes than the file holds")
        yield name, content[start + 12 : start + 12 + length]
        start += 12 + length


def _parse_model(body: bytes, size: tuple[int, ...]) -> Model:
    (count,) = struct.unpack_from("<i", body)
    if not 0 <= 4 * count <= len(body) - 4:
        raise ValueError(f"a model claims {count} voxels, more than it holds")
    if not all(1 <= length <= 256 for length in size):
        raise ValueError(f"a model claims the size {size}, outside 1 to 256")
    cells = np.frombuffer(body, np.uint8, 4 * count, 4).reshape(-1, 4)[:, :3].astype(np.int64)
    if (cells >= np.array(size)).any():
        raise ValueError("a voxel lies outside its model")
    return Model(cells, np.array(size), np.zeros(3, int))


def _place_models(
    nodes: dict[int, tuple[bytes, bytes]], node: int, models: list[Model], depth: int = 0
) -> Iterator[Model]:
    """The models below a node, in its frame: cells are relative to the pivot, `size` is that of the rotated box."""
    if depth > MAX_DEPTH:
        raise ValueError(f"its scene is nested more than {MAX_DEPTH} levels deep")
    name, body = nodes[node]
    _, at = _parse_dictionary(body, 4)
    if name == b"nTRN":
        child, _, _, frames = struct.unpack_from("<4i", body, at)
        frame = _parse_dictionary(body, at + 16)[0] if frames > 0 else {}
        rotation = _parse_rotation(int(frame.get(b"_r", b"4")))
        translation = np.array((frame.get(b"_t", b"0 0 0")).split(), int)
        for model in _place_models(nodes, child, models, depth + 1):
            ends = np.stack([model.low, model.low + model.size - 1])
            cells, ends = (_rotate(points, rotation) + translation for points in (model.cells, ends))
            yield Model(cells, np.abs(rotation) @ model.size, ends.min(0))
    elif name == b"nGRP":
        (count,) = struct.unpack_from("<i", body, at)
        for index in range(count):
            yield from _place_models(nodes, struct.unpack_from("<i", body, at + 4 + 4 * index)[0], models, depth + 1)
    else:
        _, index = struct.unpack_from("<2i", body, at)
        if index < 0:
            raise ValueError("its scene refers to a model that is missing")
        model = models[index]
        yield Model(model.cells - model.size // 2, model.size, -(model.size // 2))


def _rotate(cells: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Rotate cells (N, 3) by their centres, so that they stay on the grid."""
    return np.floor((cells + 0.5) @ rotation.T).astype(np.int64)


def _parse_dictionary(body: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    """The dictionary at an offset, and the offset after it."""
    (count,) = struct.unpack_from("<i", body, at)
    at += 4
    strings = []
    for _ in range(2 * count):
        (length,) = struct.unpack_from("<i", body, at)
        if length < 0:
            raise ValueError("a string has a negative length")
        strings.append(body[at + 4 : at + 4 + length])
        at += 4 + length
    return dict(zip(strings[::2], strings[1::2], strict=True)), at


def _parse_rotation(code: int) -> np.ndarray:
    """Matrix (3, 3) of a rotation byte: bits 0-1 and 2-3 are the nonzero columns of rows 0 and 1, bits 4-6 signs."""
    first, second = code & 3, code >> 2 & 3
    if first > 2 or second > 2 or first == second:
        raise ValueError(f"a rotation has the invalid code {code}")
    matrix = np.zeros((3, 3), int)
    for row, column in enumerate((first, second, 3 - first - second)):
        matrix[row, column] = -1 if code >> (4 + row) & 1 else 1
    return matrix


def _merge(placed: list[Model]) -> np.ndarray:
    cells = np.concatenate([model.cells for model in placed])
    if not len(cells):
        return np.zeros((1, 1, 1), bool)
    low, side = cells.min(0), np.ptp(cells, 0) + 1
    if len(placed) == 1:
        low, side = placed[0].low, placed[0].size
    if math.prod(int(length) for length in side) > MAX_VOXELS:
        raise ValueError(f"its models span {' x '.join(map(str, side))} voxels, more than {MAX_VOXELS}")
    grid = np.zeros(tuple(side), bool)
    grid[tuple((cells - low).T)] = True
    return grid
