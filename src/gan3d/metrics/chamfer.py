"""Exact squared Chamfer distances between all pairs of voxel shapes.

CD(A, B) = mean over a in A of d(a, B)² + mean over b in B of d(b, A)², where A and B are the centres of the surface
voxels in a cube of edge 1. With S the 0/1 surface indicators and E the squared distances to the surface in voxels, both
(R³, N), the sums of all pairs are the matrix product SᵀE. Few voxels lie on the surface, so S is stored as a sparse
matrix. All terms are integers: float32 is exact while no sum reaches 2²⁴, and float64 is used beyond that.
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
_TRANSFORM_BYTES = 2**20  # of one working array of the distance transform, to fit into the cache
_PRODUCT_VOXELS, _PRODUCT_SHAPES = 2**13, 64  # of one matrix product, to fit into the cache
_BATCH_BYTES = 2**28  # of one batch of prepared shapes


@dataclass(frozen=True, eq=False)
class Prepared:
    """Shapes prepared for distances, at 3 bytes per voxel.

    Attributes:
        voxels: booleans (N, R, R, R).
        surface: booleans (R³, N).
        squared: uint16 (R³, N), squared distance from each voxel to the nearest surface voxel, in voxels; 3 (R - 1)²
            everywhere in an empty shape.
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
    def surface_counts(self) -> np.ndarray:
        """Number of surface voxels of each shape, (N,) int64; 0 for an empty shape."""
        return self.surface.sum(0, dtype=np.int64)

    @cached_property
    def within(self) -> np.ndarray:
        """Distances between these shapes, (N, N) float64."""
        return distances(self, self)

    @cached_property
    def component_shares(self) -> np.ndarray:
        """Share of each shape's voxels in its largest connected component, (N,)."""
        return largest_component_share(self.voxels)

    @cached_property
    def occupancies(self) -> np.ndarray:
        """Share of the grid that each shape occupies, (N,)."""
        return self.voxels.mean((1, 2, 3))

    def first(self, count: int) -> "Prepared":
        """The first `count` shapes, without preparing them again."""
        return Prepared(self.voxels[:count], self.surface[:, :count], self.squared[:, :count])


def squared_distances(surface: np.ndarray) -> np.ndarray:
    """Exact squared Euclidean distance transform, vectorised over the last axis.

    One separable pass per axis: D(i) = min over j of f(j) + (i - j)² (Felzenszwalb and Huttenlocher 2012, equation 2).

    Args:
        surface: booleans (R, R, R, n), R at most 128.

    Returns:
        uint16 (R, R, R, n) in squared voxels; 3 (R - 1)² everywhere in an empty shape.
    """
    side = surface.shape[0]
    far = 3 * (side - 1) ** 2  # the longest distance; adding one more pass still fits: 4 · 127² < 2¹⁶
    squared = np.where(surface, np.uint16(0), np.uint16(far))
    spare = np.empty_like(squared)
    for axis in range(3):
        source = np.moveaxis(squared.copy(), axis, 0)
        target, sums = np.moveaxis(squared, axis, 0), np.moveaxis(spare, axis, 0)
        worst = int(target.max())
        for step in range(1, side):
            if step * step >= worst:  # no nearer voxel is that far away
                break
            np.add(source, np.uint16(step * step), out=sums)
            np.minimum(target[step:], sums[:-step], out=target[step:])
            np.minimum(target[:-step], sums[step:], out=target[:-step])
    return squared


def prepare(voxels: np.ndarray) -> Prepared:
    """Compute surfaces and distance transforms of booleans (N, R, R, R), R at most 128, on all cores."""
    count, side = len(voxels), voxels.shape[1]
    surface = np.empty((side**3, count), bool)
    squared = np.empty((side**3, count), np.uint16)
    width = max(1, _TRANSFORM_BYTES // (2 * side**3))

    def fill(start: int) -> None:
        chosen = slice(start, start + width)
        shells = np.ascontiguousarray(np.moveaxis(surface_voxels(voxels[chosen]), 0, -1))
        surface[:, chosen] = shells.reshape(side**3, -1)
        squared[:, chosen] = squared_distances(shells).reshape(side**3, -1)

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # NumPy releases the GIL
        list(threads.map(fill, range(0, count, width)))
    return Prepared(voxels, surface, squared)


def distances(a: Prepared, b: Prepared) -> np.ndarray:
    """Squared Chamfer distances from all shapes of `a` to all of `b`, (len(a), len(b)) float64, in a cube of edge 1.

    An empty shape is at distance 6 from any other, and at 0 from another empty one.
    """
    if a.resolution != b.resolution:
        raise ValueError(f"cannot compare shapes of {a.resolution}³ and {b.resolution}³")
    forth = _distance_sums(a, b) / np.maximum(a.surface_counts, 1)[:, None]
    back = forth.T if a is b else (_distance_sums(b, a) / np.maximum(b.surface_counts, 1)[:, None]).T
    result = (forth + back) / a.resolution**2
    empty_a, empty_b = a.surface_counts == 0, b.surface_counts == 0
    result[empty_a] = EMPTY_DISTANCE
    result[:, empty_b] = EMPTY_DISTANCE
    result[np.ix_(empty_a, empty_b)] = 0.0
    return result


def _distance_sums(a: Prepared, b: Prepared) -> np.ndarray:
    """Sums over the surface of each `a` of its squared distances to each `b`, in voxels: exact integers in float64."""
    total = np.zeros((len(a), len(b)))
    used = np.flatnonzero(a.surface.any(1))
    parts = [used[start : start + _PRODUCT_VOXELS] for start in range(0, len(used), _PRODUCT_VOXELS)]
    surfaces = [csr_array(a.surface[rows].T, dtype=_exact_dtype(a.surface[rows], b)) for rows in parts]

    def fill(start: int) -> None:
        columns = slice(start, start + _PRODUCT_SHAPES)
        for rows, surface in zip(parts, surfaces, strict=True):
            total[:, columns] += surface @ b.squared[rows, columns].astype(surface.dtype)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(fill, range(0, len(b), _PRODUCT_SHAPES)))
    return total


def _exact_dtype(surface: np.ndarray, b: Prepared) -> type:
    """The smallest float type in which no sum over these voxels (n, N) is rounded."""
    largest = int(surface.sum(0).max()) * int(b.squared.max(initial=0))
    return np.float32 if largest < 2**24 else np.float64


def prepared_batches(voxels: np.ndarray) -> Iterator[Prepared]:
    """Prepare booleans (N, R, R, R) in batches of bounded memory."""
    size = max(1, _BATCH_BYTES // (3 * voxels.shape[1] ** 3))
    for start in range(0, len(voxels), size):
        yield prepare(voxels[start : start + size])


def nearest_distances(a: Prepared, voxels: np.ndarray) -> np.ndarray:
    """Distance from each shape of `a` to the nearest of booleans (N, R, R, R), (len(a),); infinite if N is 0."""
    return nearest_shapes(a, voxels)[0]


def nearest_shapes(a: Prepared, voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance from each shape of `a` to the nearest of booleans (N, R, R, R), and its position; both (len(a),).

    The first of equally near shapes counts. If N is 0, distances are infinite and positions -1.
    """
    best, positions = np.full(len(a), np.inf), np.full(len(a), -1)
    start = 0
    for batch in prepared_batches(voxels):
        candidates = distances(a, batch)
        closer = candidates.min(1) < best
        best = np.where(closer, candidates.min(1), best)
        positions = np.where(closer, start + candidates.argmin(1), positions)
        start += len(batch)
    return best, positions
