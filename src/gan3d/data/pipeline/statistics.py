"""What can be said of a prepared data set in numbers: symmetry, pieces, and which shapes are unlike the others."""

from dataclasses import dataclass

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.voxels import AXES, largest_component_share

MOST = 1000  # shapes a class that are looked at, evenly spaced over the data set
FINEST = 32  # resolution at which they are looked at
COARSE = 16  # resolution at which halves of a class are compared
ALIKE = 0.93  # share of the overlap of two halves that is left when one of them may be flipped
ENOUGH = 200  # shapes of a class that are looked at one by one where two axes will do
WHOLE = 0.999  # share of the voxels in the largest piece from which on a shape is one piece


@dataclass(frozen=True)
class Statistics:
    """Of the shapes in `rows`, at `resolution`; each array has one row a shape."""

    resolution: int
    rows: np.ndarray
    labels: np.ndarray
    occupancy: np.ndarray  # share of the grid
    largest_piece: np.ndarray  # share of the occupied voxels
    symmetry: np.ndarray  # (N, 3): overlap (IoU) with the mirror image along x, y, z
    extent: np.ndarray  # (N, 3): lengths of the bounding box, as shares of the grid

    def mean_symmetry(self, label: int) -> np.ndarray:
        """Mean overlap along x, y, z of one class, (3,)."""
        return self.symmetry[self.labels == label].mean(0)

    def one_piece(self, label: int) -> float:
        """Share of a class's shapes that are one 26-connected piece."""
        return float((self.largest_piece[self.labels == label] > WHOLE).mean())


def measure(data: VoxelDataset) -> Statistics:
    """Look at up to MOST shapes of each class."""
    resolution = min(FINEST, data.summary["resolution"])
    members = [np.flatnonzero(data.labels == label) for label in range(len(data.classes))]
    rows = np.concatenate([_spaced(one, MOST) for one in members])
    parts: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(rows), 256):
        voxels = data.voxels(resolution, rows[start : start + 256])
        parts.append((voxels.mean((1, 2, 3)), largest_component_share(voxels), _symmetry(voxels), _extent(voxels)))
    occupancy, largest, symmetry, extent = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Statistics(resolution, rows, data.labels[rows], occupancy, largest, symmetry, extent)


def _spaced(rows: np.ndarray, most: int) -> np.ndarray:
    """Up to `most` of the rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]


def _symmetry(voxels: np.ndarray) -> np.ndarray:
    """Overlap of each shape with its mirror image along each axis, about the middle of its bounding box."""
    result = np.ones((len(voxels), 3))
    for axis in range(3):
        others = tuple({1, 2, 3} - {axis + 1})
        along = np.asarray(voxels.any(others))
        side = voxels.shape[1]
        first, last = along.argmax(1), side - 1 - along[:, ::-1].argmax(1)
        for i, shape in enumerate(voxels):
            box = np.take(shape, range(first[i], last[i] + 1), axis)
            mirrored = np.flip(box, axis)
            result[i, axis] = (box & mirrored).sum() / max((box | mirrored).sum(), 1)
    return result


def _extent(voxels: np.ndarray) -> np.ndarray:
    side = voxels.shape[1]
    result = np.zeros((len(voxels), 3))
    for axis in range(3):
        along = np.asarray(voxels.any(tuple({1, 2, 3} - {axis + 1})))
        result[:, axis] = (side - along[:, ::-1].argmax(1) - along.argmax(1)) / side
    return result


def mirror_axes(data: VoxelDataset) -> dict[str, str]:
    """The axis along which each class may be flipped, of those beside up, or none: one half of its shapes, flipped, is
    like the other half, on average; where that holds for two, the one along which single shapes are more symmetric.

    Single shapes need not be symmetric: desks with drawers on the left may be flipped where others have them on the
    right. Classes of one source may face in different directions: in ModelNet10 chairs are symmetric along x, sofas
    along y.
    """
    resolution = min(COARSE, data.summary["resolution"])
    return {name: _mirror_axis(data, resolution, _spaced(data.select("train", name), MOST)) for name in data.classes}


def _mirror_axis(data: VoxelDataset, resolution: int, rows: np.ndarray) -> str:
    if len(rows) < 2:
        return "none"
    one, other = (data.voxels(resolution, rows[start::2]).mean(0) for start in (0, 1))

    def alike(flipped: np.ndarray) -> float:
        return float(np.minimum(one, flipped).sum() / np.maximum(one, flipped).sum())

    able = [i for i, axis in enumerate(AXES) if axis != data.up]
    able = [i for i in able if alike(np.flip(other, i)) >= ALIKE * alike(other)]
    if not able:
        return "none"
    own = _symmetry(data.voxels(resolution, _spaced(rows, ENOUGH)))
    return AXES[max(able, key=lambda i: own[:, i].mean())]


def strangest(found: Statistics, count: int, up: str) -> list[tuple[int, str]]:
    """(row of the data set, what is strange) of the shapes farthest from the middle of their class, in that order.

    The distance is in medians of the absolute deviations from the median, of the one property that is farthest off.
    """
    upright = AXES.index(up)
    wide, deep = (axis for axis in range(3) if axis != upright)
    properties = {
        "full": np.log(found.occupancy + 1e-6),
        "in pieces": -found.largest_piece,
        "wide": found.extent[:, wide],
        "tall": found.extent[:, upright],
        "deep": found.extent[:, deep],
    }
    opposite = {"full": "empty", "in pieces": "whole", "wide": "narrow", "tall": "low", "deep": "flat"}
    distance = np.zeros((len(found.rows), len(properties)))
    sign = np.zeros_like(distance)
    for label in np.unique(found.labels):
        members = found.labels == label
        for column, values in enumerate(properties.values()):
            middle = np.median(values[members])
            spread = max(float(np.median(np.abs(values[members] - middle))), 0.02)
            distance[members, column] = np.abs(values[members] - middle) / spread
            sign[members, column] = np.sign(values[members] - middle)
    names = list(properties)
    order = np.argsort(-distance.max(1), kind="stable")[:count]
    chosen = []
    for i in order:
        column = int(distance[i].argmax())
        name = names[column] if sign[i, column] > 0 else opposite[names[column]]
        chosen.append((int(found.rows[i]), f"{name}, {distance[i, column]:.0f} times"))
    return chosen
