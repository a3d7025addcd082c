"""Items of a source -> packed voxel grids."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gan3d.data.formats.readers import Mesh, Unreadable, fit
from gan3d.data.sources.walk import Item, array_sets
from gan3d.data.voxelization.voxelize import Fill, voxelize
from gan3d.voxels import pack_bits

ROWS = 64  # grids of one array that a call converts

Progress = Callable[[int, int], None]
Result = bytes | tuple[str, str] | None  # packed grid, or (reason, advice), or empty


@dataclass(frozen=True)
class Form:
    """What shapes become: grids of `resolution`³, filled so; `flip` is an axis to mirror, if any."""

    resolution: int
    fill: Fill = "solid"
    flip: int | None = None


def convert(item: Item, form: Form) -> Result:
    """One item as a packed grid; None when it is empty; (reason, advice) when it cannot be used."""
    try:
        return packed(item.read(), form)
    except Unreadable as error:
        return error.reason, error.advice


def packed(shape: Mesh | np.ndarray | Unreadable, form: Form) -> Result:
    """A mesh or grid as a packed grid."""
    if isinstance(shape, Unreadable):
        return shape.reason, shape.advice
    try:
        if isinstance(shape, Mesh):
            voxels = voxelize(*shape, form.resolution, form.fill)
        else:
            voxels = fit(shape, form.resolution)
    except Unreadable as error:
        return error.reason, error.advice
    if form.flip is not None:
        voxels = np.flip(voxels, form.flip)
    return pack_bits(voxels[None]).tobytes() if voxels.any() else None


def convert_block(items: Sequence[Item], form: Form) -> list[Result]:
    """One file, or some rows of one array in ascending order."""
    first = items[0]
    if first.row is None:
        return [convert(item, form) for item in items]
    rows = [item.row for item in items if item.row is not None]
    results = [packed(grid, form) for grid in array_sets.grids(first.place, first.file, first.key, rows)]
    missing = len(items) - len(results)  # an array that breaks off says so once
    return results + results[-1:] * missing


def blocks(items: Sequence[Item], wanted: Iterable[int]) -> Iterator[list[int]]:
    """Numbers of the wanted items in blocks for `convert_block`; rows of an array come in their order on disk."""
    arrays_: dict[tuple, list[int]] = defaultdict(list)
    for number in wanted:
        item = items[number]
        if item.row is None:
            yield [number]
        else:
            arrays_[item.place, item.key].append(number)
    for numbers in arrays_.values():
        numbers.sort(key=lambda number: items[number].row or 0)
        for start in range(0, len(numbers), ROWS):
            yield numbers[start : start + ROWS]
