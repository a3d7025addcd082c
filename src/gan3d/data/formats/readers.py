"""Read one file of any supported format: a triangle mesh or a voxel grid, or a reason why not."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan3d.data.formats import binvox, magicavoxel
from gan3d.data.formats.axes import MAX_SIDE, too_long
from gan3d.data.formats.collada import parse_dae, parse_zae
from gan3d.data.formats.extensions import LFS_POINTER, MAX_FILE_BYTES, WEB_PAGE, sniff, suffix, unsupported
from gan3d.data.formats.gltf import ReadSibling, parse_gltf
from gan3d.data.formats.matlab import parse_mat
from gan3d.data.formats.nifti import parse_nifti
from gan3d.data.formats.obj import parse_obj
from gan3d.data.formats.off import parse_off
from gan3d.data.formats.ply import parse_ply
from gan3d.data.formats.stl import parse_stl
from gan3d.data.formats.threedxml import parse_3dxml
from gan3d.data.formats.threemf import parse_3mf
from gan3d.data.formats.unreadable import UnreadableFile, no_faces
from gan3d.voxels import RESOLUTIONS, max_pool

_GLTF = (".gltf", ".glb")


class Mesh(NamedTuple):
    """Triangles: vertices, float64 (V, 3), and vertex indices, int64 (F, 3)."""

    vertices: np.ndarray
    faces: np.ndarray


def read(source: str | Path | bytes, name: str, read_sibling: ReadSibling | None = None) -> Mesh | np.ndarray:
    """Read one shape.

    Args:
        source: a path, or the content of the file.
        name: whose extension decides the format.
        read_sibling: reads the buffer files of a glTF; without it they count as missing.

    Returns:
        A `Mesh`, with all meshes of a scene merged and transformed, or a boolean grid (X, Y, Z).

    Raises:
        UnreadableFile: if the file cannot be used, for any reason.
        MemoryError: if it needs more memory than allowed.
    """
    kind = suffix(name)
    if kind not in (*_MESHES, *_GLTF, *_GRIDS):
        raise UnreadableFile(*unsupported(kind))
    content = source if isinstance(source, bytes) else read_bytes(Path(source))
    if not content[:4096].strip() and not content.strip():
        raise UnreadableFile("It is empty.", "Export or download it again.")
    try:
        if kind in _GRIDS:
            return _GRIDS[kind](content)
        return check_mesh(*(parse_gltf(content, read_sibling) if kind in _GLTF else _MESHES[kind](content)))
    except MemoryError:
        raise
    except Exception as error:  # a parser may raise anything on a hostile file
        if seen := sniff(content, kind):
            reason = f"It is not {kind[1:].upper()}: it looks like {seen}."
            raise UnreadableFile(reason, _advice_on_mismatch(seen)) from error
        if isinstance(error, UnreadableFile):
            raise
        detail = " ".join(str(error).split())[:120].rstrip(".") or type(error).__name__
        raise UnreadableFile(
            f"It cannot be read as {kind[1:].upper()}: {detail}.", "Check that it is complete, or export it again."
        ) from error


def _advice_on_mismatch(seen: str) -> str:
    """Advice on a file whose content does not match its extension."""
    if seen == WEB_PAGE:
        return "Download it again, from the address of the file itself."
    if seen == LFS_POINTER:
        return "Fetch the file itself with `git lfs pull`."
    return "Give it the extension of its format."


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        UnreadableFile: if it cannot be opened, or is larger than MAX_FILE_BYTES.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UnreadableFile("It is larger than 1 GiB.", "Simplify the shape, or split the file.")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableFile(
            f"It cannot be opened: {error.strerror}.", "Check that it exists, and its permissions."
        ) from None


def fit_grid(grid: np.ndarray, resolution: int) -> np.ndarray:
    """Bring a boolean grid (X, Y, Z) to (R, R, R).

    It is padded symmetrically to a cube with the next power of two as its edge (30³ to 32³), then halved by max
    pooling.

    Raises:
        UnreadableFile: if the grid is coarser than R, or a side is above MAX_SIDE.
    """
    if max(grid.shape) > MAX_SIDE:
        raise too_long(grid.shape)
    side = max(RESOLUTIONS[0], 1 << (max(grid.shape) - 1).bit_length())
    if side < resolution:
        raise UnreadableFile(
            f"It is a grid of {side}³, coarser than {resolution}³.", f"Lower data.resolution to {side} or less."
        )
    padding = [((side - length) // 2, (side - length + 1) // 2) for length in grid.shape]
    voxels = np.pad(grid, padding)[None]
    while voxels.shape[1] > resolution:
        voxels = max_pool(voxels)
    return voxels[0]


def as_grid(array: np.ndarray) -> np.ndarray:
    """Convert a numeric array to a boolean grid (X, Y, Z): values above 0.5 are occupied, axes of length 1 dropped.

    Raises:
        UnreadableFile: if the array does not have three axes, is not numeric, or holds NaN or signed distances.
    """
    shape = array.shape
    if array.ndim > 3 and sum(length > 1 for length in shape) == 3:
        array = array.squeeze()
    if array.ndim != 3 or 0 in shape:
        raise UnreadableFile(f"Its array has the shape {shape}.", "Store one grid of three axes (X, Y, Z).")
    if array.dtype.kind not in "buif":
        raise UnreadableFile(f"Its array holds {array.dtype}, not numbers.", "Store booleans, integers or floats.")
    if array.dtype.kind == "f" and shape[-1] == 3 and min(shape) > 1 and (array != np.round(array)).any():
        raise UnreadableFile(
            f"Its array has the shape {shape}, as points have.", "Store one grid of three axes (X, Y, Z)."
        )
    if max(array.shape) > MAX_SIDE:
        raise too_long(array.shape)
    if array.size > binvox.MAX_VOXELS:
        raise UnreadableFile(
            f"Its grid has {array.size} voxels.", f"Store it with at most {binvox.MAX_VOXELS} voxels (512³)."
        )
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise UnreadableFile("Its grid contains NaN.", "Replace NaN by 0 or 1.")
    if array.dtype.kind == "f" and array.min() < 0 and (array != np.round(array)).any():
        raise UnreadableFile(
            f"Its values range from {array.min():.3g} to {array.max():.3g}, as signed distances do.",
            "Store occupancy, from 0 (empty) to 1.",
        )
    return np.ascontiguousarray(array > 0.5)


def check_mesh(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    """Check that a mesh can be voxelised.

    Raises:
        UnreadableFile: for no faces, indices out of range, NaN or infinite coordinates, or no extent.
    """
    vertices = np.asarray(vertices, np.float64).reshape(-1, 3)
    faces = np.asarray(faces, np.int64).reshape(-1, 3)
    if not len(faces):
        raise no_faces()
    if faces.min() < 0 or faces.max() >= len(vertices):
        wrong = faces.min() if faces.min() < 0 else faces.max()
        raise UnreadableFile(
            f"A face refers to vertex {wrong}, but the mesh has {len(vertices)} vertices.",
            "Check that the file is complete, or export it again.",
        )
    used = vertices[np.unique(faces)]
    if not np.isfinite(used).all():
        raise UnreadableFile("Its coordinates contain NaN or infinity.", "Repair the mesh and export it again.")
    if not (used.max(0) / 2 - used.min(0) / 2 > 0).any():
        raise UnreadableFile("All its vertices are one point.", "Check the scale of the export.")
    return Mesh(vertices, faces)


def npy_header(file: Any) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, dtype and whether the order is Fortran's, from an .npy stream, which is left at the data.

    Raises:
        ValueError: if it is not an .npy stream.
    """
    version = np.lib.format.read_magic(file)
    parse = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = parse(file)
    if min(shape, default=0) < 0:
        raise ValueError(f"its header claims the shape {shape}")
    return shape, dtype, fortran


