"""Items of a source to packed voxel grids."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gan3d.data.formats.readers import Mesh, UnreadableFile, fit_grid
from gan3d.data.sources import array_sets
from gan3d.data.sources.walk import SourceItem
from gan3d.data.voxelization.voxelize import Fill, voxelize
from gan3d.voxels import pack_bits

BATCH_ROWS = 64  # grids of one array per call

Progress = Callable[[int, int], None]  # called with (items done, items in total)
Result = bytes | tuple[str, str] | None  # a packed grid, (reason, advice) of a reject, or None for an empty grid


@dataclass(frozen=True)
class ConversionSettings:
    """How shapes become grids.

    Args:
        resolution: R of the finest grid.
        fill: of meshes, see `gan3d.data.voxelization.voxelize.voxelize`.
        flip: array axis along which grids are mirrored, if any.
    """

    resolution: int
    fill: Fill = "solid"
    flip: int | None = None


def convert(item: SourceItem, settings: ConversionSettings) -> Result:
    """Read and convert one item."""
    try:
        return pack_shape(item.read(), settings)
    except UnreadableFile as error:
        return error.reason, error.advice


def pack_shape(shape: Mesh | np.ndarray | UnreadableFile, settings: ConversionSettings) -> Result:
    """Convert a mesh or grid to a packed grid; an error becomes a reject."""
    if isinstance(shape, UnreadableFile):
        return shape.reason, shape.advice
    try:
        if isinstance(shape, Mesh):
            voxels = voxelize(*shape, settings.resolution, settings.fill)
        else:
            voxels = fit_grid(shape, settings.resolution)
    except UnreadableFile as error:
        return error.reason, error.advice
    if settings.flip is not None:
        voxels = np.flip(voxels, settings.flip)
    return pack_bits(voxels[None]).tobytes() if voxels.any() else None


def convert_batch(items: Sequence[SourceItem], settings: ConversionSettings) -> list[Result]:
    """Convert one file, or some rows of one array in ascending order."""
    first = items[0]
    if first.row is None:
        return [convert(item, settings) for item in items]
    rows = [item.row for item in items if item.row is not None]
    grids = array_sets.read_grids(first.location, first.file, first.key, rows)
    results = [pack_shape(grid, settings) for grid in grids]
    missing = len(items) - len(results)  # a truncated array reports its error once
    return results + results[-1:] * missing


def make_batches(items: Sequence[SourceItem], wanted: Iterable[int]) -> Iterator[list[int]]:
    """Group the numbers of the wanted items into calls of `convert_batch`; rows of an array stay in order."""
    by_array: dict[tuple, list[int]] = defaultdict(list)
    for number in wanted:
        item = items[number]
        if item.row is None:
            yield [number]
        else:
            by_array[item.location, item.key].append(number)
    for numbers in by_array.values():
        numbers.sort(key=lambda number: items[number].row or 0)
        for start in range(0, len(numbers), BATCH_ROWS):
            yield numbers[start : start + BATCH_ROWS]
