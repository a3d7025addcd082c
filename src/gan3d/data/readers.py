"""One file of any supported format -> a triangle mesh or a voxel grid, or a reason why not."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan3d import grids
from gan3d.data import binvox, magicavoxel
from gan3d.data.formats import KNOWN, LARGEST, looks_like, suffix
from gan3d.data.text_meshes import parse_obj, parse_off
from gan3d.data.volumes import parse_nifti

MAT_KEYS = ("instance", "voxel", "voxels")

Beside = Callable[[str], bytes]  # the content of a side file by its address relative to the file; raises Unreadable


class Mesh(NamedTuple):
    """Triangles: vertices (V, 3) float64, faces (F, 3) int64."""

    vertices: np.ndarray
    faces: np.ndarray


class Unreadable(Exception):  # noqa: N818 - a row of rejects.csv, not a failure of the run
    """A file that cannot be used: the reason, and what its owner can do, one sentence each."""

    def __init__(self, reason: str, advice: str):
        super().__init__(reason, advice)
        self.reason = reason
        self.advice = advice


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
    reader = _READERS.get(kind)
    if reader is None:
        raise Unreadable(
            f"The format {kind or 'without an extension'} is not supported.", f"Convert it to one of {KNOWN}."
        )
    content = source if isinstance(source, bytes) else contents(Path(source))
    if not content[:4096].strip() and not content.strip():
        raise Unreadable("It is empty.", "Export or download it again.")
    try:
        return _gltf(content, beside) if kind == ".gltf" else reader(content, kind)
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # a parser may fail in any way on a hostile file; the run goes on
        detail = " ".join(str(error).split())[:120].rstrip(".") or type(error).__name__
        seen = looks_like(content)
        advice = "Check that it is whole, or export it again."
        if seen and seen.lower() not in kind:
            advice = f"It looks like {seen}: give it the extension of what it is."
        raise Unreadable(f"It cannot be read as {kind[1:].upper()}: {detail}.", advice) from error


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
    side = max(grids.RESOLUTIONS[0], 1 << (max(grid.shape) - 1).bit_length())
    if side < resolution:
        raise Unreadable(
            f"It is a grid of {side}³, coarser than {resolution}³.", f"Lower data.resolution to {side} or less."
        )
    padding = [((side - length) // 2, (side - length + 1) // 2) for length in grid.shape]
    voxels = np.pad(grid, padding)[None]
    while voxels.shape[1] > resolution:
        voxels = grids.reduce(voxels)
    return voxels[0]


def as_grid(array: np.ndarray) -> np.ndarray:
    """A numeric array as a boolean grid (X, Y, Z): above 0.5 is occupied; axes of length 1 around it are dropped.

    Raises:
        Unreadable: when it has no three axes, no numbers, or NaN.
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
    return np.ascontiguousarray(array > 0.5)


def check_mesh(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    """A mesh that can be voxelised.

    Raises:
        Unreadable: for no faces, indices out of range, NaN or infinite coordinates, or no extent at all.
    """
    vertices = np.asarray(vertices, np.float64).reshape(-1, 3)
    faces = np.asarray(faces, np.int64).reshape(-1, 3)
    if not len(faces):
        raise Unreadable("It has no faces.", "Export a surface mesh: points or lines alone have no inside.")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise Unreadable(
            f"A face names vertex {faces.max()} of {len(vertices)}.",
            "Check that the file is whole, or export it again.",
        )
    used = vertices[np.unique(faces)]
    if not np.isfinite(used).all():
        raise Unreadable("Its coordinates contain NaN or infinity.", "Repair the mesh and export it again.")
    if not (used.max(0) / 2 - used.min(0) / 2 > 0).any():
        raise Unreadable("All its vertices are one point.", "Check the scale with which it was exported.")
    return Mesh(vertices, faces)


def _text_mesh(content: bytes, suffix: str) -> Mesh:
    return check_mesh(*(parse_off if suffix == ".off" else parse_obj)(content))


def _stl(content: bytes, suffix: str) -> Mesh:
    """Binary STL where the count fits the length, also with a few bytes too many; otherwise ASCII."""
    count = int.from_bytes(content[80:84], "little")
    if len(content) >= 84 and 0 <= len(content) - 84 - 50 * count < 50:
        records = np.frombuffer(
            content, np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("tag", "<u2")]), count, 84
        )
        return check_mesh(records["corners"], np.arange(3 * count))
    if b"facet" not in content and not content.lstrip().startswith(b"solid"):
        raise Unreadable(
            f"Its header claims {count} triangles, but {max(len(content) - 84, 0) // 50} are there.",
            "Export or download it again.",
        )
    return _scene(content, suffix) if b"facet" in content else check_mesh(np.empty((0, 3)), np.empty((0, 3)))


