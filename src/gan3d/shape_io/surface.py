"""The smooth surface of voxels: planes are flat, edges are crisp, and no voxel changes sides.

It starts from the exposed faces of the voxels, a mesh of quads whose vertices are corners of the grid, and moves each
vertex by less than half a voxel along each axis. So every voxel's centre stays on its side (constrained surface nets,
Gibson 1998), but where those relax all vertices alike and round every edge, only stairs are smoothed here:

1. Pair the sides of the quads, so that each quad has four neighbours. Where four quads meet at an edge, pair those of
   the same voxel, so that voxels which touch only there are apart.
2. Follow strips of quads: from a quad's side over the opposite side to the next quad. A turn is a convex (+) or concave
   (-) edge on the way. It is part of stairs if the turns before and after it, up to RUN quads away, are of the other
   sign, as in the outline of a slanted or round part in a slice of the grid; else it is an edge of the shape. Two turns
   of the same sign are the two edges of a part's side.
3. Average the normals of neighbouring quads, NORMAL_STEPS times, over all sides but those that are edges of the shape
   (as for filtering the normals of noisy meshes, Sun et al. 2007).
4. Move each vertex toward the planes through the centres of its quads with these normals, VERTEX_STEPS times, and
   never farther than REACH along an axis.

Steps 1 and 2 are integer arithmetic on arrays with one entry per side of a quad, 3 and 4 sums over neighbours.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

RUN = 6  # quads
NORMAL_STEPS = 5
VERTEX_STEPS = 10
REACH = 0.35  # voxels; below a half, so that vertices of neighbouring corners never meet
THIN_REACH = 0.15  # where a wall is one voxel thick and has to stay a wall
_ROUNDS = 6  # of parting sheets that share an edge


@dataclass(frozen=True)
class Quads:
    """The exposed faces of voxels, counter-clockwise seen from outside.

    Attributes:
        corners: vertices, integers in voxels, (V, 3).
        faces: (F, 4).
        directions: where each faces, integers from 0 to 5, (F,): its axis times two, plus one toward the axis' end.
        voxels: the voxel of each, index in C order, (F,).
        shape: of the grid.
    """

    corners: np.ndarray
    faces: np.ndarray
    directions: np.ndarray
    voxels: np.ndarray
    shape: tuple[int, ...]


def block_quads(voxels: np.ndarray) -> Quads:
    """The exposed faces of boolean voxels (X, Y, Z)."""
    lattice = tuple(n + 1 for n in voxels.shape)
    strides = (lattice[1] * lattice[2], lattice[2], 1)
    steps = (voxels.shape[1] * voxels.shape[2], voxels.shape[2], 1)
    faces, directions, inside = [], [], []
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3  # axis = first × second
        padded = np.pad(voxels, [(1, 1) if other == axis else (0, 0) for other in range(3)])
        below, above = (padded[(slice(None),) * axis + (slice(i, i + lattice[axis]),)] for i in (0, 1))
        for outward, exposed in enumerate((above > below, below > above)):
            place = np.nonzero(exposed)
            start = sum(at * stride for at, stride in zip(place, strides, strict=True))
            ring = (0, strides[first], strides[first] + strides[second], strides[second])
            faces.append(start[:, None] + np.array(ring if outward else ring[::-1]))
            directions.append(np.full(len(start), 2 * axis + outward))
            inside.append(sum(at * step for at, step in zip(place, steps, strict=True)) - outward * steps[axis])
    corners = np.concatenate(faces)
    used = np.zeros(lattice, bool)
    used.reshape(-1)[corners] = True
    index = np.cumsum(used) - 1
    return Quads(np.argwhere(used), index[corners], np.concatenate(directions), np.concatenate(inside), voxels.shape)


def block_surface(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exposed faces of boolean voxels (X, Y, Z): vertices (V, 3), integers in voxels, and triangles (F, 3)."""
    quads = block_quads(np.asarray(voxels, bool))
    return quads.corners, quads.faces[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)


