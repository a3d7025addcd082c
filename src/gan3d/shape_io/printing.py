"""Shapes as bodies that can be printed: one piece, watertight, in millimetres, standing on the plate of the printer.

Voxels are repaired before they are meshed (`gan3d.shape_io.bodies`), so that no mesh has to be repaired. Every body is
then checked by manifold3d, which shares no code with what made it.
"""

import math
from dataclasses import dataclass

import manifold3d
import numpy as np
import trimesh
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gan3d.errors import UserError
from gan3d.shape_io.bodies import Repairs, one_body
from gan3d.shape_io.formats import STYLES, Style
from gan3d.shape_io.hollow import cavities
from gan3d.shape_io.print_settings import BASE, THINNEST, PrintSettings
from gan3d.shape_io.surface import block_surface, smooth_surface
from gan3d.voxels import AXES

FACING = 0.5  # cosine between the ways into and out of a wall, below which its sides form an edge or a tip


@dataclass(frozen=True, eq=False)
class PrintedBody:
    """A body that passed the check.

    Attributes:
        mesh: in mm; its bounding box has a corner at the origin.
        repairs: what was done to make one body.
        wall: the thinnest wall in mm, measured from the middle of each triangle, straight inwards.
        volume: of the material, in mm³.
        cavities: number of closed cavities.
        voxel: the edge of a voxel in mm.
    """

    mesh: trimesh.Trimesh
    repairs: Repairs
    wall: float
    volume: float
    cavities: int
    voxel: float

    def describe(self) -> str:
        """What was made, in one line."""
        edges = " x ".join(f"{edge:.1f}" for edge in self.mesh.extents)
        parts = [f"{edges} mm", f"walls of at least {self.wall:.2f} mm", f"{self.volume / 1000:.1f} cm3"]
        done = self.repairs
        if self.cavities:
            parts.append(f"hollow, {_count(self.cavities, 'closed cavity', 'closed cavities')}")
        if done.dropped:
            parts.append(f"{_count(done.dropped, 'loose piece')} left out")
        if done.joined:
            parts.append(f"{_count(done.joined, 'loose piece')} joined by {_count(done.bridge, 'voxel')}")
        if done.filled:
            parts.append(f"{_count(done.filled, 'voxel')} added where others touched only along an edge")
        if done.voids:
            parts.append(f"{_count(done.voids, 'voxel')} of enclosed voids filled")
        return ", ".join(parts)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def printable(
    voxels: np.ndarray, settings: PrintSettings, style: Style = STYLES[0], up: str = "y", name: str = "the shape"
) -> PrintedBody:
    """Make a body that can be printed, and check it.

    Args:
        voxels: booleans (R, R, R).
        settings: size, up axis of the file, walls, base.
        style: of the surface.
        up: the axis of the grid that points up.
        name: of the shape, for messages.

    Raises:
        UserError: for settings out of range, an empty shape, walls too thin at this size, and a body too thin to
            be hollow.
    """
    settings.check()
    if not voxels.any():
        raise UserError(f"{name} is empty and cannot be printed: choose another seed or threshold.")
    body, repairs = one_body(_to_z(np.asarray(voxels, bool), up), settings.drop)
    body = np.pad(body[tuple(slice(low, high) for low, high in _bounds(body))], 1)
    if settings.base:
        body = _with_base(body, settings.size)
    mesh, voxel = _mesh(body, settings, style, name)
    solid, count = check_body(mesh, name)
    wall = thinnest_wall(mesh, solid)
    if wall < THINNEST:
        raise UserError(
            f"{name} has walls of {wall:.2f} mm at a size of {settings.size:g} mm, and printers need {THINNEST:g} mm:"
            f" give a size of at least {math.ceil(settings.size * THINNEST / wall)} mm."
        )
    return PrintedBody(mesh, repairs, wall, float(solid.volume()), count, voxel)


