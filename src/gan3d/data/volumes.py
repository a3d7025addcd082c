"""Voxel grids in the formats of MATLAB and of medicine (NIfTI)."""

import gzip
import io
import math
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from gan3d.data.binvox import LIMIT
from gan3d.data.unreadable import Unreadable

MAT_KEYS = ("instance", "voxel", "voxels")

UNPACKED = 2**30  # bytes that a compressed volume may unpack to
_NIFTI_2 = (struct.pack("<i", 540), struct.pack(">i", 540))


def parse_nifti(content: bytes) -> np.ndarray:
    """The array of a NIfTI-1 or -2 file, gzipped or not, scaled as its header says; axes as they are stored.

    Raises:
        ValueError: for a header that is broken, or that claims more than the file holds.
    """
    import nibabel

    if content.startswith(b"\x1f\x8b"):
        content = _gunzip(content)
    kind = nibabel.Nifti2Image if content[:4] in _NIFTI_2 else nibabel.Nifti1Image
    header = kind.header_class.from_fileobj(io.BytesIO(content))
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    if not shape or min(shape) < 1 or math.prod(shape) > LIMIT:
        raise ValueError(f"its header claims the shape {shape}")
    if header.get_data_offset() + math.prod(shape) * dtype.itemsize > len(content):
        raise ValueError(f"it ends before the voxels of the shape {shape} that its header claims")
    return np.asarray(kind.from_bytes(content).dataobj)


def _gunzip(content: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            parts, total = [], 0
            while total <= UNPACKED and (part := stream.read(1 << 20)):  # one large read would take its length at once
                parts.append(part)
                total += len(part)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"its compression is damaged ({error})") from None
    if total > UNPACKED:
        raise ValueError("it unpacks to more than 1 GiB")
    return b"".join(parts)


def parse_mat(content: bytes) -> np.ndarray:
    """The grid of a MATLAB file of version 4, 5 or 7.3: `instance`, `voxel` or `voxels`, or else the only grid in it.

    Raises:
        Unreadable: when there is no grid, or more than one that could be meant.
        ValueError: for a broken file, or a grid of more than LIMIT voxels.
    """
    shapes, load = _mat_7_3(content) if b"MATLAB 7.3" in content[:128] else _mat_5(content)
    usual = [name for key in MAT_KEYS for name in shapes if name.lower() == key]
    others = [name for name, shape in shapes.items() if sum(length > 1 for length in shape) == 3]
    names = usual or others
    if not usual and len(others) != 1:
        held = ", ".join(shapes)[:80] or "nothing"
        raise Unreadable(f"It holds {held}, no voxel grid.", f"Name the grid one of {', '.join(MAT_KEYS)}.")
    if math.prod(shapes[names[0]]) > LIMIT:
        raise ValueError(f"its {names[0]} has the shape {shapes[names[0]]}")
    return load(names[0])


Shapes = dict[str, tuple[int, ...]]
Load = Callable[[str], np.ndarray]


def _mat_5(content: bytes) -> tuple[Shapes, Load]:
    from scipy import io as matlab

    def stream() -> Any:
        return io.BytesIO(content)

    shapes = {name: tuple(shape) for name, shape, _ in matlab.whosmat(stream())}
    return shapes, lambda name: np.asarray(matlab.loadmat(stream(), variable_names=[name])[name])


def _mat_7_3(content: bytes) -> tuple[Shapes, Load]:
    """HDF5 behind a head of 512 bytes; the axes are in the order of Fortran, so that they come the other way round."""
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
