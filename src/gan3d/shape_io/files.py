"""Write shapes to files and read them back, by extension."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from gan3d.data.formats import binvox
from gan3d.data.formats.readers import Mesh, UnreadableFile, as_grid, read
from gan3d.data.sources.archives import Location
from gan3d.data.voxelization.voxelize import voxelize
from gan3d.errors import UserError
from gan3d.outputs import check_place, new_file, write_bytes
from gan3d.rendering.sheets import animate, by_class, colors_of, save_png, strip
from gan3d.rendering.viewer import write_page
from gan3d.rendering.voxels import render
from gan3d.shape_io import meshing
from gan3d.shape_io.formats import FILES, STYLES, Style, check_printed, file_format

if TYPE_CHECKING:  # manifold3d is needed for bodies alone
    from gan3d.shape_io.print_settings import PrintSettings
    from gan3d.shape_io.printing import PrintedBody


def check_output(path: Path) -> None:
    """Refuse, before any work, an unknown extension and a place where no file can be.

    Raises:
        UserError: if it is refused.
    """
    file_format(path)
    check_place(path)


def write_shapes(
    path: Path,
    voxels: np.ndarray,
    labels: Sequence[str],
    up: str = "y",
    style: Style = STYLES[0],
    classes: Sequence[str] = (),
) -> list[Path]:
    """Write shapes in the format of the path's extension; create a missing folder.

    Where a file holds one shape, several shapes become `name_000.stl`, `name_001.stl`, …

    Args:
        voxels: booleans (n, R, R, R).
        labels: the class of each.
        up: the axis that points up.
        style: of meshes, one of `gan3d.shape_io.formats.STYLES`.
        classes: all classes of the model, whose order sets the colours of pictures; by default those of `labels`.

    Returns:
        The files written.

    Raises:
        UserError: for an unknown extension, and for an empty shape that should become a mesh.
    """
    wanted = file_format(path)
    if wanted.many:
        _write_many(path, wanted.name, voxels, labels, up, classes)
        return [path]
    paths = _numbered(path, len(voxels))
    for i, one in enumerate(paths):
        if wanted.kind == "mesh":
            meshing.save_shape(one, voxels[i], style, up)
        else:
            write_bytes(one, binvox.encode(binvox.Binvox(voxels[i])))
    return paths


def write_bodies(
    path: Path, voxels: np.ndarray, settings: "PrintSettings", up: str = "y", style: Style = STYLES[0]
) -> list[tuple[Path, "PrintedBody"]]:
    """Write shapes as bodies to print, each in a file of its own as `write_shapes` names them.

    Nothing is written unless all shapes pass the check.

    Args:
        path: whose extension is that of a format for printing.
        voxels: booleans (n, R, R, R).
        settings: size, walls, base.
        up: the axis of the grid that points up.
        style: of the surface.

    Returns:
        The files written, each with its body.

    Raises:
        UserError: for another extension, and as `gan3d.shape_io.printing.printable`.
    """
    from gan3d.shape_io.printing import printable

    wanted = file_format(path)
    check_printed(wanted)
    several = len(voxels) > 1
    names = [f"shape {i + 1} of {len(voxels)}" if several else "the shape" for i in range(len(voxels))]
    bodies = [printable(shape, settings, style, up, name) for shape, name in zip(voxels, names, strict=True)]
    paths = _numbered(path, len(voxels))
    for one, body in zip(paths, bodies, strict=True):
        write_bytes(one, meshing.mesh_content(body.mesh, wanted.extension, "millimeter"))
    return list(zip(paths, bodies, strict=True))


def _numbered(path: Path, count: int) -> list[Path]:
    """The path itself for one shape; `name_000.stl`, `name_001.stl`, … for several."""
    return [path.with_stem(f"{path.stem}_{i:03d}") for i in range(count)] if count > 1 else [path] * count


def _write_many(
    path: Path, name: str, voxels: np.ndarray, labels: Sequence[str], up: str, classes: Sequence[str]
) -> None:
    if name in ("npy", "npz"):
        with (
            new_file(path) as temporary,
            temporary.open("wb") as out,
        ):  # a name would get a second extension where the first is in capitals
            np.save(out, voxels) if name == "npy" else np.savez_compressed(out, voxels=voxels)
    elif name == "png":
        save_png(path, by_class(voxels, labels, up, classes))
    else:
        write_page(path, voxels, labels, path.stem, up=up, colors=colors_of(labels, classes))


def write_interpolation(path: Path, voxels: np.ndarray, up: str, color: tuple[int, int, int]) -> list[Path]:
    """Write the steps of an interpolation, booleans (n, R, R, R), as a strip (.png) and beside it a .gif."""
    save_png(path, strip(list(voxels), up=up, color=color))
    frames = [render(shape, 256, up, color) for shape in voxels]
    return [path, animate(path.with_suffix(".gif"), frames, bounce=True)]


def load_shapes(path: Path, resolution: int) -> np.ndarray:
    """Read the shapes of any supported file, booleans (n, R, R, R).

    An .npy or .npz may hold many, (n, R, R, R), as `voxels` or as its first array; a mesh is voxelised at `resolution`.

    Raises:
        UserError: when it cannot be read.
    """
    if not path.is_file():
        what = "is not a regular file" if path.exists() else "does not exist"
        raise UserError(f"{path} {what}: name a voxel or mesh file.")
    try:
        if _holds_arrays(path):
            return _load_arrays(path)
        shape = read(path, path.name, Location(path, None, path.parent).read_sibling)
    except UnreadableFile as error:
        raise UserError(f"{path}: {error.reason} {error.advice}") from None
    return (voxelize(*shape, resolution) if isinstance(shape, Mesh) else _cube(shape))[None]


def _holds_arrays(path: Path) -> bool:
    written = FILES.get(path.suffix.lower())
    return written is not None and written.kind == "array" and written.many


def _load_arrays(path: Path) -> np.ndarray:
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            array = stored
        else:
            with stored:
                array = stored["voxels" if "voxels" in stored.files else stored.files[0]]
    except (OSError, EOFError, ValueError, IndexError, BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read as an array ({error}): check that the file is complete.") from None
    if array.ndim not in (3, 4) or not array.size:
        raise UserError(f"{path} has the shape {array.shape}: store a grid (R, R, R), or several (n, R, R, R).")
    shapes = array if array.ndim == 4 else array[None]
    return np.stack([_cube(as_grid(shape)) for shape in shapes])


def _cube(grid: np.ndarray) -> np.ndarray:
    """Pad a grid to a cube, with the shape in the middle."""
    side = max(grid.shape)
    return np.pad(grid, [((side - n) // 2, (side - n + 1) // 2) for n in grid.shape])
