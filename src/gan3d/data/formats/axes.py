"""The axes of an array of grids, settled by evidence: axes of length 1, plausible sides, the number of labels."""

import math
from dataclasses import dataclass

import numpy as np

from gan3d.data.formats.binvox import MAX_VOXELS
from gan3d.data.formats.unreadable import UnreadableFile
from gan3d.voxels import RESOLUTIONS

MAX_SIDE = round(MAX_VOXELS ** (1 / 3))  # 512
_MIN_FLAT = 4**3  # shortest row of a flattened grid
_ADVICE = "Store an array `voxels` of numbers with the shape (N, X, Y, Z), one grid per row."


@dataclass(frozen=True)
class Axes:
    """How an array holds grids.

    Args:
        count: number of grids.
        grid: lengths of one grid, (X, Y, Z).
        is_single: the whole array is one grid, else its first axis counts grids.
    """

    count: int
    grid: tuple[int, ...]
    is_single: bool

    def __str__(self) -> str:
        sides = " x ".join(map(str, self.grid))
        return f"one grid of {sides}" if self.is_single else f"{self.count} grids of {sides}"


def find_axes(
    shape: tuple[int, ...], dtype: np.dtype, labels: int | None = None, what: str = "array", flat: bool = True
) -> Axes:
    """Find the axes of an array.

    (X, Y, Z) and (X, Y, Z, 1) are one grid; (1, X, Y, Z), (N, X, Y, Z), (N, X, Y, Z, 1) and (N, 1, X, Y, Z) are N
    grids, and so is (N, R³), which is flattened.

    Args:
        shape: of the array.
        dtype: of its values.
        labels: number of labels beside it, if known.
        what: its name, for the error.
        flat: whether (N, R³) is accepted.

    Raises:
        UnreadableFile: if there is no reading as grids, or no evidence for one.
    """
    if dtype.kind not in "buif":
        raise UnreadableFile(f"Its {what} has the type {dtype}.", _ADVICE)
    if 0 in shape or min(shape, default=0) < 0:
        raise UnreadableFile(f"Its {what} has the shape {shape}.", _ADVICE)
    if _is_points(shape, dtype, labels):
        raise UnreadableFile(
            f"Its {what} has the shape {shape}, as points have: {shape[-2]} points of {shape[-1]} numbers.",
            "Point clouds enclose no volume: give meshes, or voxelise the points first.",
        )
    if flat and (len(shape) == 2 or (len(shape) == 3 and 1 in shape[1:] and max(shape[1:]) > MAX_SIDE)):
        return _flattened((shape[0], max(shape[1:])), what)
    long = [length for length in shape if length > 1]
    if len(shape) == 3:
        axes = Axes(1, shape, True)
    elif len(shape) == 4 and shape[-1] == 1 and shape[0] > 1:
        axes = Axes(1, shape[:3], True)
    elif len(shape) > 3:
        inner = tuple(length for length in shape[1:] if length > 1) if len(shape) > 4 else shape[1:]
        if len(inner) < 3 <= len(shape[1:]):
            inner = _without_channel(shape[1:])
        axes = Axes(shape[0], inner, False)
    else:
        raise UnreadableFile(f"Its {what} has the shape {shape}.", _ADVICE)
    if axes.is_single and labels not in (None, 1) and labels == shape[0]:
        raise UnreadableFile(
            f"Its {what} has the shape {shape} and {labels} labels: each of its rows is flat, not a grid.", _ADVICE
        )
    _check_grid(axes, shape, what, len(long))
    return axes


def _is_points(shape: tuple[int, ...], dtype: np.dtype, labels: int | None) -> bool:
    """Whether floats (N, P, 3), (P, 3) or with normals are coordinates."""
    if dtype.kind != "f" or len(shape) not in (2, 3) or not 2 <= shape[-1] <= 9:
        return False
    return shape[-2] >= 16 * shape[-1] or (labels is not None and labels == shape[0] and len(shape) == 3)


def _flattened(shape: tuple[int, ...], what: str) -> Axes:
    side = round(shape[1] ** (1 / 3))
    if shape[1] < _MIN_FLAT or side**3 != shape[1] or side > RESOLUTIONS[-1]:
        raise UnreadableFile(
            f"Its {what} has the shape {shape}, and {shape[1]} is no cube of a side from 4 to {RESOLUTIONS[-1]}.",
            _ADVICE,
        )
    return Axes(shape[0], (side,) * 3, False)


def _without_channel(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The three axes of a row, where a grid itself may have a side of 1."""
    if len(shape) > 3 and shape[-1] == 1:
        return shape[:3]
    return shape[-3:]


def _check_grid(axes: Axes, shape: tuple[int, ...], what: str, long: int) -> None:
    grid = axes.grid
    if len(grid) > 3 or (not axes.is_single and len(shape) == 4 and _has_channels(shape)):
        raise UnreadableFile(
            f"Its {what} has the shape {shape}: its last axis holds channels, such as colours, or its rows are flat"
            " pictures.",
            "Store occupancy alone, with the shape (N, X, Y, Z).",
        )
    if not axes.is_single and len(shape) == 4 and 1 in grid and max(grid) > 1:
        raise UnreadableFile(f"Its {what} has the shape {shape}: each row is a flat picture, not a grid.", _ADVICE)
    if max(grid) > MAX_SIDE:
        raise too_long(grid, f"Its {what} has the shape {shape}")
    if math.prod(grid) > MAX_VOXELS:
        raise UnreadableFile(
            f"Its {what} has the shape {shape}.", f"Store at most {MAX_VOXELS} voxels per grid (512³)."
        )


def _has_channels(shape: tuple[int, ...]) -> bool:
    """Whether (A, B, C, D) is one grid with channels, or a stack of colour pictures."""
    is_cube = shape[0] == shape[1] == shape[2]
    return shape[1] == shape[2] >= 16 and (shape[3] == 3 or (is_cube and shape[3] in (2, 4)))


def too_long(grid: tuple[int, ...], subject: str = "") -> UnreadableFile:
    """The error for a grid whose longest side is above MAX_SIDE."""
    side = 1 << (max(grid) - 1).bit_length()
    subject = subject or f"Its grid has the shape {grid}"
    return UnreadableFile(
        f"{subject}: its longest side of {max(grid)} voxels would be padded to {side}³.",
        f"Crop it, or resample it to at most {MAX_SIDE} voxels per side.",
    )
