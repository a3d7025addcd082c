"""Triangle meshes to voxel grids: exact conservative rasterisation of the surface, then a fill of the interior.

A voxel is occupied if a triangle touches it, boundaries included. The test is the separating axis test for triangle
and box (Akenine-Möller 2001) in the form of Schwarz and Seidel (2010): bounds, plane, and three edge functions in each
of the three projections. Candidates are refined from coarse cells to voxels, eight children at a time; a voxel that
contains a sample point of a triangle, or the whole triangle, is occupied without a test.
"""

from itertools import chain
from typing import Literal

import numpy as np
from scipy import ndimage

from gan3d.data.voxelization.winding import winding_numbers

Fill = Literal["solid", "surface", "winding"]

LONGEST_EDGE = 0.99  # of the bounding box, as a share of the cube, at every resolution
TOLERANCE = 1e-12  # of the cube's edge; errs on the side of occupied
BATCH = 1 << 12  # triangles refined at once: bounds the memory, and fits the cache
SAMPLE_POINTS = np.array(
    [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (1 / 3, 1 / 3, 1 / 3)]
)  # barycentric
CHILD_OFFSETS = np.indices((2, 2, 2)).reshape(3, 8)


def normalise(vertices: np.ndarray) -> np.ndarray:
    """Centre vertices (V, 3) in the unit cube and scale the longest edge of the bounding box to LONGEST_EDGE.

    Axes and aspect ratio are kept. A mesh without extent becomes a point in the centre.
    """
    transposed = np.ascontiguousarray(vertices.T)
    low, high = transposed.min(1) / 2, transposed.max(1) / 2  # halved, so that no sum overflows
    half = float((high - low).max())
    return (vertices - (low + high)) / (half if half > 0 else 1.0) * (LONGEST_EDGE / 2) + 0.5


def voxelize(vertices: np.ndarray, faces: np.ndarray, resolution: int, fill: Fill = "solid") -> np.ndarray:
    """Voxelise a triangle mesh. Degenerate triangles count as the segments or points that they are.

    Args:
        vertices: (V, 3); vertices without a face are ignored.
        faces: vertex indices (F, 3).
        resolution: R, a power of two.
        fill: what is occupied besides the surface:
            `solid`: all that a flood fill from outside cannot reach (6-connectivity); a mesh with a hole stays a shell.
            `surface`: nothing.
            `winding`: voxels with a winding number above one half at the centre (Jacobson et al. 2013). Small holes do
            not matter, but the orientation of the triangles does.

    Returns:
        Booleans (R, R, R).
    """
    vertices, corners = np.asarray(vertices, np.float64), np.reshape(faces, -1)
    used = np.zeros(len(vertices), bool)
    used[corners] = True
    triangles = normalise(vertices[used])[(np.cumsum(used) - 1)[corners]].reshape(-1, 3, 3)
    voxels = rasterise_surface(triangles, resolution)
    if fill == "solid":
        return fill_interior(voxels)
    if fill == "winding":
        return voxels | (np.abs(winding_numbers(triangles, resolution)) > 0.5)
    return voxels


def fill_interior(voxels: np.ndarray) -> np.ndarray:
    """Occupy all that a flood fill from outside cannot reach through empty 6-neighbours, booleans (R, R, R)."""
    regions, _ = ndimage.label(np.pad(~voxels, 1, constant_values=True))
    return regions[1:-1, 1:-1, 1:-1] != regions[0, 0, 0]


def rasterise_surface(triangles: np.ndarray, resolution: int) -> np.ndarray:
    """Voxels that triangles touch.

    Args:
        triangles: corners (T, 3, 3) in the unit cube.
        resolution: R, a power of two.

    Returns:
        Booleans (R, R, R).
    """
    voxels = np.zeros((resolution,) * 3, bool)
    corners = np.ascontiguousarray(triangles.transpose(1, 2, 0))  # (corner, axis, T)
    first, last = _cell_bounds(corners.min(0), corners.max(0), resolution)
    # a triangle within one column of voxels touches all of them between its bounds; most triangles are that small
    in_column = np.count_nonzero(last - first, axis=0) < 2
    voxels[tuple(_cells_in_boxes(first[:, in_column], last[:, in_column])[1])] = True
    corners = corners[:, :, ~in_column]
    for weights in SAMPLE_POINTS:  # occupied voxels need no test
        point = (np.tensordot(weights, corners, 1) * resolution).astype(int)
        voxels[tuple(np.minimum(point, resolution - 1))] = True
    _refine(voxels, _OverlapTest(corners))
    return voxels


