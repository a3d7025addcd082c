"""Blocks of 2×2×2 voxels: how often each pattern occurs, and what follows from that.

A pattern is a number from 0 to 255, whose bit i is the voxel i of the block, x slowest. Patterns that rotations and
reflections turn into each other are one kind; 20 kinds are neither empty nor full. A kind is named by its voxels:
`11100000` is three voxels of four in a plane, the corner that every tooth of a ragged edge has.
"""

import itertools

import numpy as np

CELLS = tuple(itertools.product((0, 1), repeat=3))


def _kinds() -> np.ndarray:
    """The kind of each pattern, (256,): the smallest of its images under the 48 symmetries of the cube."""
    images = [
        [CELLS.index(tuple(cell[axes[k]] ^ flips[k] for k in range(3))) for cell in CELLS]
        for axes in itertools.permutations(range(3))
        for flips in CELLS
    ]
    return np.array([min(sum((n >> image[i] & 1) << i for i in range(8)) for image in images) for n in range(256)])


def _bits() -> np.ndarray:
    """The voxels of each pattern, booleans (256, 2, 2, 2)."""
    return (np.arange(256)[:, None] >> np.arange(8) & 1).astype(bool).reshape(256, 2, 2, 2)


def _euler_weights() -> np.ndarray:
    """What each pattern adds to eight times the Euler number of the union of closed voxels, (256,).

    The middle of a block is one vertex, and lies on 6 edges (shared by 2 blocks each), 12 faces (by 4) and 8 cubes.
    """
    bits = _bits()
    vertices = bits.any((1, 2, 3)).astype(int)
    edges = sum(bits.take(side, axis).any((1, 2)).astype(int) for axis in (1, 2, 3) for side in (0, 1))
    faces = sum(np.any(bits, axis=axis)[..., i, j].astype(int) for axis in (1, 2, 3) for i in (0, 1) for j in (0, 1))
    return 8 * vertices - 4 * edges + 2 * faces - bits.sum((1, 2, 3))


KINDS = _kinds()
MIXED = np.array(sorted(set(KINDS.tolist()) - {0, 255}))
NAMES = tuple("".join(str(kind >> i & 1) for i in range(8)) for kind in MIXED.tolist())
_EULER = _euler_weights()


def block_counts(padded: np.ndarray) -> np.ndarray:
    """How often each pattern occurs, (256,) int64.

    Args:
        padded: one shape, booleans (A, B, C), with an empty border.
    """
    bits = padded.view(np.uint8)
    block = np.zeros([n - 1 for n in bits.shape], np.uint8)
    for i, corner in enumerate(CELLS):
        part = bits[tuple(slice(start, start + n) for start, n in zip(corner, block.shape, strict=True))]
        block |= part << np.uint8(i)
    return np.bincount(block.ravel(), minlength=256)


def pattern_shares(counts: np.ndarray) -> np.ndarray:
    """Share of each of the 20 kinds among the mixed blocks, (20,), from `block_counts` of a shape that is not empty."""
    mixed = np.bincount(KINDS, counts, minlength=256)[MIXED]
    return mixed / mixed.sum()


def euler_number(counts: np.ndarray) -> int:
    """Vertices - edges + faces - cubes of the union of closed voxels, from `block_counts`."""
    return int(counts @ _EULER) // 8
