"""Exact all-pairs squared Chamfer distance of voxel shapes.

CD(A, B) = mean over a in A of d(a, B)² + mean over b in B of d(b, A)², where A and B are the centres of the surface
voxels in a cube of edge 1. With S the 0/1 surface indicators and E the squared distances to the surface in voxels, both
(R³, N), the sums of all pairs are the matrix product SᵀE. Few voxels are surface, so S is sparse, and the product of
the sparse matrix takes a fraction of the time of the dense one. Its terms are integers: float32 is exact as long as no
sum reaches 2²⁴, and beyond that float64 takes its place.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from gan3d.voxels import largest_component_share, surface_voxels

EMPTY_DISTANCE = 6.0  # from an empty shape to any other: the squared diagonal of the cube, both ways
_BLOCK_BYTES = 2**20  # of one working array of the distance transform: it stays in the cache
_ROWS, _COLUMNS = 2**13, 64  # voxels and shapes of a product: its distances stay in the cache
_STREAM_BYTES = 2**28  # of the distances that `closest` holds at once


@dataclass(frozen=True, eq=False)
class Prepared:
    """Shapes made ready for distances: 3 bytes a voxel.

    voxels: booleans (N, R, R, R); surface: booleans (R³, N); squared: uint16 (R³, N), squared distance of each voxel's
    centre to the closest surface voxel in units of the voxel's edge (of an empty shape: 3 (R - 1)²).
    """

    voxels: np.ndarray
    surface: np.ndarray
    squared: np.ndarray

    def __len__(self) -> int:
        return len(self.voxels)

    @property
    def resolution(self) -> int:
        """Voxels along an edge."""
        return self.voxels.shape[1]

    @cached_property
    def sizes(self) -> np.ndarray:
        """Number of surface voxels of each shape, (N,) int64; 0 means that the shape is empty."""
        return self.surface.sum(0, dtype=np.int64)

    @cached_property
    def within(self) -> np.ndarray:
        """Distances among these shapes themselves, (N, N) float64, computed once."""
        return distances(self, self)

    @cached_property
    def pieces(self) -> np.ndarray:
        """Share of each shape's voxels in its largest piece, (N,)."""
        return largest_component_share(self.voxels)

    @cached_property
    def shares(self) -> np.ndarray:
        """Share of the grid that each shape occupies, (N,)."""
        return self.voxels.mean((1, 2, 3))

    def first(self, count: int) -> "Prepared":
        """The first `count` shapes, without computing anything again."""
        return Prepared(self.voxels[:count], self.surface[:, :count], self.squared[:, :count])


def squared_distances(surface: np.ndarray) -> np.ndarray:
    """Exact squared Euclidean distance transform of shapes that lie along the last axis, which is vectorised.

    Args:
        surface: booleans (R, R, R, n), R at most 128.

    Returns:
        uint16 (R, R, R, n), in squared voxels; 3 (R - 1)² all over where a shape is empty. One separable pass an axis:
        D(i) = min over j of f(j) + (i - j)² (Felzenszwalb and Huttenlocher 2012, equation 2).
    """
    side = surface.shape[0]
    far = 3 * (side - 1) ** 2  # no true distance is greater, and one pass more still fits: 4 · 127² < 2¹⁶
    squared = np.where(surface, np.uint16(0), np.uint16(far))
    spare = np.empty_like(squared)
    for axis in range(3):
        source = np.moveaxis(squared.copy(), axis, 0)
        target, sums = np.moveaxis(squared, axis, 0), np.moveaxis(spare, axis, 0)
        worst = int(target.max())
        for step in range(1, side):
            if step * step >= worst:  # nothing can come closer from so far away
                break
            np.add(source, np.uint16(step * step), out=sums)
            np.minimum(target[step:], sums[:-step], out=target[step:])
            np.minimum(target[:-step], sums[step:], out=target[:-step])
    return squared