def _refine(voxels: np.ndarray, test: "_OverlapTest") -> None:
    """Occupy the voxels that triangles touch, from coarse cells to fine; occupied voxels are not tested."""
    levels = len(voxels).bit_length() - 1
    # a triangle enters at the finest level where its bounds span at most two cells, which keeps candidates few
    extent = np.maximum((test.high - test.low).max(0), 2.0**-levels)
    entry = np.clip(1 - np.ceil(np.log2(extent)), 0, levels).astype(int)
    rows, cells = np.empty(0, int), np.empty((3, 0), int)
    for level in range(int(entry.min(initial=levels)), levels + 1):
        test.set_grid(2**level)
        new = np.flatnonzero(entry == level)
        batches = [slice(start, start + BATCH) for start in range(0, max(len(rows), len(new)), BATCH)]
        candidates = chain(
            (test.children(rows[batch], cells[:, batch]) for batch in batches),
            (test.cells_in_bounds(new[batch]) for batch in batches),
        )
        if level == levels:
            for pair in candidates:
                empty = np.flatnonzero(~voxels[tuple(pair[1])])
                voxels[tuple(test.touching(pair[0].take(empty), pair[1].take(empty, 1))[1])] = True
        else:
            found = [test.touching(*pair) for pair in candidates]
            rows = np.concatenate([rows[:0], *(pair[0] for pair in found)])
            cells = np.concatenate([cells[:, :0], *(pair[1] for pair in found)], 1)


def _cell_bounds(low: np.ndarray, high: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last cell of a grid of side³ that boxes (3, N) touch along each axis, boundaries included."""
    first = np.maximum(np.ceil((low - TOLERANCE) * side).astype(int) - 1, 0)
    return first, np.minimum(np.floor((high + TOLERANCE) * side).astype(int), side - 1)


def _cells_in_boxes(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All cells from `first` to `last` (3, N): index of the box (M,), and the cell (3, M)."""
    lengths = last - first + 1
    counts = lengths.prod(0)
    box = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(box)) - np.repeat(np.cumsum(counts) - counts, counts)
    cells = first.take(box, 1)
    for axis in (2, 1):
        number, step = np.divmod(number, lengths[axis].take(box))
        cells[axis] += step
    cells[0] += number
    return box, cells


class _OverlapTest:
    """The separating axis test, with what it needs of each triangle computed once.

    After `set_grid`, lengths are in cells of that grid, so that a cell's lowest corner is its index.

    Args:
        corners: (corner, axis, T).
    """

    def __init__(self, corners: np.ndarray):
        edge = np.roll(corners, -1, 0) - corners
        self.low, self.high = corners.min(0), corners.max(0)
        self.normal = np.cross(edge[0], edge[1], axis=0)
        self.offset = (self.normal * corners[0]).sum(0)
        self.reach = np.abs(self.normal).sum(0) / 2
        self.projections = []
        for a, b in ((0, 1), (1, 2), (2, 0)):
            area = edge[0, a] * edge[1, b] - edge[0, b] * edge[1, a]
            sign = np.where(area >= 0, 1.0, -1.0)
            inward_a, inward_b = -edge[:, b] * sign, edge[:, a] * sign
            constant = -(inward_a * corners[:, a] + inward_b * corners[:, b])
            # the corner of a cell that is farthest inward decides
            reach = np.maximum(inward_a, 0) + np.maximum(inward_b, 0)
            self.projections.append((a, b, inward_a, inward_b, constant, reach))

    def set_grid(self, side: int) -> None:
        """Test against the cells of a grid of side³."""
        self.first, self.last = _cell_bounds(self.low, self.high, side)
        self.to_plane = self.normal.sum(0) / 2 - self.offset * side
        self.thickness = self.reach + TOLERANCE * side
        self.to_edges = [constant * side + reach + TOLERANCE * side for *_, constant, reach in self.projections]

    def cells_in_bounds(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of a triangle in `rows` and a cell within its bounds: (P,), (3, P)."""
        box, cells = _cells_in_boxes(self.first.take(rows, 1), self.last.take(rows, 1))
        return rows.take(box), cells

    def children(self, rows: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Refine pairs of triangle and cell (P,), (3, P) from the grid twice as coarse to this one, within bounds."""
        both = 2 * cells + np.arange(2)[:, None, None]
        within = (both >= self.first.take(rows, 1)) & (both <= self.last.take(rows, 1))  # (2, axis, P)
        x, y, z = CHILD_OFFSETS
        child, pair = np.nonzero(within[x, 0] & within[y, 1] & within[z, 2])
        return rows.take(pair), 2 * cells.take(pair, 1) + CHILD_OFFSETS.take(child, 1)

    def touching(self, rows: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of triangle and cell (P,), (3, P), given within bounds, that overlap."""
        corner = cells.astype(np.float64)
        distance = self.to_plane.take(rows)
        for axis in range(3):
            distance += self.normal[axis].take(rows) * corner[axis]
        kept = np.flatnonzero(np.abs(distance) <= self.thickness.take(rows))
        rows, cells, corner = rows.take(kept), cells.take(kept, 1), corner.take(kept, 1)

        for (a, b, inward_a, inward_b, *_), to_edge in zip(self.projections, self.to_edges, strict=True):
            keep = np.ones(len(rows), bool)
            for edge in range(3):
                inside = inward_a[edge].take(rows) * corner[a]
                inside += inward_b[edge].take(rows) * corner[b]
                inside += to_edge[edge].take(rows)
                keep &= inside >= 0
            kept = np.flatnonzero(keep)
            rows, cells, corner = rows.take(kept), cells.take(kept, 1), corner.take(kept, 1)
        return rows, cells
