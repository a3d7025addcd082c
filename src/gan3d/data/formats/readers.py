"""One file of any supported format -> a triangle mesh or a voxel grid, or a reason why not."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan3d.data.formats import binvox, magicavoxel
from gan3d.data.formats.extensions import LARGEST, LFS, PAGE, looks_like, suffix, unsupported
from gan3d.data.formats.gltf import Beside, parse_gltf
from gan3d.data.formats.matlab import parse_mat
from gan3d.data.formats.nifti import parse_nifti
from gan3d.data.formats.obj import parse_obj
from gan3d.data.formats.off import parse_off
from gan3d.data.formats.ply import parse_ply
from gan3d.data.formats.stl import parse_stl
from gan3d.data.formats.unreadable import Unreadable, no_faces
from gan3d.voxels import RESOLUTIONS, max_pool

_GLTF = (".gltf", ".glb")


class Mesh(NamedTuple):
    """Triangles: vertices (V, 3) float64, faces (F, 3) int64."""

    vertices: np.ndarray
    faces: np.ndarray


def read(source: str | Path | bytes, name: str, beside: Beside | None = None) -> Mesh | np.ndarray:
    """Read one shape from a path or from bytes; the extension of `name` decides the format.

    Args:
        beside: reads the side files of a glTF; without it they are taken to be missing.

    Returns:
        A `Mesh`, all meshes of a scene joined with their transforms, or a boolean grid (X, Y, Z).

    Raises:
        Unreadable: whatever is wrong with the file.
        MemoryError: when it needs more memory than there is.
    """
    kind = suffix(name)
    if kind not in (*_MESHES, *_GLTF, *_GRIDS):
        raise Unreadable(*unsupported(kind))
    content = source if isinstance(source, bytes) else contents(Path(source))
    if not content[:4096].strip() and not content.strip():
        raise Unreadable("It is empty.", "Export or download it again.")
    try:
        if kind in _GRIDS:
            return _GRIDS[kind](content)
        return check_mesh(*(parse_gltf(content, beside) if kind in _GLTF else _MESHES[kind](content)))
    except MemoryError:
        raise
    except Exception as error:  # a parser may fail in any way on a hostile file; the run goes on
        if seen := looks_like(content, kind):
            raise Unreadable(f"It is no {kind[1:].upper()}: it looks like {seen}.", _what_to_do(seen)) from error
        if isinstance(error, Unreadable):
            raise
        detail = " ".join(str(error).split())[:120].rstrip(".") or type(error).__name__
        raise Unreadable(
            f"It cannot be read as {kind[1:].upper()}: {detail}.", "Check that it is whole, or export it again."
        ) from error


def _what_to_do(seen: str) -> str:
    """Advice on a file that is something else than its name says."""
    if seen == PAGE:
        return "Download it again, from the address of the file itself."
    if seen == LFS:
        return "Fetch the file itself with `git lfs pull`."
    return "Give it the extension of what it is."


def contents(path: Path) -> bytes:
    """The bytes of a file; raises `Unreadable` when it cannot be opened or is larger than LARGEST."""
    try:
        if path.stat().st_size > LARGEST:
            raise Unreadable("It is larger than 1 GiB.", "Simplify the shape, or split the file.")
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"It cannot be opened: {error.strerror}.", "Check that it exists and may be read.") from None


def fit(grid: np.ndarray, resolution: int) -> np.ndarray:
    """Bring a grid (X, Y, Z) of booleans to (R, R, R).

    It is padded on all sides alike to a cube and to the next power of two (30³ -> 32³), then halved by max pooling.

    Raises:
        Unreadable: when the grid is coarser than R.
    """
    side = max(RESOLUTIONS[0], 1 << (max(grid.shape) - 1).bit_length())
    if side < resolution:
        raise Unreadable(
            f"It is a grid of {side}³, coarser than {resolution}³.", f"Lower data.resolution to {side} or less."
        )
    padding = [((side - length) // 2, (side - length + 1) // 2) for length in grid.shape]
    voxels = np.pad(grid, padding)[None]
    while voxels.shape[1] > resolution:
        voxels = max_pool(voxels)
    return voxels[0]


def as_grid(array: np.ndarray) -> np.ndarray:
    """A numeric array as a boolean grid (X, Y, Z): above 0.5 is occupied; axes of length 1 around it are dropped.

    Raises:
        Unreadable: when it has no three axes, no numbers, NaN, or signed distances.
    """
    shape = array.shape
    if array.ndim > 3 and sum(length > 1 for length in shape) == 3:
        array = array.squeeze()
    if array.ndim != 3 or 0 in shape:
        raise Unreadable(f"Its array has the shape {shape}.", "Store one grid of three axes (X, Y, Z).")
    if array.dtype.kind not in "buif":
        raise Unreadable(f"Its array holds {array.dtype}, not numbers.", "Store booleans, integers or floats.")
    if array.dtype.kind == "f" and shape[-1] == 3 and min(shape) > 1 and (array != np.round(array)).any():
        raise Unreadable(f"Its array has the shape {shape}, as points have.", "Store one grid of three axes (X, Y, Z).")
    if array.size > binvox.LIMIT:
        raise Unreadable(f"Its grid has {array.size} voxels.", f"Store it with at most {binvox.LIMIT} voxels (512³).")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise Unreadable("Its grid contains NaN.", "Replace NaN by 0 or 1.")
    if array.dtype.kind == "f" and array.min() < 0 and (array != np.round(array)).any():
        raise Unreadable(
            f"Its values reach from {array.min():.3g} to {array.max():.3g}, as distances do.",
            "Store occupancy, from 0 (empty) to 1.",
        )
    return np.ascontiguousarray(array > 0.5)


def check_mesh(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    """A mesh that can be voxelised.

    Raises:
        Unreadable: for no faces, indices out of range, NaN or infinite coordinates, or no extent at all.
    """
    vertices = np.asarray(vertices, np.float64).reshape(-1, 3)
    faces = np.asarray(faces, np.int64).reshape(-1, 3)
    if not len(faces):
        raise no_faces()
    if faces.min() < 0 or faces.max() >= len(vertices):
        wrong = faces.min() if faces.min() < 0 else faces.max()
        raise Unreadable(
            f"A face names vertex {wrong}, but there are {len(vertices)}.",
            "Check that the file is whole, or export it again.",
        )
    used = vertices[np.unique(faces)]
    if not np.isfinite(used).all():
        raise Unreadable("Its coordinates contain NaN or infinity.", "Repair the mesh and export it again.")
    if not (used.max(0) / 2 - used.min(0) / 2 > 0).any():
        raise Unreadable("All its vertices are one point.", "Check the scale with which it was exported.")
    return Mesh(vertices, faces)


def npy_header(file: Any) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape and type that the head of an .npy stream claims, and whether the first axis runs fastest.

    The stream then stands at the data.

    Raises:
        ValueError: when it is no .npy stream.
    """
    version = np.lib.format.read_magic(file)
    head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = head(file)
    if min(shape, default=0) < 0:
        raise ValueError(f"its header claims the shape {shape}")
    return shape, dtype, fortran


def _npy(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    shape, dtype, _ = npy_header(file)
    if dtype.hasobject:
        raise Unreadable("It holds Python objects, which are not loaded.", "Store booleans, integers or floats.")
    claimed = dtype.itemsize * int(np.prod(shape, dtype=object))
    if claimed > len(content) - file.tell():
        raise Unreadable(f"It ends before the {claimed} bytes that its header claims.", "Export or download it again.")
    return as_grid(np.load(io.BytesIO(content), allow_pickle=False))


_MESHES: dict[str, Callable[[bytes], tuple[np.ndarray, np.ndarray]]] = {
    ".off": parse_off,
    ".obj": parse_obj,
    ".ply": parse_ply,
    ".stl": parse_stl,
}
_GRIDS: dict[str, Callable[[bytes], np.ndarray]] = {
    ".binvox": lambda content: binvox.decode(content).voxels,
    ".mat": lambda content: as_grid(parse_mat(content)),
    ".npy": _npy,
    ".nii": lambda content: as_grid(parse_nifti(content)),
    ".nii.gz": lambda content: as_grid(parse_nifti(content)),
    ".vox": magicavoxel.decode,
}
