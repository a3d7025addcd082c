"""Voxels to one body: loose pieces joined or dropped, voids filled, and no two voxels that touch only along an edge.

Pieces are 6-connected, since voxels that share an edge or a corner alone are joined by nothing that holds. A grid in
which voxels never touch like this is well-composed, and its boundary is a manifold (Latecki 1997; filling single voxels
as in Siqueira et al. 2008).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Repairs:
    """What was done to make one body.

    Attributes:
        dropped: loose pieces left out.
        joined: loose pieces joined to the body by a bridge.
        bridge: voxels of all bridges.
        filled: voxels added where others touched only along an edge or at a corner.
        voids: voxels of enclosed voids, filled.
    """

    dropped: int = 0
    joined: int = 0
    bridge: int = 0
    filled: int = 0
    voids: int = 0


def one_body(voxels: np.ndarray, drop: float = 0.0) -> tuple[np.ndarray, Repairs]:
    """Make one well-composed body without voids.

    Args:
        voxels: booleans (X, Y, Z), not empty.
        drop: pieces smaller than this share of all voxels are left out, but never the largest; others get a bridge.

    Returns:
        Booleans of the same shape, and what was done.
    """
    body, dropped = _without_small_pieces(voxels, drop)
    body = fill_contacts(body)
    filled = int(body.sum())
    body, joined = _join(body)
    bridge = int(body.sum()) - filled
    filled -= int((voxels & body).sum())
    voids = 0
    while True:  # bridges may touch what they pass, and what fills a contact may close a void
        solid = ndimage.binary_fill_holes(body)
        after = fill_contacts(solid)
        voids, filled = voids + int(solid.sum() - body.sum()), filled + int(after.sum() - solid.sum())
        if after.sum() == body.sum():
            return body, Repairs(dropped, joined, bridge, filled, voids)
        body = after


def fill_contacts(voxels: np.ndarray) -> np.ndarray:
    """Add voxels until none touch only along an edge or at a corner, and the same for empty ones."""
    body = voxels.copy()
    while True:
        added = _fill_edges(body) or _fill_corners(body)
        if not added:
            return body


def _fill_edges(body: np.ndarray) -> bool:
    """Fill one voxel beside each edge at which two occupied and two empty voxels alternate; whether there was one."""
    around = ndimage.convolve(body.astype(np.int16), ndimage.generate_binary_structure(3, 1), mode="constant")
    found = False
    for first, second in ((0, 1), (0, 2), (1, 2)):
        corners = [[{first: i, second: j} for j in (0, 1)] for i in (0, 1)]
        views = [[_window(body, at) for at in row] for row in corners]
        near = [[_window(around, at) for at in row] for row in corners]
        for i in (0, 1):
            touching = views[0][i] & views[1][1 - i] & ~views[0][1 - i] & ~views[1][i]
            better = near[0][1 - i] >= near[1][i]  # the one with more occupied neighbours
            views[0][1 - i] |= touching & better
            views[1][i] |= touching & ~better
            found |= bool(touching.any())
    return found


def _fill_corners(body: np.ndarray) -> bool:
    """The same for corners, at which only two opposite voxels of eight are occupied, or only two are empty."""
    eight = np.stack([_window(body, {0: i, 1: j, 2: k}) for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    total, found = eight.sum(0), False
    for corner in range(4):
        same = eight[corner] == eight[7 - corner]
        touching = same & (total == np.where(eight[corner], 2, 6))
        if touching.any():
            found = True
            # a neighbour of the occupied corner, or one of the empty corners
            target = np.where(eight[corner], corner ^ 1, corner)
            for which in (corner, corner ^ 1):
                at = np.argwhere(touching & (target == which)) + np.array([which >> 2 & 1, which >> 1 & 1, which & 1])
                body[tuple(at.T)] = True
    return found


def _window(grid: np.ndarray, starts: dict[int, int]) -> np.ndarray:
    """A view of a grid that is one shorter along some axes, from 0 or 1 on."""
    return grid[
        tuple(slice(starts[a], grid.shape[a] - 1 + starts[a]) if a in starts else slice(None) for a in range(3))
    ]


def _without_small_pieces(voxels: np.ndarray, drop: float) -> tuple[np.ndarray, int]:
    """Voxels without pieces below a share of all, but for the largest; and how many were left out."""
    pieces, count = ndimage.label(voxels)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept = sizes >= drop * sizes.sum()
    kept[0], kept[sizes.argmax()] = False, True
    return kept[pieces], count - int(kept.sum())


def _join(body: np.ndarray) -> tuple[np.ndarray, int]:
    """Join every piece to the rest by a straight bridge, one voxel thick, the shortest first (Prim's tree)."""
    pieces, count = ndimage.label(body)
    if count == 1:
        return body, 0
    body = body.copy()
    points = np.argwhere(body)
    labels: np.ndarray = pieces[tuple(points.T)]
    reached = labels == np.bincount(labels).argmax()
    distance, nearest = np.full(len(points), np.inf), np.zeros((len(points), 3), int)
    new = points[reached]
    while not reached.all():
        loose = np.flatnonzero(~reached)
        found: tuple[Any, Any] = cKDTree(new).query(points[loose], p=1)  # as long as a path of voxels
        far, index = found
        closer = far < distance[loose]
        distance[loose[closer]], nearest[loose[closer]] = far[closer], new[index[closer]]
        end = int(np.where(reached, np.inf, distance).argmin())
        bridge = _path(nearest[end], points[end])
        body[tuple(bridge.T)] = True
        piece = labels == labels[end]
        reached |= piece
        new = np.concatenate([points[piece], bridge])
    return body, count - 1


def _path(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Voxels from `start` to `end` that share faces, as close to the straight line as such voxels are, (n, 3)."""
    steps = np.abs(end - start)
    moves = np.concatenate([(np.arange(n) + 0.5) / n for n in steps if n])
    axes = np.repeat(np.arange(3), steps)[np.argsort(moves, kind="stable")]
    walked = np.zeros((len(axes) + 1, 3), int)
    np.cumsum(np.eye(3, dtype=int)[axes] * np.sign(end - start), axis=0, out=walked[1:])
    return start + walked