def prepare(voxels: np.ndarray) -> Prepared:
    """Surfaces and distance transforms of booleans (N, R, R, R), R at most 128, on all cores."""
    count, side = len(voxels), voxels.shape[1]
    surface = np.empty((side**3, count), bool)
    squared = np.empty((side**3, count), np.uint16)
    width = max(1, _BLOCK_BYTES // (2 * side**3))

    def fill(start: int) -> None:
        chosen = slice(start, start + width)
        shells = np.ascontiguousarray(np.moveaxis(surface_voxels(voxels[chosen]), 0, -1))
        surface[:, chosen] = shells.reshape(side**3, -1)
        squared[:, chosen] = squared_distances(shells).reshape(side**3, -1)

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # numpy lets go of the interpreter's lock
        list(threads.map(fill, range(0, count, width)))
    return Prepared(voxels, surface, squared)


def distances(a: Prepared, b: Prepared) -> np.ndarray:
    """Squared Chamfer distance of every shape of `a` to every one of `b`, (len(a), len(b)) float64.

    A cube has edge 1. An empty shape is 6 away from any other, and 0 from another empty one.
    """
    if a.resolution != b.resolution:
        raise ValueError(f"shapes of {a.resolution}³ and {b.resolution}³ cannot be compared")
    forth = _sums(a, b) / np.maximum(a.sizes, 1)[:, None]
    back = forth.T if a is b else (_sums(b, a) / np.maximum(b.sizes, 1)[:, None]).T
    result = (forth + back) / a.resolution**2
    empty_a, empty_b = a.sizes == 0, b.sizes == 0
    result[empty_a] = EMPTY_DISTANCE
    result[:, empty_b] = EMPTY_DISTANCE
    result[np.ix_(empty_a, empty_b)] = 0.0
    return result


def _sums(a: Prepared, b: Prepared) -> np.ndarray:
    """Sum over the surface of each `a` of its squared distances to each `b`, in voxels: exact integers in float64."""
    total = np.zeros((len(a), len(b)))
    used = np.flatnonzero(a.surface.any(1))
    parts = [used[start : start + _ROWS] for start in range(0, len(used), _ROWS)]
    surfaces = [csr_array(a.surface[rows].T, dtype=_exact(a.surface[rows], b)) for rows in parts]

    def fill(start: int) -> None:
        columns = slice(start, start + _COLUMNS)
        for rows, surface in zip(parts, surfaces, strict=True):
            total[:, columns] += surface @ b.squared[rows, columns].astype(surface.dtype)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(fill, range(0, len(b), _COLUMNS)))
    return total


def _exact(surface: np.ndarray, b: Prepared) -> type:
    """The smallest float in which no sum over these voxels (n, N) is rounded."""
    largest = int(surface.sum(0).max()) * int(b.squared.max(initial=0))
    return np.float32 if largest < 2**24 else np.float64


def blocks(voxels: np.ndarray) -> Iterator[Prepared]:
    """Prepare many shapes a part at a time, so that memory stays bounded whatever their number and resolution."""
    size = max(1, _STREAM_BYTES // (3 * voxels.shape[1] ** 3))
    for start in range(0, len(voxels), size):
        yield prepare(voxels[start : start + size])


def closest(a: Prepared, voxels: np.ndarray) -> np.ndarray:
    """Distance from each shape of `a` to the closest of booleans (N, R, R, R), (len(a),); infinite where N is 0."""
    return nearest(a, voxels)[0]


def nearest(a: Prepared, voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance from each shape of `a` to the closest of booleans (N, R, R, R), and its position; both (len(a),).

    Of equal distances the first counts. Where N is 0, distances are infinite and positions -1.
    """
    best, where = np.full(len(a), np.inf), np.full(len(a), -1)
    start = 0
    for block in blocks(voxels):
        found = distances(a, block)
        closer = found.min(1) < best
        best = np.where(closer, found.min(1), best)
        where = np.where(closer, start + found.argmin(1), where)
        start += len(block)
    return best, where
