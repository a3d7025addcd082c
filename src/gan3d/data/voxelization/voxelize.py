"""Triangle meshes to solid voxel grids: an exact conservative surface, then a fill from outside.

A voxel is occupied where a triangle touches it, boundaries included. The test is the separating axis test for
triangle and box (Akenine-Möller 2001), arranged as Schwarz and Seidel (2010): bounds, plane, and three edge functions
in each of the three projections. Candidates are refined from coarse cells to voxels, eight children at a time; a voxel
that holds a sample of a triangle, or all of it, is occupied without a test.
"""

from itertools import chain
from typing import Literal

import numpy as np
from scipy import ndimage

from gan3d.data.voxelization.winding import winding_numbers

Fill = Literal["solid", "surface", "winding"]

SPAN = 0.99  # the longest edge of the bounding box, as a share of the cube: the same at every resolution
TOLERANCE = 1e-12  # in cubes; errs towards occupied
CHUNK = 1 << 12  # triangles that are refined at once: bounds the memory, and fits the cache
SAMPLES = np.array(
    [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (1 / 3, 1 / 3, 1 / 3)]
)
OFFSETS = np.indices((2, 2, 2)).reshape(3, 8)  # of a cell's eight children


def normalise(vertices: np.ndarray) -> np.ndarray:
    """Move and scale (V, 3) so that the bounding box is centred in the unit cube and its longest edge is SPAN.

    Axes and aspect are kept. A mesh without extent lands in the centre.
    """
    along = np.ascontiguousarray(vertices.T)
    low, high = along.min(1) / 2, along.max(1) / 2  # halves, so that no sum overflows
    half = float((high - low).max())
    return (vertices - (low + high)) / (half if half > 0 else 1.0) * (SPAN / 2) + 0.5


def voxelize(vertices: np.ndarray, faces: np.ndarray, resolution: int, fill: Fill = "solid") -> np.ndarray:
    """Voxels of a mesh: vertices (V, 3), faces (F, 3) of indices -> (R, R, R) booleans.

    Degenerate triangles count as the segment or point that they are. The surface is always occupied, and with it:

    - `solid`: all that a flood from outside cannot reach (6-connectivity); a mesh with a hole stays a shell;
    - `surface`: nothing else;
    - `winding`: voxels around whose centre the mesh winds by more than half a turn (Jacobson et al. 2013), so that
      small holes do not matter, but the orientation of the triangles does.
    """
    vertices, corners = np.asarray(vertices, np.float64), np.reshape(faces, -1)
    used = np.zeros(len(vertices), bool)  # vertices without a face do not count
    used[corners] = True
    triangles = normalise(vertices[used])[(np.cumsum(used) - 1)[corners]].reshape(-1, 3, 3)
    voxels = surface(triangles, resolution)
    if fill == "solid":
        return fill_outside(voxels)
    if fill == "winding":
        return voxels | (np.abs(winding_numbers(triangles, resolution)) > 0.5)
    return voxels


def fill_outside(voxels: np.ndarray) -> np.ndarray:
    """Occupy what cannot be reached from outside the grid through empty 6-neighbours, (R, R, R) booleans."""
    regions, _ = ndimage.label(np.pad(~voxels, 1, constant_values=True))
    return regions[1:-1, 1:-1, 1:-1] != regions[0, 0, 0]


def surface(triangles: np.ndarray, resolution: int) -> np.ndarray:
    """Voxels of the unit cube that the triangles (T, 3, 3) touch, (R, R, R) booleans; R is a power of two."""
    voxels = np.zeros((resolution,) * 3, bool)
    corner = np.ascontiguousarray(triangles.transpose(1, 2, 0))  # (corner, axis, T)
    first, last = _bounds(corner.min(0), corner.max(0), resolution)
    # within one column of cells a triangle touches all between its bounds: nothing to test, and most are that small
    column = np.count_nonzero(last - first, axis=0) < 2
    voxels[tuple(_boxes(first[:, column], last[:, column])[1])] = True
    corner = corner[:, :, ~column]
    for weights in SAMPLES:  # nor need a cell be tested that is known to be touched
        point = (np.tensordot(weights, corner, 1) * resolution).astype(int)
        voxels[tuple(np.minimum(point, resolution - 1))] = True
    _refine(voxels, _Tests(corner))
    return voxels


