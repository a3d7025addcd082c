"""Where shapes stand in the grid: on its floor, as things that stand do, or centred.

Prepared shapes are centred first. A generator of centred shapes must guess in which layer the feet of a table end.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from gan3d.voxels import AXES, pack_bits, stands, unpack_bits

PLACES = ("measured", "floor", "centre")
SAMPLE_SIZE = 50  # shapes per class that are tried
MIN_STANDING = 0.5  # share of them that must stand for the class to be placed on the floor


def measure_places(grids: dict[str, Sequence[bytes]], resolution: int, up: str) -> dict[str, str]:
    """`floor` for the classes most of whose shapes would stand, else `centre`.

    Args:
        grids: some packed grids of each class, R³ / 8 bytes each.
        resolution: R.
        up: the axis that points up.
    """
    standing = {
        name: np.mean([stands(shape, up) for shape in unpack_bits(_stack(packed), resolution)])
        for name, packed in grids.items()
    }
    return {name: "floor" if share >= MIN_STANDING else "centre" for name, share in standing.items()}


def lower(packed: bytes, resolution: int, up: str) -> bytes:
    """Move a packed grid down until it touches the lowest layer."""
    axis = 1 + AXES.index(up)
    voxels = unpack_bits(_stack([packed]), resolution)
    occupied = np.asarray(voxels.any(tuple({0, 1, 2, 3} - {axis})))
    return pack_bits(np.roll(voxels, -int(occupied.argmax()), axis)).tobytes()


def _stack(packed: Iterable[bytes]) -> np.ndarray:
    return np.stack([np.frombuffer(grid, np.uint8) for grid in packed])