class _Neighbours(Mapping[str, bytes]):
    """Side files for trimesh, which asks for them by the address in the file; pictures are not wanted."""

    def __init__(self, beside: Beside | None):
        self.beside = beside

    def __getitem__(self, name: str) -> bytes:
        if suffix(name) in (".png", ".jpg", ".jpeg", ".webp", ".ktx2"):
            return b""
        if self.beside is None:
            raise Unreadable(f"Its side file {name[:80]} is missing.", "Put it beside the file, or export a GLB.")
        return self.beside(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _gltf(content: bytes, beside: Beside | None) -> Mesh:
    return _scene(content, ".gltf", _Neighbours(beside))


def _scene(content: bytes, suffix: str, resolver: _Neighbours | None = None) -> Mesh:
    """All meshes of a file joined with their transforms, through trimesh."""
    import trimesh  # here, since grids do without it and it takes long to import

    logging.getLogger("trimesh").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scene = trimesh.load_scene(
            io.BytesIO(content), file_type=suffix[1:], resolver=resolver, process=False, skip_materials=True
        )
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    count = 0
    for node in scene.graph.nodes_geometry:
        transform, geometry_name = scene.graph[node]
        geometry = scene.geometry[geometry_name]
        if isinstance(geometry, trimesh.Trimesh):
            vertices.append(trimesh.transform_points(geometry.vertices, transform))
            faces.append(np.asarray(geometry.faces) + count)
            count += len(geometry.vertices)
    return check_mesh(np.concatenate(vertices or [np.empty((0, 3))]), np.concatenate(faces or [np.empty((0, 3), int)]))


def _binvox(content: bytes, suffix: str) -> np.ndarray:
    return binvox.decode(content).voxels


def _nifti(content: bytes, suffix: str) -> np.ndarray:
    return as_grid(parse_nifti(content))


def _vox(content: bytes, suffix: str) -> np.ndarray:
    return magicavoxel.decode(content)


def _mat(content: bytes, suffix: str) -> np.ndarray:
    from scipy import io as matlab

    found: dict[str, Any] = matlab.loadmat(io.BytesIO(content), variable_names=MAT_KEYS)  # type: ignore[arg-type]
    for key in MAT_KEYS:
        if key in found:
            return as_grid(np.asarray(found[key]))
    names = ", ".join(name for name, *_ in matlab.whosmat(io.BytesIO(content))) or "nothing"  # type: ignore[arg-type]
    raise Unreadable(f"It holds {names[:80]}, no voxel grid.", f"Name the grid one of {', '.join(MAT_KEYS)}.")


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


def _npy(content: bytes, suffix: str) -> np.ndarray:
    file = io.BytesIO(content)
    shape, dtype, _ = npy_header(file)
    if dtype.hasobject:
        raise Unreadable("It holds Python objects, which are not loaded.", "Store booleans, integers or floats.")
    claimed = dtype.itemsize * int(np.prod(shape, dtype=object))
    if claimed > len(content) - file.tell():
        raise Unreadable(f"It ends before the {claimed} bytes that its header claims.", "Export or download it again.")
    return as_grid(np.load(io.BytesIO(content), allow_pickle=False))


_READERS: dict[str, Callable[[bytes, str], Mesh | np.ndarray]] = {
    ".off": _text_mesh,
    ".obj": _text_mesh,
    ".ply": _scene,
    ".stl": _stl,
    ".glb": _scene,
    ".gltf": _scene,
    ".binvox": _binvox,
    ".mat": _mat,
    ".npy": _npy,
    ".nii": _nifti,
    ".nii.gz": _nifti,
    ".vox": _vox,
}