def _mesh(body: np.ndarray, settings: PrintSettings, style: Style, name: str) -> tuple[trimesh.Trimesh, float]:
    """The surface of a padded grid in mm, with cavities if asked, and the edge of a voxel in mm."""
    vertices, faces = block_surface(body) if style == "blocks" else smooth_surface(body, keep_walls=True)
    voxel = settings.size / float(np.ptp(vertices, axis=0).max())
    if settings.hollow is not None:
        inner, inward = cavities(vertices, faces, settings.hollow / voxel)
        if not len(inward):
            raise UserError(
                f"{name} is nowhere thick enough at {settings.size:g} mm for walls of {settings.hollow:g} mm around a"
                " cavity: give a thinner wall or a larger size, or print it solid."
            )
        vertices, faces = np.concatenate([vertices, inner]), np.concatenate([faces, inward + len(vertices)])
    vertices = (vertices - vertices.min(0)) * voxel
    vertices = np.roll(vertices, AXES.index(settings.up) - 2, axis=1)  # a rotation, as it is cyclic
    return trimesh.Trimesh(np.asarray(vertices, np.float32), faces, process=False), voxel


def check_body(mesh: trimesh.Trimesh, name: str = "the shape") -> tuple[manifold3d.Manifold, int]:
    """Check a mesh as a slicer will read it, with vertices merged by their coordinates in float32.

    Returns:
        The mesh as manifold3d's solid, and the number of its closed cavities.

    Raises:
        UserError: unless it is one watertight, oriented 2-manifold that encloses a volume, with cavities inside.
    """
    vertices, index = np.unique(np.asarray(mesh.vertices, np.float32), axis=0, return_inverse=True)
    faces = np.asarray(index.reshape(-1)[mesh.faces], np.uint32)
    solid = manifold3d.Manifold(manifold3d.Mesh(vertices, faces))
    problem = "" if solid.status() == manifold3d.Error.NoError else str(solid.status()).rpartition(".")[2]
    volumes, _ = _shells(vertices, faces)
    if not problem and int((volumes > 0).sum()) != 1:
        problem = f"{int((volumes > 0).sum())} bodies"
    if not problem and not math.isclose(solid.volume(), volumes.sum(), rel_tol=1e-3):
        problem = "degenerate faces"
    if problem:
        raise UserError(f"{name} cannot be printed ({problem}): choose another seed, style or threshold.")
    return solid, len(volumes) - 1


def _shells(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The signed volume inside each closed surface, and the surface that each face belongs to."""
    ends = np.concatenate([faces[:, :2], faces[:, 1:]]).astype(int)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (len(vertices),) * 2)
    shells, labels = connected_components(graph, directed=False)
    of_face = labels[faces[:, 0]]
    a, b, c = (vertices[faces[:, i]].astype(float) for i in range(3))
    return np.bincount(of_face, (a * np.cross(b, c)).sum(1) / 6, shells), of_face


def thinnest_wall(mesh: trimesh.Trimesh, solid: manifold3d.Manifold) -> float:
    """The smallest distance from the middle of an outer triangle straight inwards to the other side, in mm.

    Where the two surfaces meet at less than 60°, they form an edge or a tip and not a wall. What lies between two
    cavities does not count.
    """
    reach = float(np.linalg.norm(mesh.extents))
    step = reach * 1e-5  # off the triangle itself
    volumes, shell = _shells(mesh.vertices, mesh.faces)
    outer = volumes[shell] > 0
    starts, inward = mesh.triangles_center[outer], -mesh.face_normals[outer]
    thinnest = reach
    for start, direction in zip(starts + inward * step, inward, strict=True):
        hits = solid.ray_cast(tuple(start), tuple(start + direction * thinnest))
        if hits and np.dot(hits[0].normal, direction) > FACING:
            thinnest = min(thinnest, hits[0].distance * thinnest + step)
    return thinnest


def _to_z(voxels: np.ndarray, up: str) -> np.ndarray:
    """Turn a grid so that its up axis becomes z; a rotation, since the axes are moved in a cycle."""
    shift = 2 - AXES.index(up)
    return np.transpose(voxels, [(axis - shift) % 3 for axis in range(3)])


def _bounds(voxels: np.ndarray) -> list[tuple[int, int]]:
    """The first occupied index and the one after the last, of each axis."""
    filled = [np.flatnonzero(voxels.any(tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    return [(int(some[0]), int(some[-1]) + 1) for some in filled]


def _with_base(body: np.ndarray, size: float) -> np.ndarray:
    """Put a padded body onto a plate, a voxel wider on all sides."""
    layers = max(1, math.ceil(BASE / (size / max(body.shape))))
    raised = np.pad(body, [(1, 1), (1, 1), (layers, 0)])
    raised[1:-1, 1:-1, 1 : layers + 1] = True
    return one_body(raised)[0]