def _refine(voxels: np.ndarray, tests: "_Tests") -> None:
    """Occupy the voxels that triangles touch, from coarse cells to fine; a voxel that is occupied is not tested."""
    levels = len(voxels).bit_length() - 1
    # a triangle enters at the finest level where its bounds are no longer than two cells: few cells to look at
    extent = np.maximum((tests.high - tests.low).max(0), 2.0**-levels)
    entry = np.clip(1 - np.ceil(np.log2(extent)), 0, levels).astype(int)
    rows, cells = np.empty(0, int), np.empty((3, 0), int)
    for level in range(int(entry.min(initial=levels)), levels + 1):
        tests.scale(2**level)
        new = np.flatnonzero(entry == level)
        blocks = [slice(start, start + CHUNK) for start in range(0, max(len(rows), len(new)), CHUNK)]
        candidates = chain(
            (tests.children(rows[block], cells[:, block]) for block in blocks),
            (tests.boxes(new[block]) for block in blocks),
        )
        if level == levels:
            for pair in candidates:
                empty = np.flatnonzero(~voxels[tuple(pair[1])])
                voxels[tuple(tests.touching(pair[0].take(empty), pair[1].take(empty, 1))[1])] = True
        else:
            found = [tests.touching(*pair) for pair in candidates]
            rows = np.concatenate([rows[:0], *(pair[0] for pair in found)])
            cells = np.concatenate([cells[:, :0], *(pair[1] for pair in found)], 1)


def _bounds(low: np.ndarray, high: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last cell of side³ that boxes (3, N) touch along each axis, also those that end where a box begins."""
    first = np.maximum(np.ceil((low - TOLERANCE) * side).astype(int) - 1, 0)
    return first, np.minimum(np.floor((high + TOLERANCE) * side).astype(int), side - 1)


def _boxes(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All cells from `first` to `last` (3, N): which box (M,), and the cell (3, M)."""
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


class _Tests:
    """What the separating axis test needs of each triangle, computed once; the triangle is the last axis.

    `scale` chooses a grid; from then on lengths are in its cells, so that a cell's lowest corner is its index.
    """

    def __init__(self, corner: np.ndarray):  # (corner, axis, T)
        edge = np.roll(corner, -1, 0) - corner
        self.low, self.high = corner.min(0), corner.max(0)
        self.normal = np.cross(edge[0], edge[1], axis=0)
        self.offset = (self.normal * corner[0]).sum(0)
        self.reach = np.abs(self.normal).sum(0) / 2
        self.projections = []
        for a, b in ((0, 1), (1, 2), (2, 0)):
            turn = edge[0, a] * edge[1, b] - edge[0, b] * edge[1, a]
            sign = np.where(turn >= 0, 1.0, -1.0)
            inward_a, inward_b = -edge[:, b] * sign, edge[:, a] * sign
            constant = -(inward_a * corner[:, a] + inward_b * corner[:, b])
            # of a cell's corners, the one farthest inward decides
            reach = np.maximum(inward_a, 0) + np.maximum(inward_b, 0)
            self.projections.append((a, b, inward_a, inward_b, constant, reach))

    def scale(self, side: int) -> None:
        """Take a grid of side³ cells."""
        self.first, self.last = _bounds(self.low, self.high, side)
        self.to_plane = self.normal.sum(0) / 2 - self.offset * side
        self.thickness = self.reach + TOLERANCE * side
        self.to_edges = [constant * side + reach + TOLERANCE * side for *_, constant, reach in self.projections]

    def boxes(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of triangle, one of `rows`, and cell within its bounds: (P,), (3, P)."""
        box, cells = _boxes(self.first.take(rows, 1), self.last.take(rows, 1))
        return rows.take(box), cells

    def children(self, rows: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of triangle and cell (P,), (3, P) of the grid twice as coarse -> those of this grid within bounds."""
        both = 2 * cells + np.arange(2)[:, None, None]
        within = (both >= self.first.take(rows, 1)) & (both <= self.last.take(rows, 1))  # (2, axis, P)
        child, pair = np.nonzero(within[OFFSETS[0], 0] & within[OFFSETS[1], 1] & within[OFFSETS[2], 2])
        return rows.take(pair), 2 * cells.take(pair, 1) + OFFSETS.take(child, 1)

    def touching(self, rows: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those pairs of triangle and cell (P,), (3, P) within its bounds that touch."""
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
