"""Where shapes are placed: on the floor of the grid, as things that stand are, or centred.

Prepared shapes are centred first. A generator of centred shapes must guess in which layer the feet of a table end.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from gan3d.data.pipeline.statistics import evenly_spaced
from gan3d.voxels import AXES, pack_bits, stands, unpack_bits

PLACES = ("measured", "floor", "centre")
SAMPLE_SIZE = 50  # shapes per class that are tried
MIN_STANDING = 0.5  # share of them that must stand for the class to be placed on the floor


def choose_places(
    classes: dict[int, str], grid: Callable[[int], bytes], place: str, resolution: int, up: str
) -> dict[str, str]:
    """`floor` or `centre` by class: as given, or as measured on some of its shapes.

    Args:
        classes: the class of each shape, by its number.
        grid: gives the packed grid of a number, R³ / 8 bytes.
        place: one of PLACES.
        resolution: R.
        up: the axis that points up.
    """
    members: dict[str, list[int]] = {}
    for number, name in classes.items():
        members.setdefault(name, []).append(number)
    if place != "measured":
        return dict.fromkeys(members, place)
    grids = {name: [grid(i) for i in evenly_spaced(numbers, SAMPLE_SIZE)] for name, numbers in members.items()}
    return {name: measure_place(packed, resolution, up) for name, packed in grids.items()}


def measure_place(grids: Sequence[bytes], resolution: int, up: str) -> str:
    """`floor` for a class most of whose shapes would stand, else `centre`; see `choose_places`."""
    share = np.mean([stands(shape, up) for shape in unpack_bits(_stack(grids), resolution)])
    return "floor" if share >= MIN_STANDING else "centre"


def lower(packed: bytes, resolution: int, up: str) -> bytes:
    """Move a packed grid down until it touches the lowest layer."""
    axis = 1 + AXES.index(up)
    voxels = unpack_bits(_stack([packed]), resolution)
    occupied = np.asarray(voxels.any(tuple({0, 1, 2, 3} - {axis})))
    return pack_bits(np.roll(voxels, -int(occupied.argmax()), axis)).tobytes()


def _stack(packed: Iterable[bytes]) -> np.ndarray:
    return np.stack([np.frombuffer(grid, np.uint8) for grid in packed])
