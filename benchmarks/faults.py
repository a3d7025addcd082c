"""Faults that a set of shapes may have: each makes a share of real shapes worse, so that scores can be proven on it.

Every fault takes booleans (N, R, R, R), the share of shapes that get it, and a random generator, and returns as many
shapes. None of them leaves a shape empty.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

Fault = Callable[[np.ndarray, np.random.Generator], np.ndarray]
_CUBE = np.ones((3, 3, 3), bool)


def noise(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Single voxels, a few per thousand of the grid, change their value."""
    return shape ^ (rng.random(shape.shape) < 0.003)


def asymmetry(shape: np.ndarray, rng: np.random.Generator, axis: int = 0) -> np.ndarray:
    """One half is moved up or down by a voxel or more."""
    side = shape.shape[0]
    result, step = shape.copy(), max(1, side // 32) * int(rng.choice([-1, 1]))
    half = [slice(None)] * 3
    half[axis] = slice(side // 2, None)
    result[tuple(half)] = np.roll(shape[tuple(half)], step, axis=1)
    return result


def cracks(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Straight slits, one voxel wide, cut through a part."""
    result = shape.copy()
    for _ in range(2):
        axis = int(rng.integers(3))
        occupied = np.flatnonzero(shape.any(tuple(b for b in range(3) if b != axis)))
        window = [slice(None)] * 3
        window[axis] = slice(at := int(rng.choice(occupied)), at + 1)
        other = (axis + 1 + int(rng.integers(2))) % 3
        start = int(rng.integers(shape.shape[0] // 2))
        window[other] = slice(start, start + shape.shape[0] // 2)
        result[tuple(window)] = False
    return result


def ragged(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Voxels at edges are missing or stick out, as teeth."""
    near = ndimage.uniform_filter(shape.astype(np.float32), 3, mode="constant")
    edge = shape & (near < 0.5)
    beside = ~shape & ndimage.binary_dilation(shape) & (near < 0.45)
    return (shape & ~(edge & (rng.random(shape.shape) < 0.15))) | (beside & (rng.random(shape.shape) < 0.05))


def sawn(shape: np.ndarray, rng: np.random.Generator, up: int = 1) -> np.ndarray:
    """Legs are sawn off: in all quarters but one, the lowest layers go."""
    layers = np.moveaxis(shape.copy(), up, 0)
    side = len(layers)
    lowest = int(np.flatnonzero(layers.any((1, 2)))[0])
    low = layers[lowest : lowest + max(1, side // 16)]
    a, b = (slice(None, side // 2) if rng.random() < 0.5 else slice(side // 2, None) for _ in range(2))
    kept = low[:, a, b].copy()
    low[:] = False
    low[:, a, b] = kept
    return np.moveaxis(layers, 0, up)


SINGLE: dict[str, Fault] = {
    "noise": noise,
    "asymmetry": asymmetry,
    "cracks": cracks,
    "ragged edges": ragged,
    "sawn legs": sawn,
}


def spoil(voxels: np.ndarray, fault: str, share: float, rng: np.random.Generator) -> np.ndarray:
    """Give a share of the shapes one of the SINGLE faults; the others stay as they are."""
    result = voxels.copy()
    for i in range(round(share * len(voxels))):
        spoilt = SINGLE[fault](voxels[i], rng)
        result[i] = spoilt if spoilt.any() else voxels[i]
    return result


def duplicate(voxels: np.ndarray, share: float) -> np.ndarray:
    """Replace a share of the shapes by copies of one of the others: a mode that the generator repeats."""
    result = voxels.copy()
    result[: round(share * len(voxels))] = voxels[-1]
    return result


def drop_kind(voxels: np.ndarray, share: float) -> np.ndarray:
    """Drop a share of the shapes, those that are alike (the fullest); the others fill their places."""
    order = np.argsort(voxels.mean((1, 2, 3)), kind="stable")
    kept = np.sort(order[: len(voxels) - round(share * len(voxels))])
    return voxels[np.resize(kept, len(voxels))]


def copy_training(voxels: np.ndarray, train: np.ndarray, share: float) -> np.ndarray:
    """Replace a share of the shapes by training shapes."""
    count = round(share * len(voxels))
    return np.concatenate([train[:count], voxels[count:]])
