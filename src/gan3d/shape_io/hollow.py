"""The cavities that hollow a body out, at a distance from its surface."""

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from gan3d.data.voxelization.voxelize import rasterise_surface
from gan3d.shape_io.bodies import fill_contacts
from gan3d.shape_io.surface import block_surface

CELLS = 3  # of the cavities' grid across a wall: the more, the closer they follow the surface
FINEST = 256  # cells along an edge of the grid
SPACING = 0.25  # walls between two points that stand for the surface


def cavities(vertices: np.ndarray, faces: np.ndarray, wall: float) -> tuple[np.ndarray, np.ndarray]:
    """The surface of all cavities that leave a wall, oriented as part of the body's surface.

    A cell of a fine grid belongs to a cavity if no point of it is closer to the surface than the wall. The wall is then
    4 % thicker than asked where it lies along the grid, and elsewhere up to a cell more. Cavities smaller than a cube
    of a wall are left out.

    Args:
        vertices: of the body, (V, 3).
        faces: (F, 3), oriented outwards.
        wall: in the unit of the vertices.

    Returns:
        Vertices (V, 3) and faces (F, 3); none if the wall leaves nothing.
    """
    low, size = vertices.min(0), 1.001 * float(np.ptp(vertices, axis=0).max())  # what lies on the grid's end is outside
    if wall >= size / 2:
        return np.zeros((0, 3)), np.zeros((0, 3), int)
    # so that CELLS cells are what `_far_cells` asks for, and walls along the grid are no thicker
    cell = max(wall * np.sqrt((1 + SPACING**2 / 2) / (CELLS**2 - 1 / 2)), size / FINEST)
    resolution = 1 << int(np.ceil(np.log2(size / cell)))
    touched = rasterise_surface(((vertices - low) / (cell * resolution))[faces], resolution)
    extents = np.minimum(np.ceil(np.ptp(vertices, axis=0) / cell).astype(int) + 1, resolution)
    touched = touched[tuple(map(slice, extents))]
    inside = np.pad(ndimage.binary_fill_holes(touched) & ~touched, 1)
    cavity = _far_cells(inside, (vertices - low) / cell + 1, faces, wall / cell)
    cavity = ~fill_contacts(~_without_small(cavity, (wall / cell) ** 3))
    corners, outward = block_surface(cavity)
    return low + (corners - 1) * cell, outward[:, ::-1]


def _far_cells(inside: np.ndarray, vertices: np.ndarray, faces: np.ndarray, wall: float) -> np.ndarray:
    """Which inner cells are nowhere closer to the surface than a wall, in cells, booleans (X, Y, Z).

    The distance of a cell is that of its closest corner, or of a point between corners: at most half the diagonal of a
    square away from one. The same holds for points of the surface and those that stand for it, so that two squares are
    added (Pythagoras).
    """
    rough = _squared_depth(inside, int(np.ceil(wall + np.sqrt(3))))  # a cell is by at most √3 closer than its center
    sure = rough >= (wall + np.sqrt(3)) ** 2
    open_cells = (rough > max(wall - 1, 0) ** 2) & ~sure
    points = _surface_points(vertices, faces, SPACING * wall)
    bound = np.sqrt(wall**2 + 1 / 2 + (SPACING * wall) ** 2 / 2) - 1e-6
    corners = np.zeros([side + 1 for side in inside.shape], bool)
    cells = np.argwhere(open_cells)
    for offset in np.ndindex(2, 2, 2):
        corners[tuple((cells + offset).T)] = True
    asked = np.argwhere(corners)
    near = np.isfinite(cKDTree(points).query(asked, distance_upper_bound=bound, workers=-1)[0])
    corners[tuple(asked[near].T)] = False  # true: at a cell that is asked, and far enough
    free = np.lib.stride_tricks.sliding_window_view(corners, (2, 2, 2)).all((3, 4, 5))
    return sure | (open_cells & free)


def _squared_depth(inside: np.ndarray, limit: int) -> np.ndarray:
    """The squared distance from each cell's center to the nearest one that is not inside, uint16, up to limit².

    One pass per axis: D(i) = min over j of f(j) + (i - j)² (Felzenszwalb and Huttenlocher 2012, equation 2).
    """
    squared = np.where(inside, np.uint16(limit**2), np.uint16(0))
    for axis in range(3):
        source, target = np.moveaxis(squared.copy(), axis, 0), np.moveaxis(squared, axis, 0)
        for step in range(1, limit):
            far = source + np.uint16(step**2)
            np.minimum(target[step:], far[:-step], out=target[step:])
            np.minimum(target[:-step], far[step:], out=target[:-step])
    return squared


def _surface_points(vertices: np.ndarray, faces: np.ndarray, spacing: float) -> np.ndarray:
    """Points on triangles (n, 3): on a lattice that has no side longer than `spacing`, with all edges and vertices."""
    corners = vertices[faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, 1), axis=2).max(1)
    parts = np.maximum(1, np.ceil(longest / spacing)).astype(int)
    found = []
    for number in np.unique(parts):
        first, second = np.nonzero(np.add.outer(np.arange(number + 1), np.arange(number + 1)) <= number)
        weights = np.stack([number - first - second, first, second], 1) / number
        found.append(np.einsum("pc,tcx->tpx", weights, corners[parts == number]).reshape(-1, 3))
    return np.concatenate(found)


def _without_small(cavity: np.ndarray, volume: float) -> np.ndarray:
    """Cavities of fewer cells than a volume are left out."""
    pieces, _ = ndimage.label(cavity)
    kept = np.bincount(pieces.ravel()) >= volume
    kept[0] = False
    return kept[pieces]
