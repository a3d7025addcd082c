"""Generalized winding numbers (Jacobson, Kavan, Sorkine-Hornung 2013) on a whole grid at once.

A far triangle acts as a dipole (Barill et al. 2018): around q, area · n · (p - q) / (4 π |p - q|³). Triangles are cut
into pieces smaller than a voxel, their area vectors are spread over the grid, and one convolution gives the sum at all
centres. Within a voxel or so of the surface the sum is blurred; there the surface itself is occupied.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from scipy import fft

PIECE = 0.5  # edge of the pieces, in voxels
MOST = 1 << 22  # pieces; of a mesh that has more, each triangle is cut less finely


def winding_numbers(triangles: np.ndarray, resolution: int) -> np.ndarray:
    """How often triangles (T, 3, 3) in the unit cube wind around each voxel's centre, (R, R, R) float32.

    Near 1 inside of a closed mesh whose triangles are counter-clockwise seen from outside, near 0 outside.
    """
    size = 2 * resolution  # padded, so that the convolution does not wrap around
    density = np.zeros((3, size, size, size), np.float32)
    for points, areas in _pieces(triangles * resolution):
        _spread(density, points - 0.5, areas)
    total = np.zeros((size, size, size // 2 + 1), np.complex64)
    for axis in range(3):
        total += fft.rfftn(density[axis]) * _kernel(resolution)[axis]
    return fft.irfftn(total, (size,) * 3)[:resolution, :resolution, :resolution]


@lru_cache(maxsize=1)
def _kernel(resolution: int) -> np.ndarray:
    """Transform of -r / (4 π |r|³), (3, 2R, 2R, R + 1) complex64; zero at the centre."""
    size = 2 * resolution
    along = (np.arange(size) + resolution) % size - resolution
    r = np.stack(np.meshgrid(along, along, along, indexing="ij")).astype(np.float32)
    cube = (r**2).sum(0) ** 1.5
    cube[0, 0, 0] = np.inf
    return np.stack([fft.rfftn(-component / (4 * np.pi * cube)).astype(np.complex64) for component in r])


def _pieces(triangles: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Centres (P, 3) and area vectors (P, 3) of small triangles; `triangles` are in voxels."""
    longest = np.linalg.norm(triangles - np.roll(triangles, 1, 1), axis=2).max(1)
    cuts = np.maximum(np.ceil(longest / PIECE).astype(int), 1)
    while (cuts**2).sum() > MOST:
        cuts = np.maximum(cuts // 2, 1)
        if (cuts == 1).all():
            break
    area = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]) / 2
    for cut in np.unique(cuts):
        chosen = np.flatnonzero(cuts == cut)
        centres = _centres(int(cut))
        step = max(1, (1 << 18) // len(centres))
        for start in range(0, len(chosen), step):
            rows = chosen[start : start + step]
            points = np.einsum("pc,tcx->tpx", centres, triangles[rows]).reshape(-1, 3)
            yield points, np.repeat(area[rows] / len(centres), len(centres), axis=0)


@lru_cache(maxsize=256)
def _centres(cut: int) -> np.ndarray:
    """Barycentric centres of the cut² equal pieces of a triangle, (cut², 3)."""
    i, j = (index.ravel() for index in np.indices((cut, cut)))
    upward, downward = i + j < cut, i + j < cut - 1
    a = np.concatenate([i[upward] + 1 / 3, i[downward] + 2 / 3]) / cut
    b = np.concatenate([j[upward] + 1 / 3, j[downward] + 2 / 3]) / cut
    return np.stack([1 - a - b, a, b], -1)


def _spread(density: np.ndarray, points: np.ndarray, areas: np.ndarray) -> None:
    """Add area vectors to the eight centres around each point, weighted by nearness; -1 lies at the padding's end."""
    size = density.shape[1]
    base = np.floor(points).astype(int)
    share = points - base
    corners = np.array(list(np.ndindex(2, 2, 2)))[:, None]
    places = (base + corners) % size
    weights = np.where(corners, share, 1 - share).prod(-1)
    flat = np.ravel_multi_index(tuple(places.reshape(-1, 3).T), (size,) * 3)
    for axis in range(3):
        amount = (weights * areas[:, axis]).ravel()
        density[axis] += np.bincount(flat, amount, size**3).reshape(density[axis].shape).astype(np.float32)
