"""Convert voxel shapes to meshes, and write them to files.

A mesh lies in a cube of edge 1 with a corner at the origin, with the axes of the array. Only GLB is rotated, since glTF
defines y as up.
"""

from pathlib import Path

import numpy as np
import trimesh
from skimage import measure

from gan3d.errors import UserError
from gan3d.outputs import write_bytes
from gan3d.shape_io import threemf
from gan3d.shape_io.formats import STYLES, Style, extensions
from gan3d.voxels import AXES

EXTENSIONS = extensions("mesh")

# rotations that bring an up axis to y; none is a reflection
_TO_Y = {
    "x": np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    "y": np.eye(3),
    "z": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
}


def blocks(voxels: np.ndarray) -> trimesh.Trimesh:
    """Mesh the exposed faces of boolean voxels (R, R, R), two triangles each, counter-clockwise seen from outside.

    Vertices are merged. The mesh is closed; it is watertight unless two voxels touch only along an edge, where four
    faces meet.
    """
    vertices, faces = block_faces(np.asarray(voxels, bool))
    return trimesh.Trimesh(vertices / len(voxels), faces, process=False)


def block_faces(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exposed faces of boolean voxels (X, Y, Z): vertices (V, 3), integers in voxels, and triangles (F, 3)."""
    padded = np.pad(voxels, 1)
    quads = []
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3  # axis = first × second
        for outward in (1, -1):
            open_side = padded & ~np.roll(padded, -outward, axis)
            corner = np.argwhere(open_side) - 1
            corner[:, axis] += outward == 1
            steps = ((0, 0), (1, 0), (1, 1), (0, 1))[::outward]
            quad = np.repeat(corner[:, None], 4, 1)
            for i, (u, v) in enumerate(steps):
                quad[:, i, first] += u
                quad[:, i, second] += v
            quads.append(quad)
    corners = np.concatenate(quads).reshape(-1, 3)
    lattice = tuple(n + 1 for n in voxels.shape)
    keys, index = np.unique(np.ravel_multi_index(tuple(corners.T), lattice), return_inverse=True)
    vertices = np.stack(np.unravel_index(keys, lattice), 1)
    return vertices, index.reshape(-1, 4)[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)


def marching_cubes(occupancy: np.ndarray, threshold: float = 0.5) -> trimesh.Trimesh:
    """Mesh the surface where the occupancy (R, R, R), floats or booleans, crosses the threshold.

    Samples are taken at voxel centres; outside the grid the occupancy is 0, which closes the surface.
    """
    side = len(occupancy)
    padded = np.pad(np.asarray(occupancy, np.float32), 1)
    if not (padded > threshold).any():
        return trimesh.Trimesh(np.zeros((0, 3)), np.zeros((0, 3), int), process=False)
    # Lorensen's table: on booleans, Lewiner's leaves edges shared by four faces
    vertices, faces, _, _ = measure.marching_cubes(padded, threshold, gradient_direction="ascent", method="lorensen")
    return trimesh.Trimesh((vertices - 0.5) / side, faces, process=False)


def smooth_faces(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smooth surface of boolean voxels (X, Y, Z): vertices (V, 3) in voxels, and triangles (F, 3)."""
    vertices, faces, _, _ = measure.marching_cubes(
        np.pad(voxels.astype(np.float32), 1), 0.5, gradient_direction="ascent", method="lorensen"
    )
    return vertices - 0.5, faces


def encode_shape(
    extension: str,
    voxels: np.ndarray,
    occupancy: np.ndarray | None = None,
    style: Style = STYLES[0],
    threshold: float = 0.5,
    up: str = "y",
) -> bytes:
    """Encode a shape as the content of a mesh file.

    Args:
        extension: one of EXTENSIONS.
        voxels: booleans (R, R, R).
        occupancy: the generator's floats (R, R, R), which give marching cubes a smoother surface.
        style: one of STYLES.
        threshold: of the occupancy.
        up: the grid's axis that points up; a GLB is rotated to make it y, other formats keep the axes.

    Returns:
        The bytes; none for an empty shape.

    Raises:
        UserError: for an unknown style or up axis.
    """
    if up not in AXES:
        raise UserError(f"up axis {up!r} does not exist: choose one of {', '.join(AXES)}.")
    if style == "blocks":
        mesh = blocks(voxels)
    elif style == "marching_cubes":
        mesh = marching_cubes(voxels) if occupancy is None else marching_cubes(occupancy, threshold)
    else:
        raise UserError(f"mesh style {style!r} does not exist: choose one of {', '.join(STYLES)}.")
    if not len(mesh.faces):
        return b""
    if extension == ".glb":
        rotation = np.eye(4)
        rotation[:3, :3] = _TO_Y[up]
        mesh.apply_transform(rotation)
    return mesh_content(mesh, extension, "meter")


def mesh_content(mesh: trimesh.Trimesh, extension: str, unit: threemf.Unit) -> bytes:
    """A mesh as the content of a file; only 3MF names the unit."""
    if extension == ".3mf":
        return threemf.encode(mesh, unit)
    content = mesh.export(file_type=extension[1:])
    return content.encode() if isinstance(content, str) else content


def save_shape(
    path: str | Path,
    voxels: np.ndarray,
    occupancy: np.ndarray | None = None,
    style: Style = STYLES[0],
    threshold: float = 0.5,
    up: str = "y",
) -> Path:
    """Write a shape by the path's extension, as `encode_shape` encodes it; create a missing folder.

    Raises:
        UserError: for an unknown extension, style or up axis, and for an empty shape.
    """
    path = Path(path)
    if path.suffix.lower() not in EXTENSIONS:
        raise UserError(f"{path} cannot be written as a mesh: choose one of {', '.join(EXTENSIONS)}.")
    content = encode_shape(path.suffix.lower(), voxels, occupancy, style, threshold, up)
    if not content:
        raise UserError(f"{path} was not written since the shape is empty: choose another seed.")
    write_bytes(path, content)
    return path