def _parse_npy(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    shape, dtype, _ = npy_header(file)
    if dtype.hasobject:
        raise UnreadableFile("It holds Python objects, which are not loaded.", "Store booleans, integers or floats.")
    claimed = dtype.itemsize * int(np.prod(shape, dtype=object))
    if claimed > len(content) - file.tell():
        raise UnreadableFile(
            f"It ends before the {claimed} bytes that its header claims.", "Export or download it again."
        )
    return as_grid(np.load(io.BytesIO(content), allow_pickle=False))


_MESHES: dict[str, Callable[[bytes], tuple[np.ndarray, np.ndarray]]] = {
    ".off": parse_off,
    ".obj": parse_obj,
    ".ply": parse_ply,
    ".stl": parse_stl,
    ".3mf": parse_3mf,
    ".3dxml": parse_3dxml,
    ".dae": parse_dae,
    ".zae": parse_zae,
}
_GRIDS: dict[str, Callable[[bytes], np.ndarray]] = {
    ".binvox": lambda content: binvox.decode(content).voxels,
    ".mat": lambda content: as_grid(parse_mat(content)),
    ".npy": _parse_npy,
    ".nii": lambda content: as_grid(parse_nifti(content)),
    ".nii.gz": lambda content: as_grid(parse_nifti(content)),
    ".vox": magicavoxel.decode,
}
