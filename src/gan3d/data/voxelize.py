"""Triangle meshes to solid voxel grids: an exact conservative surface, then a fill from outside.

A voxel is occupied where a triangle touches it, boundaries included. The test is the separating axis test for
triangle and box (Akenine-Möller 2001), arranged as Schwarz and Seidel (2010): bounds, plane, and three edge functions
in each of the three projections. Candidates are refined from coarse cells to voxels, eight children at a time.
"""

import numpy as np
from scipy import ndimage

SPAN = 0.99  # the longest edge of the bounding box, as a share of the cube: the same at every resolution
TOLERANCE = 1e-12  # in cubes; errs towards occupied
CHUNK = 1 << 17  # pairs of triangle and cell that are tested at once: bounds the memory
OFFSETS = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(8, 3).astype(np.int32)


def normalise(vertices: np.ndarray) -> np.ndarray:
    """Move and scale (V, 3) so that the bounding box is centred in the unit cube and its longest edge is SPAN.

    Axes and aspect are kept. A mesh without extent lands in the centre.
    """
    low, high = vertices.min(0), vertices.max(0)
    centre, extent = low / 2 + high / 2, float((high / 2 - low / 2).max()) * 2
    return (vertices - centre) * (SPAN / extent if extent > 0 else 0.0) + 0.5


def voxelize(vertices: np.ndarray, faces: np.ndarray, resolution: int, fill: bool = True) -> np.ndarray:
    """Voxels of a mesh: vertices (V, 3), faces (F, 3) of indices -> (R, R, R) booleans.

    Degenerate triangles count as the segment or point that they are. With `fill`, everything that a flood from
    outside cannot reach (6-connectivity) is occupied, too; a mesh with a hole stays a shell.
    """
    used, index = np.unique(faces, return_inverse=True)
    triangles = normalise(np.asarray(vertices, np.float64)[used])[index.reshape(-1, 3)]
    voxels = surface(triangles, resolution)
    return fill_outside(voxels) if fill else voxels


def fill_outside(voxels: np.ndarray) -> np.ndarray:
    """Occupy what cannot be reached from outside the grid through empty 6-neighbours, (R, R, R) booleans."""
    regions, _ = ndimage.label(np.pad(~voxels, 1, constant_values=True))
    return regions[1:-1, 1:-1, 1:-1] != regions[0, 0, 0]


def surface(triangles: np.ndarray, resolution: int) -> np.ndarray:
    """Voxels of the unit cube that the triangles (T, 3, 3) touch, (R, R, R) booleans."""
    voxels = np.zeros((resolution,) * 3, bool)
    low, high = triangles.min(1), triangles.max(1)
    tests = _Tests(triangles)
    levels = int(np.log2(resolution))
    # A triangle enters at the finest level where its bounds are no longer than a cell: at most 8 cells to look at.
    entry = np.clip(-np.ceil(np.log2(np.maximum((high - low).max(1), 2.0**-levels))), 0, levels).astype(int)
    pending = [(np.flatnonzero(entry == level), level) for level in range(levels + 1)]
    stack: list[tuple[np.ndarray, np.ndarray, int]] = []
    for rows, level in pending:
        if len(rows):
            corner = np.floor((low[rows] - TOLERANCE) * 2**level).astype(np.int32)
            stack += _chunks(np.repeat(rows, 8), (corner[:, None] + OFFSETS).reshape(-1, 3), level)
    while stack:
        rows, cells, level = stack.pop()
        rows, cells = tests.touching(rows, cells, 2**level, low, high)
        if level == levels:
            voxels[tuple(cells.T)] = True
        elif len(rows):
            stack += _chunks(np.repeat(rows, 8), (2 * cells[:, None] + OFFSETS).reshape(-1, 3), level + 1)
    return voxels


def _chunks(rows: np.ndarray, cells: np.ndarray, level: int) -> list[tuple[np.ndarray, np.ndarray, int]]:
    return [(rows[i : i + CHUNK], cells[i : i + CHUNK], level) for i in range(0, len(rows), CHUNK)]


class _Tests:
    """What the separating axis test needs of each triangle, computed once."""

    def __init__(self, triangles: np.ndarray):
        edges = np.roll(triangles, -1, 1) - triangles
        self.normal = np.cross(edges[:, 0], edges[:, 1])
        self.offset = (self.normal * triangles[:, 0]).sum(1)
        self.projections = []
        for a, b in ((0, 1), (1, 2), (2, 0)):
            turn = edges[:, 0, a] * edges[:, 1, b] - edges[:, 0, b] * edges[:, 1, a]
            sign = np.where(turn >= 0, 1.0, -1.0)[:, None]
            inward_a, inward_b = -edges[..., b] * sign, edges[..., a] * sign
            constant = -(inward_a * triangles[..., a] + inward_b * triangles[..., b])
            # of a box's corners, the one farthest inward decides
            reach = np.maximum(inward_a, 0) + np.maximum(inward_b, 0)
            self.projections.append((a, b, inward_a.T.copy(), inward_b.T.copy(), constant.T.copy(), reach.T.copy()))

    def touching(
        self, rows: np.ndarray, cells: np.ndarray, side: int, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keep the pairs (triangle row, cell of a grid of `side`³) that touch."""
        keep = np.all((cells >= 0) & (cells < side), 1)
        rows, cells = rows[keep], cells[keep]
        corner = cells / side
        keep = np.all((corner <= high[rows] + TOLERANCE) & (corner + 1 / side >= low[rows] - TOLERANCE), 1)
        rows, cells, corner = rows[keep], cells[keep], corner[keep]

        normal = self.normal[rows]
        distance = (normal * (corner + 0.5 / side)).sum(1) - self.offset[rows]
        keep = np.abs(distance) <= np.abs(normal).sum(1) * (0.5 / side) + TOLERANCE
        rows, cells, corner = rows[keep], cells[keep], corner[keep]

        for a, b, inward_a, inward_b, constant, reach in self.projections:
            keep = np.ones(len(rows), bool)
            for edge in range(3):
                value = inward_a[edge][rows] * corner[:, a] + inward_b[edge][rows] * corner[:, b]
                value += constant[edge][rows] + reach[edge][rows] / side
                keep &= value >= -TOLERANCE
            rows, cells, corner = rows[keep], cells[keep], corner[keep]
        return rows, cells
