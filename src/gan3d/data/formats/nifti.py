"""Voxel grids in NIfTI, a format of medical imaging (https://nifti.nimh.nih.gov), read with nibabel."""

import gzip
import io
import math
import struct
import zlib

import numpy as np

from gan3d.data.formats.axes import MAX_SIDE, too_long
from gan3d.data.formats.binvox import MAX_VOXELS

MAX_UNPACKED = 2**30  # bytes of a decompressed volume
_NIFTI_2 = (struct.pack("<i", 540), struct.pack(">i", 540))


def parse_nifti(content: bytes) -> np.ndarray:
    """Read the array of a NIfTI-1 or NIfTI-2 file, gzipped or not, scaled as its header says, axes as stored.

    Raises:
        ValueError: if the header is broken or claims more than the file holds.
        UnreadableFile: if a side is above MAX_SIDE.
    """
    import nibabel

    if content.startswith(b"\x1f\x8b"):
        content = _gunzip(content)
    kind = nibabel.Nifti2Image if content[:4] in _NIFTI_2 else nibabel.Nifti1Image
    header = kind.header_class.from_fileobj(io.BytesIO(content))
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    if shape and max(shape) > MAX_SIDE:
        raise too_long(shape)
    if not shape or min(shape) < 1 or math.prod(shape) > MAX_VOXELS:
        raise ValueError(f"its header claims the shape {shape}")
    if header.get_data_offset() + math.prod(shape) * dtype.itemsize > len(content):
        raise ValueError(f"it ends before the voxels of the shape {shape} that its header claims")
    return np.asarray(kind.from_bytes(content).dataobj)


def _gunzip(content: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            chunks, total = [], 0
            while total <= MAX_UNPACKED and (chunk := stream.read(1 << 20)):  # one large read would allocate it all
                chunks.append(chunk)
                total += len(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"its compressed data is damaged ({error})") from None
    if total > MAX_UNPACKED:
        raise ValueError("it unpacks to more than 1 GiB")
    return b"".join(chunks)