def smooth_surface(voxels: np.ndarray, keep_walls: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The smooth surface of boolean voxels (X, Y, Z), closed and oriented outwards.

    Args:
        voxels: the shape.
        keep_walls: whether vertices move less where the shape is one voxel thick, so that walls stay 0.7 voxels thick.

    Returns:
        Vertices, float64 (V, 3), in voxels, where voxel (i, j, k) is the cube from there to (i+1, j+1, k+1); and
        triangles (F, 3).
    """
    quads = block_quads(voxels)
    if not len(quads.faces):
        return np.zeros((0, 3)), np.zeros((0, 3), int)
    corners, faces, across = _pair(quads)
    normals = np.zeros((len(faces), 3))
    normals[np.arange(len(faces)), quads.directions // 2] = quads.directions % 2 * 2 - 1
    normals = _average(normals, across // 4, _open_sides(quads, across))
    reach = np.full(len(corners), REACH)
    if keep_walls:
        reach[_near_thin(voxels)[tuple(corners.T)]] = THIN_REACH
    vertices = _fit(corners.astype(float), faces, normals, reach)
    return vertices, _triangles(vertices, faces)


def _pair(quads: Quads) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pair the sides of quads, and part vertices at which several sheets of the surface meet.

    Side 4 f + i of quad f is between its corners i and i + 1.

    Returns:
        Vertices (V, 3), quads (F, 4), and for each side the side of the neighbour, (4 F,).
    """
    corners, faces, axis = quads.corners, quads.faces, quads.directions[:, None] // 2
    along = (axis + np.array([1, 2, 1, 2])) % 3  # the axis of each side
    edge = (3 * np.minimum(faces, np.roll(faces, -1, 1)) + along).ravel()
    sides = np.arange(len(edge))
    across = np.bincount(edge, sides).astype(np.int64)[edge] - sides  # of two sides, their sum less this one
    four = np.flatnonzero(np.bincount(edge)[edge] == 4)
    steps = np.array([quads.shape[1] * quads.shape[2], quads.shape[2], 1])
    inside = quads.voxels[four // 4]
    outside = inside + (quads.directions[four // 4] % 2 * 2 - 1) * steps[quads.directions[four // 4] // 2]
    flipped = np.zeros(len(four), bool)
    parted, new = corners, faces
    for _ in range(_ROUNDS):
        pairs = four[np.lexsort((np.where(flipped, outside, inside), edge[four]))].reshape(-1, 2)
        across[pairs], across[pairs[:, ::-1]] = pairs[:, ::-1], pairs
        parted, new = _part_vertices(corners, faces, across)
        again = _shared_by_four(new, four)
        if not again.any():
            break
        flipped ^= np.isin(edge[four], edge[four[again]])
    return parted, new, across


def _shared_by_four(faces: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Which of these sides have the same two vertices as more than one other of them, booleans."""
    ends = np.stack([faces.ravel()[sides], np.roll(faces, -1, 1).ravel()[sides]], 1)
    _, index, count = np.unique(np.sort(ends, 1), axis=0, return_inverse=True, return_counts=True)
    return count[index.reshape(-1)] > 2


def _part_vertices(corners: np.ndarray, faces: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each fan of quads around a vertex a vertex of its own."""
    old = faces.ravel()
    crowded = np.flatnonzero((np.bincount(old) >= 6)[old])  # two fans have three quads or more each
    if not len(crowded):
        return corners, faces
    # corner i of a quad is the start of its side i; the neighbour's side runs the other way and ends there
    following = across - across % 4 + (across + 1) % 4
    number = np.zeros(len(old), int)
    number[crowded] = np.arange(len(crowded))
    links = number[following[crowded]], np.arange(len(crowded))
    count, fans = connected_components(csr_array((np.ones(len(crowded)), links), (len(crowded),) * 2), directed=False)
    first = np.empty(count, int)  # corner of a quad in each fan
    first[fans] = crowded
    new = old.copy()
    new[crowded] = len(corners) + fans
    used, new = np.unique(new, return_inverse=True)
    return np.concatenate([corners, corners[old[first]]])[used], new.reshape(faces.shape)


def _open_sides(quads: Quads, across: np.ndarray) -> np.ndarray:
    """Which sides are no edges of the shape: flat ones, and turns of stairs, booleans (4 F,)."""
    directions, voxels = quads.directions.astype(np.int8).repeat(4), quads.voxels.repeat(4)
    sign = np.where(voxels == voxels[across], 1, -1).astype(np.int8)  # a convex turn is around one voxel
    sign[directions == directions[across]] = 0
    turns = np.flatnonzero(sign)
    opposite = across ^ 2  # of the neighbour: its next side on the strip
    following, at = np.zeros_like(sign), turns
    for _ in range(RUN):
        at = opposite[at]
        following[turns] = np.where(following[turns] == 0, sign[at], following[turns])
    return (sign == 0) | ((following == -sign) & (following[across] == -sign))


def _average(normals: np.ndarray, neighbours: np.ndarray, open_sides: np.ndarray) -> np.ndarray:
    """Normals (F, 3) averaged with those of the quads (4 F,) behind open sides, again and again."""
    count = len(normals)
    sums = csr_array((open_sides.astype(float), neighbours, np.arange(0, 4 * count + 1, 4)), (count, count))
    for _ in range(NORMAL_STEPS):
        normals = normals + sums @ normals
        normals /= np.sqrt((normals**2).sum(1, keepdims=True))
    return normals


def _near_thin(voxels: np.ndarray) -> np.ndarray:
    """Corners of the grid at voxels that are in no occupied cube of 2³ voxels, booleans (X + 1, Y + 1, Z + 1)."""
    cubes = voxels
    for axis in range(3):
        cubes = _pairs(cubes, axis) > 1
    thick = np.pad(cubes, 1)
    for axis in range(3):
        thick = _pairs(thick, axis) > 0
    corners = np.pad(voxels & ~thick, 1)
    for axis in range(3):
        corners = _pairs(corners, axis) > 0
    return corners


def _pairs(grid: np.ndarray, axis: int) -> np.ndarray:
    """The sums of neighbours along an axis, which is then one shorter."""
    ends = [(slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None))]
    return grid[ends[0]].view(np.uint8) + grid[ends[1]].view(np.uint8)


def _fit(corners: np.ndarray, faces: np.ndarray, normals: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Move the vertices of quads whose normal has changed toward the planes of all their quads, up to `most` (V,)."""
    moving = np.zeros(len(corners), bool)
    moving[faces[(np.abs(normals) > 1e-9).sum(1) > 1]] = True
    part = moving[faces].any(1)
    faces, normals = faces[part], normals[part]
    used = np.flatnonzero(np.bincount(faces.ravel(), minlength=len(corners)))
    index = np.empty(len(corners), int)
    index[used] = np.arange(len(used))
    faces, vertices, reach = index[faces], corners[used], (most * moving)[used][:, None]
    low, high = vertices - reach, vertices + reach
    size = (len(used), len(faces))
    share = 1 / np.bincount(faces.ravel())
    mean_of_faces = csr_array((share[faces.ravel()], (faces.ravel(), np.repeat(np.arange(len(faces)), 4))), size)
    mean_of_corners = csr_array((np.full(faces.size, 0.25), faces.ravel(), np.arange(0, faces.size + 1, 4)), size[::-1])
    squares = (mean_of_faces @ (normals[:, :, None] * normals[:, None]).reshape(-1, 9)).reshape(-1, 3, 3)
    for _ in range(VERTEX_STEPS):
        offsets = ((mean_of_corners @ vertices) * normals).sum(1, keepdims=True)
        pull = mean_of_faces @ (offsets * normals) - np.einsum("vij,vj->vi", squares, vertices)
        vertices = np.clip(vertices + pull, low, high)
    moved = corners.copy()
    moved[used] = vertices
    return moved


def _triangles(vertices: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Cut each quad along its shorter diagonal."""
    a, b, c, d = (vertices[quads[:, i]] for i in range(4))
    longer = ((c - a) ** 2).sum(1) > ((d - b) ** 2).sum(1) + 1e-9
    turned = np.where(longer[:, None], np.roll(quads, -1, 1), quads)
    return turned[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)
