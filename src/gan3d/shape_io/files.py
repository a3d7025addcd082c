"""Shapes to files and from files, by extension: grids, meshes, pictures, pages."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from gan3d.data.formats import binvox
from gan3d.data.formats.readers import Mesh, UnreadableFile, as_grid, read
from gan3d.data.sources.archives import Location
from gan3d.data.voxelization.voxelize import voxelize
from gan3d.errors import UserError
from gan3d.rendering.sheets import animate, by_class, colors_of, save_png, strip
from gan3d.rendering.viewer import write_page
from gan3d.rendering.voxels import render
from gan3d.shape_io import meshing

ARRAYS = (".npy", ".npz")
PICTURES = (".png", ".html")
ONE_EACH = (".binvox", *meshing.EXTENSIONS)  # formats that hold one shape a file


def check_output(path: Path) -> None:
    """Refuse an extension that nothing here writes, before any work is done.

    Raises:
        UserError: naming those that there are.
    """
    if path.suffix.lower() not in (*ARRAYS, *ONE_EACH, *PICTURES):
        known = ", ".join((*ARRAYS, *ONE_EACH, *PICTURES))
        raise UserError(f"{path} cannot be written: give it one of the extensions {known}.")


def write_shapes(
    path: Path,
    voxels: np.ndarray,
    labels: Sequence[str],
    up: str = "y",
    occupancy: np.ndarray | None = None,
    threshold: float = 0.5,
    style: meshing.Style = "marching_cubes",
    classes: Sequence[str] = (),
) -> list[Path]:
    """Write shapes in the format of the path's extension; a folder that is missing is made.

    A format of one shape a file gives `name_000.stl`, `name_001.stl`, … for several shapes.

    Args:
        voxels: booleans (n, R, R, R).
        labels: the class of each.
        up: the axis that points up.
        occupancy: the generator's floats (n, R, R, R), for smoother marching cubes.
        threshold: of the occupancy.
        style: of meshes, "marching_cubes" or "blocks".
        classes: all of the model's, by whose order pictures are coloured; those of `labels`, when it is not given.

    Returns:
        The files written.

    Raises:
        UserError: for an unknown extension, and for an empty shape that should become a mesh.
    """
    check_output(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        np.save(path, voxels)
    elif suffix == ".npz":
        np.savez_compressed(path, voxels=voxels)
    elif suffix == ".png":
        save_png(path, by_class(voxels, labels, up, classes))
    elif suffix == ".html":
        write_page(path, voxels, labels, path.stem, up=up, colors=colors_of(labels, classes))
    else:
        several = len(voxels) > 1
        paths = [path.with_stem(f"{path.stem}_{i:03d}") if several else path for i in range(len(voxels))]
        for i, one in enumerate(paths):
            if suffix == ".binvox":
                one.write_bytes(binvox.encode(binvox.Binvox(voxels[i])))
            else:
                floats = None if occupancy is None else occupancy[i]
                meshing.save_shape(one, voxels[i], floats, style, threshold, up)
        return paths
    return [path]


def write_interpolation(path: Path, voxels: np.ndarray, up: str, color: tuple[int, int, int]) -> list[Path]:
    """Write the steps of an interpolation, booleans (n, R, R, R), as a strip (.png) and, beside it, as a .gif."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, strip(list(voxels), up=up, color=color))
    frames = [render(shape, 256, up, color) for shape in voxels]
    return [path, animate(path.with_suffix(".gif"), frames, bounce=True)]


def load_shapes(path: Path, resolution: int) -> np.ndarray:
    """Shapes of any file that can be read, booleans (n, R, R, R).

    An .npy or .npz may hold many, (n, R, R, R), as `voxels` or as its first array; a mesh is voxelised at `resolution`.

    Raises:
        UserError: when it cannot be read.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist: name a voxel or mesh file.")
    try:
        if path.suffix.lower() in ARRAYS:
            return _arrays(path)
        shape = read(path, path.name, Location(path, None, path.parent).read_sibling)
    except UnreadableFile as error:
        raise UserError(f"{path}: {error.reason} {error.advice}") from None
    return (voxelize(*shape, resolution) if isinstance(shape, Mesh) else _cube(shape))[None]


def _arrays(path: Path) -> np.ndarray:
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            array = stored
        else:
            with stored:
                array = stored["voxels" if "voxels" in stored.files else stored.files[0]]
    except (OSError, EOFError, ValueError, IndexError, BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read as an array ({error}): check that it is whole.") from None
    if array.ndim not in (3, 4) or not array.size:
        raise UserError(f"{path} has the shape {array.shape}: store a grid (R, R, R), or several (n, R, R, R).")
    shapes = array if array.ndim == 4 else array[None]
    return np.stack([_cube(as_grid(shape)) for shape in shapes])


def _cube(grid: np.ndarray) -> np.ndarray:
    """Pad a grid to a cube, shape in the middle."""
    side = max(grid.shape)
    return np.pad(grid, [((side - n) // 2, (side - n + 1) // 2) for n in grid.shape])
