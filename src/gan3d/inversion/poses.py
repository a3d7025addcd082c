"""How a shape may have to be turned and placed before a generator knows it: which way is up, in front, on the floor."""

import numpy as np

from gan3d.voxels import AXES


def poses(voxels: np.ndarray, up: str) -> np.ndarray:
    """Different grids of one shape, booleans (P, R, R, R), the shape as it is first.

    It is turned so that another axis points up, turned about that axis in quarter turns, centred, and put on the floor.

    Args:
        voxels: booleans (R, R, R), not empty.
        up: the axis that points up in the generator's shapes.
    """
    axis = AXES.index(up)
    others = [other for other in range(3) if other != axis]
    upright = [voxels, np.rot90(voxels, 1, (others[1], axis)), np.rot90(voxels, 3, (others[1], axis))]
    turned = [np.rot90(shape, turns, (others[0], others[1])) for shape in upright for turns in range(4)]
    grids = [voxels]
    for shape in turned:
        grids += [centre(shape), place_on_floor(centre(shape), axis)]
    unique: dict[bytes, np.ndarray] = {}
    for grid in grids:
        unique.setdefault(np.packbits(grid).tobytes(), grid)
    return np.ascontiguousarray(list(unique.values()))


def centre(voxels: np.ndarray) -> np.ndarray:
    """Booleans (R, R, R) moved so that the occupied box is in the middle."""
    shifts = []
    for axis in range(3):
        filled = np.flatnonzero(voxels.any(tuple(other for other in range(3) if other != axis)))
        shifts.append((len(voxels) - 1 - filled[0] - filled[-1]) // 2)
    return np.roll(voxels, shifts, (0, 1, 2))


def place_on_floor(voxels: np.ndarray, axis: int) -> np.ndarray:
    """Booleans (R, R, R) moved down along an axis until they touch its lowest layer."""
    filled = voxels.any(tuple(other for other in range(3) if other != axis))
    return np.roll(voxels, -int(filled.argmax()), axis)
