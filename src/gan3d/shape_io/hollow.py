"""The cavities that hollow a body out, at a distance from its surface."""

import numpy as np
from scipy import ndimage

from gan3d.data.voxelization.voxelize import rasterise_surface
from gan3d.shape_io.bodies import fill_contacts
from gan3d.shape_io.surface import block_surface

CELLS = 2  # of the cavities' grid across a wall: the more, the closer they follow the surface
FINEST = 256  # cells along an edge of the grid


def cavities(vertices: np.ndarray, faces: np.ndarray, wall: float) -> tuple[np.ndarray, np.ndarray]:
    """The surface of all cavities that leave a wall, oriented as part of the body's surface.

    A cell of a fine grid belongs to a cavity if no cell that the surface touches comes closer than the wall, which is
    then up to two cells thicker than asked. Cavities smaller than a cube of a wall are left out.

    Args:
        vertices: of the body, (V, 3).
        faces: (F, 3), oriented outwards.
        wall: in the unit of the vertices.

    Returns:
        Vertices (V, 3) and faces (F, 3); none if the wall leaves nothing.
    """
    low, size = vertices.min(0), 1.001 * float(np.ptp(vertices, axis=0).max())  # what lies on the grid's end is outside
    resolution = min(FINEST, 1 << max(4, int(np.ceil(np.log2(CELLS * size / wall)))))
    cell = size / resolution
    surface = rasterise_surface(((vertices - low) / size)[faces], resolution)
    depth = wall / cell
    extents = np.minimum(np.ceil(np.ptp(vertices, axis=0) / cell).astype(int) + 1, resolution)
    inside = ndimage.binary_fill_holes(surface[tuple(map(slice, extents))]) & ~surface[tuple(map(slice, extents))]
    inside = np.pad(inside, 1)
    # between the nearest points of two cells: distances of their centres, less a cell along the axes or its diagonal
    straight = ndimage.distance_transform_cdt(inside, "chessboard") >= np.ceil(depth) + 1
    cavity = straight | (ndimage.distance_transform_edt(inside) >= depth + np.sqrt(3))
    cavity = ~fill_contacts(~_without_small(cavity, depth**3))
    corners, outward = block_surface(cavity)
    return low + (corners - 1) * cell, outward[:, ::-1]


def _without_small(cavity: np.ndarray, volume: float) -> np.ndarray:
    pieces, _ = ndimage.label(cavity)
    kept = np.bincount(pieces.ravel()) >= volume
    kept[0] = False
    return kept[pieces]
