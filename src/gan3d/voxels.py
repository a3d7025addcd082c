"""Pure functions on boolean voxel grids: bit packing, max pooling, surfaces, components, stability, symmetry.

A batch of shapes is a boolean array (N, R, R, R) in C order; R is a power of two. SciPy is imported where it is needed:
it takes as long as NumPy and all of this package, of which most commands need only the bits.
"""

import math

import numpy as np

RESOLUTIONS = (4, 8, 16, 32, 64, 128)
AXES = ("x", "y", "z")  # array axes 0, 1, 2 of one grid
ON_THE_EDGE = 1e-12  # voxels; a shape whose centre lies above an edge of its hull stands
_CORNERS = np.array([(a, b) for a in (-0.5, 0.5) for b in (-0.5, 0.5)])  # of a voxel in its layer


def pack_bits(voxels: np.ndarray) -> np.ndarray:
    """Pack booleans (N, R, R, R) into uint8 (N, R³ / 8), most significant bit first."""
    return np.packbits(voxels.reshape(len(voxels), math.prod(voxels.shape[1:])), axis=1)


def unpack_bits(packed: np.ndarray, resolution: int) -> np.ndarray:
    """Invert `pack_bits`: uint8 (N, R³ / 8) to booleans (N, R, R, R)."""
    return np.unpackbits(packed, axis=1).view(bool).reshape(-1, resolution, resolution, resolution)


def max_pool(voxels: np.ndarray) -> np.ndarray:
    """Halve the resolution: a coarse voxel is occupied if any of its eight children is."""
    for axis in (1, 2, 3):
        even, odd = (voxels.take(range(start, voxels.shape[axis], 2), axis) for start in (0, 1))
        voxels = even | odd
    return voxels


def surface_voxels(voxels: np.ndarray) -> np.ndarray:
    """Occupied voxels (N, R, R, R) with at least one empty 6-neighbour; outside the grid counts as empty."""
    padded = np.pad(voxels, ((0, 0), (1, 1), (1, 1), (1, 1)))
    interior = voxels.copy()
    for axis in (1, 2, 3):
        for start in (0, 2):
            window = [slice(None)] + [slice(1, -1)] * 3
            window[axis] = slice(start, start + voxels.shape[axis])
            interior &= padded[tuple(window)]
    return voxels & ~interior


def largest_component_share(voxels: np.ndarray) -> np.ndarray:
    """Share of each shape's voxels in its largest 26-connected component, floats (N,); 0 for an empty shape."""
    from scipy import ndimage

    shares = np.zeros(len(voxels))
    for i, shape in enumerate(voxels):
        components, count = ndimage.label(shape, np.ones((3, 3, 3)))
        if count:
            shares[i] = np.bincount(components.ravel())[1:].max() / shape.sum()
    return shares


def stands(shape: np.ndarray, up: str) -> bool:
    """Whether the centre of a shape's voxels lies above the convex hull of its lowest layer.

    Args:
        shape: booleans (R, R, R), not empty.
        up: the axis that points up.
    """
    from scipy.spatial import ConvexHull

    layers = np.moveaxis(shape, AXES.index(up), 0)
    lowest = layers[np.flatnonzero(layers.any((1, 2)))[0]]
    rows = np.flatnonzero(lowest.any(1))  # the first and the last voxel of each row have the same hull as all
    ends = lowest[rows].argmax(1), lowest.shape[1] - 1 - lowest[rows, ::-1].argmax(1)
    feet = np.concatenate([np.stack([rows, end], 1) for end in ends])
    corners = np.unique((feet[:, None] + _CORNERS).reshape(-1, 2), axis=0)
    sides = ConvexHull(corners).equations  # of lines (normal, offset) that point outwards
    return bool((sides @ np.append(np.argwhere(layers).mean(0)[1:], 1.0) <= ON_THE_EDGE).all())


def asymmetry(voxels: np.ndarray, axis: int) -> np.ndarray:
    """Voxels of each shape that differ from its mirror image in the grid, per occupied voxel, floats (N,).

    Args:
        voxels: booleans (N, R, R, R).
        axis: 1, 2 or 3, along which it is mirrored.
    """
    differing = (voxels != np.flip(voxels, axis)).sum((1, 2, 3))
    return np.asarray(differing / np.maximum(voxels.sum((1, 2, 3)), 1))
