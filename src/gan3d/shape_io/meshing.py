"""Convert voxel shapes to meshes, and write them to files.

A mesh lies in a cube of edge 1 with a corner at the origin, with the axes of the array. Only GLB is rotated, since glTF
defines y as up.
"""

from pathlib import Path

import numpy as np
import trimesh

from gan3d.errors import UserError
from gan3d.outputs import write_bytes
from gan3d.shape_io import threemf
from gan3d.shape_io.formats import STYLES, Style, extensions
from gan3d.shape_io.surface import block_surface, smooth_surface
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
    vertices, faces = block_surface(voxels)
    return trimesh.Trimesh(vertices / len(voxels), faces, process=False)


def smooth(voxels: np.ndarray) -> trimesh.Trimesh:
    """Mesh the smooth surface of boolean voxels (R, R, R), closed, with every voxel on its side of it."""
    vertices, faces = smooth_surface(np.asarray(voxels, bool))
    return trimesh.Trimesh(vertices / len(voxels), faces, process=False)


def encode_shape(
    extension: str,
    voxels: np.ndarray,
    style: Style = STYLES[0],
    up: str = "y",
) -> bytes:
    """Encode a shape as the content of a mesh file.

    Args:
        extension: one of EXTENSIONS.
        voxels: booleans (R, R, R).
        style: one of STYLES.
        up: the grid's axis that points up; a GLB is rotated to make it y, other formats keep the axes.

    Returns:
        The bytes; none for an empty shape.

    Raises:
        UserError: for an unknown style or up axis.
    """
    if up not in AXES:
        raise UserError(f"up axis {up!r} does not exist: choose one of {', '.join(AXES)}.")
    if style not in STYLES:
        raise UserError(f"mesh style {style!r} does not exist: choose one of {', '.join(STYLES)}.")
    mesh = smooth(voxels) if style == "smooth" else blocks(voxels)
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
    style: Style = STYLES[0],
    up: str = "y",
) -> Path:
    """Write a shape by the path's extension, as `encode_shape` encodes it; create a missing folder.

    Raises:
        UserError: for an unknown extension, style or up axis, and for an empty shape.
    """
    path = Path(path)
    if path.suffix.lower() not in EXTENSIONS:
        raise UserError(f"{path} cannot be written as a mesh: choose one of {', '.join(EXTENSIONS)}.")
    content = encode_shape(path.suffix.lower(), voxels, style, up)
    if not content:
        raise UserError(f"{path} was not written since the shape is empty: choose another seed.")
    write_bytes(path, content)
    return path
