"""Generalised winding numbers (Jacobson, Kavan, Sorkine-Hornung 2013) on a whole grid at once.

A distant triangle acts as a dipole (Barill et al. 2018): at q, area · n · (p - q) / (4 π |p - q|³). Triangles are
subdivided until they are smaller than a voxel, their area vectors are splatted onto the grid, and one convolution gives
the sum at all voxel centres. Within about a voxel of the surface the sum is blurred; those voxels are occupied by the
surface itself.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from scipy import fft

MAX_EDGE = 0.5  # of the subdivided triangles, in voxels
MAX_TRIANGLES = 1 << 22  # after subdivision; a mesh that would have more is subdivided less finely
_BATCH = 1 << 18  # subdivided triangles at once


def winding_numbers(triangles: np.ndarray, resolution: int) -> np.ndarray:
    """Winding number of a mesh at each voxel centre.

    Args:
        triangles: corners (T, 3, 3) in the unit cube.
        resolution: R.

    Returns:
        float32 (R, R, R): near 1 inside a closed mesh with triangles counter-clockwise from outside, near 0 outside.
    """
    size = 2 * resolution  # padded, so that the convolution does not wrap around
    density = np.zeros((3, size, size, size), np.float32)
    for points, areas in _subdivide(triangles * resolution):
        _splat(density, points - 0.5, areas)
    total = np.zeros((size, size, size // 2 + 1), np.complex64)
    for axis in range(3):
        total += fft.rfftn(density[axis]) * _kernel(resolution)[axis]
    return fft.irfftn(total, (size,) * 3)[:resolution, :resolution, :resolution]


@lru_cache(maxsize=1)
def _kernel(resolution: int) -> np.ndarray:
    """Fourier transform of -r / (4 π |r|³), zero at the centre, complex64 (3, 2R, 2R, R + 1)."""
    size = 2 * resolution
    offsets = (np.arange(size) + resolution) % size - resolution
    r = np.stack(np.meshgrid(offsets, offsets, offsets, indexing="ij")).astype(np.float32)
    cube = (r**2).sum(0) ** 1.5
    cube[0, 0, 0] = np.inf
    return np.stack([fft.rfftn(-component / (4 * np.pi * cube)).astype(np.complex64) for component in r])


def _subdivide(triangles: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of centroids (P, 3) and area vectors (P, 3) of the subdivided triangles (T, 3, 3), in voxels."""
    longest = np.linalg.norm(triangles - np.roll(triangles, 1, 1), axis=2).max(1)
    cuts = np.maximum(np.ceil(longest / MAX_EDGE).astype(int), 1)
    while (cuts**2).sum() > MAX_TRIANGLES:
        cuts = np.maximum(cuts // 2, 1)
        if (cuts == 1).all():
            break
    area = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]) / 2
    for cut in np.unique(cuts):
        chosen = np.flatnonzero(cuts == cut)
        centroids = _centroids(int(cut))
        step = max(1, _BATCH // len(centroids))
        for start in range(0, len(chosen), step):
            rows = chosen[start : start + step]
            points = np.einsum("pc,tcx->tpx", centroids, triangles[rows]).reshape(-1, 3)
            yield points, np.repeat(area[rows] / len(centroids), len(centroids), axis=0)


@lru_cache(maxsize=256)
def _centroids(cut: int) -> np.ndarray:
    """Barycentric centroids of the cut² equal subtriangles of a triangle, (cut², 3)."""
    i, j = (index.ravel() for index in np.indices((cut, cut)))
    upward, downward = i + j < cut, i + j < cut - 1
    a = np.concatenate([i[upward] + 1 / 3, i[downward] + 2 / 3]) / cut
    b = np.concatenate([j[upward] + 1 / 3, j[downward] + 2 / 3]) / cut
    return np.stack([1 - a - b, a, b], -1)


def _splat(density: np.ndarray, points: np.ndarray, areas: np.ndarray) -> None:
    """Add area vectors to the eight voxels around each point, trilinearly; index -1 wraps into the padding."""
    size = density.shape[1]
    base = np.floor(points).astype(int)
    fraction = points - base
    corners = np.array(list(np.ndindex(2, 2, 2)))[:, None]
    cells = (base + corners) % size
    weights = np.where(corners, fraction, 1 - fraction).prod(-1)
    flat = np.ravel_multi_index(tuple(cells.reshape(-1, 3).T), (size,) * 3)
    for axis in range(3):
        amount = (weights * areas[:, axis]).ravel()
        density[axis] += np.bincount(flat, amount, size**3).reshape(density[axis].shape).astype(np.float32)
