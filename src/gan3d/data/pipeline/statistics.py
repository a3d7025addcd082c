"""Statistics of a prepared data set: symmetry, connectivity, proportions, and outliers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.voxels import AXES, asymmetry, largest_component_share

SAMPLE_SIZE = 1000  # shapes per class that are measured, evenly spaced over the data set
MAX_RESOLUTION = 32  # at which shapes are measured
MIRROR_RESOLUTION = 16  # at which the two halves of a class are compared
MIN_MIRROR_RATIO = 0.93  # of the overlap of two halves that must remain after one of them is flipped
SYMMETRY_SAMPLE_SIZE = 200  # shapes of a class whose own symmetry decides between two axes
NEARLY_SYMMETRIC = 0.05  # differing voxels per occupied one, below which a shape counts as symmetric
CONNECTED = 0.999  # share of the voxels in the largest component from which a shape counts as connected


@dataclass(frozen=True)
class Statistics:
    """Measurements of N shapes; each array has one row per shape.

    Args:
        resolution: at which they were measured.
        rows: in the data set.
        labels: class indices.
        occupancy: share of the grid.
        largest_component: share of the occupied voxels.
        symmetry: (N, 3), overlap (IoU) with the mirror image along x, y, z.
        extent: (N, 3), lengths of the bounding box as shares of the grid.
    """

    resolution: int
    rows: np.ndarray
    labels: np.ndarray
    occupancy: np.ndarray
    largest_component: np.ndarray
    symmetry: np.ndarray
    extent: np.ndarray

    def mean_symmetry(self, label: int) -> np.ndarray:
        """Mean overlap of a class with its mirror images along x, y, z, (3,)."""
        return self.symmetry[self.labels == label].mean(0)

    def connected_share(self, label: int | None = None) -> float:
        """Share of the shapes of a class, or of all, that are 26-connected."""
        chosen = slice(None) if label is None else self.labels == label
        return float((self.largest_component[chosen] > CONNECTED).mean())


def measure(data: VoxelDataset) -> Statistics:
    """Measure up to SAMPLE_SIZE shapes of each class."""
    resolution = min(MAX_RESOLUTION, data.summary["resolution"])
    members = [np.flatnonzero(data.labels == label) for label in range(len(data.classes))]
    rows = np.concatenate([evenly_spaced(of_class, SAMPLE_SIZE) for of_class in members])
    batches: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(rows), 256):
        voxels = data.voxels(resolution, rows[start : start + 256])
        batches.append((voxels.mean((1, 2, 3)), largest_component_share(voxels), _symmetry(voxels), _extent(voxels)))
    occupancy, largest, symmetry, extent = (np.concatenate(column) for column in zip(*batches, strict=True))
    return Statistics(resolution, rows, data.labels[rows], occupancy, largest, symmetry, extent)


def evenly_spaced(rows: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    """Up to `count` of the rows."""
    return np.asarray(rows)[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def _symmetry(voxels: np.ndarray) -> np.ndarray:
    """IoU of each shape with its mirror image along each axis, about the middle of its bounding box, (N, 3)."""
    result = np.ones((len(voxels), 3))
    for axis in range(3):
        others = tuple({1, 2, 3} - {axis + 1})
        profile = np.asarray(voxels.any(others))
        side = voxels.shape[1]
        first, last = profile.argmax(1), side - 1 - profile[:, ::-1].argmax(1)
        for i, shape in enumerate(voxels):
            box = np.take(shape, range(first[i], last[i] + 1), axis)
            mirrored = np.flip(box, axis)
            result[i, axis] = (box & mirrored).sum() / max((box | mirrored).sum(), 1)
    return result


def _extent(voxels: np.ndarray) -> np.ndarray:
    """Lengths of the bounding box of each shape, as shares of the grid, (N, 3)."""
    side = voxels.shape[1]
    result = np.zeros((len(voxels), 3))
    for axis in range(3):
        profile = np.asarray(voxels.any(tuple({1, 2, 3} - {axis + 1})))
        result[:, axis] = (side - profile[:, ::-1].argmax(1) - profile.argmax(1)) / side
    return result


def measure_mirror_axes(data: VoxelDataset) -> dict[str, str]:
    """The axis along which each class may be flipped, from its training shapes; see `measure_mirror_axis`."""
    load = partial(data.voxels, min(MIRROR_RESOLUTION, data.summary["resolution"]))
    return {name: measure_mirror_axis(load, data.select("train", name), data.up) for name in data.classes}


def measure_mirror_axis(load: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, up: str) -> str:
    """The horizontal axis along which the shapes of a class may be flipped, or `none`.

    A class may be flipped along an axis if one half of its shapes, flipped, is on average like the other half. If that
    holds for two axes, the one along which single shapes are more symmetric is chosen. Single shapes need not be
    symmetric: desks with drawers on the left may be flipped if others have them on the right. Classes of one source
    may face in different directions: in ModelNet10, chairs are symmetric along x, sofas along y.

    Args:
        load: gives the voxels (n, R, R, R) of rows (n,).
        rows: of the class.
        up: the axis that points up, which is never chosen.
    """
    rows = evenly_spaced(rows, SAMPLE_SIZE)
    if len(rows) < 2:
        return "none"
    one, other = (load(rows[start::2]).mean(0) for start in (0, 1))

    def overlap(flipped: np.ndarray) -> float:
        return float(np.minimum(one, flipped).sum() / np.maximum(one, flipped).sum())

    candidates = [i for i, axis in enumerate(AXES) if axis != up]
    candidates = [i for i in candidates if overlap(np.flip(other, i)) >= MIN_MIRROR_RATIO * overlap(other)]
    if not candidates:
        return "none"
    symmetry = _symmetry(load(evenly_spaced(rows, SYMMETRY_SAMPLE_SIZE)))
    return AXES[max(candidates, key=lambda i: symmetry[:, i].mean())]


def symmetric_share(load: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, mirror: str) -> float:
    """Share of the shapes of a class that are symmetric along its mirror axis, or nearly so; 0 for `none`.

    Args:
        load: gives the voxels (n, R, R, R) of rows (n,).
        rows: of the class.
        mirror: the axis, see `measure_mirror_axis`.
    """
    if mirror == "none":
        return 0.0
    voxels = load(evenly_spaced(rows, SAMPLE_SIZE))
    return round(float((asymmetry(voxels, 1 + AXES.index(mirror)) < NEARLY_SYMMETRIC).mean()), 4)


def find_outliers(found: Statistics, count: int, up: str) -> list[tuple[int, str]]:
    """The shapes that differ most from their class, in that order.

    The distance of a property is its deviation from the median of the class, in median absolute deviations; a shape
    counts by its largest distance.

    Returns:
        (row in the data set, what is unusual) per shape.
    """
    upright = AXES.index(up)
    wide, deep = (axis for axis in range(3) if axis != upright)
    properties = {
        "full": np.log(found.occupancy + 1e-6),
        "in pieces": -found.largest_component,
        "wide": found.extent[:, wide],
        "tall": found.extent[:, upright],
        "deep": found.extent[:, deep],
    }
    opposite = {"full": "empty", "in pieces": "in one piece", "wide": "narrow", "tall": "low", "deep": "flat"}
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
    outliers = []
    for i in order:
        column = int(distance[i].argmax())
        name = names[column] if sign[i, column] > 0 else opposite[names[column]]
        outliers.append((int(found.rows[i]), f"{name}, {distance[i, column]:.0f} times"))
    return outliers
