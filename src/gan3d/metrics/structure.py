"""Statistics of a shape's structure: what an eye sees at once and Chamfer distances do not.

The two looks at a shape by which `gan3d.metrics.tell` tells generated shapes from real ones: eight plain statistics,
and the kinds of its blocks (`gan3d.metrics.blocks`).
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gan3d.metrics.blocks import NAMES, block_counts, euler_number, pattern_shares
from gan3d.voxels import stands

STATISTICS = {  # name -> definition
    "pieces": "log(1 + number of 26-connected components)",
    "tunnels": "log(1 + tunnels), by the Euler number of the union of closed voxels",
    "cavities": "log(1 + 6-connected pockets of empty space that do not reach the outside)",
    "thin": "share of surface voxels with fewer than 9 occupied voxels in their 3×3×3",
    "flat": "share of exposed faces whose four neighbours in the plane are exposed faces, too",
    "occupied": "share of occupied voxels",
    "surface": "surface voxels / occupied voxels^(2/3)",
    "asymmetry": "voxels that differ from the mirror image / occupied voxels, along the axis where that is least",
}
THIN = 9  # occupied voxels in 3×3×3, below which a surface voxel belongs to a thin part
_CUBE = np.ones((3, 3, 3), bool)


@dataclass(frozen=True, eq=False)
class Looks:
    """Measures of n shapes, none of them empty.

    Attributes:
        structure: STATISTICS, (n, 8).
        patterns: shares of the kinds of mixed blocks, (n, 20), in the order of `gan3d.metrics.blocks.NAMES`.
    """

    structure: np.ndarray
    patterns: np.ndarray

    def __len__(self) -> int:
        return len(self.structure)


def look(voxels: np.ndarray) -> Looks:
    """Measure booleans (n, R, R, R), none of them empty, on all cores."""
    structure, patterns = np.empty((len(voxels), len(STATISTICS))), np.empty((len(voxels), len(NAMES)))

    def measure(i: int) -> None:
        padded = np.pad(crop(voxels[i]), 1)
        counts = block_counts(padded)
        structure[i] = (*_topology(padded, counts), *_surface(padded), *_whole(voxels[i], padded))
        patterns[i] = pattern_shares(counts)

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # NumPy and SciPy release the GIL
        list(threads.map(measure, range(len(voxels))))
    return Looks(structure, patterns)


def standing(voxels: np.ndarray, up: str = "y") -> np.ndarray:
    """Which of booleans (n, R, R, R), none of them empty, would stand where they are put, booleans (n,).

    Args:
        up: the axis that points up.
    """
    return np.array([stands(shape, up) for shape in voxels], bool)


def crop(shape: np.ndarray) -> np.ndarray:
    """The part of a grid that its occupied voxels span; at least one is needed."""
    spans = [np.flatnonzero(shape.any(tuple(b for b in range(3) if b != axis))) for axis in range(3)]
    return shape[tuple(slice(span[0], span[-1] + 1) for span in spans)]


def _topology(padded: np.ndarray, counts: np.ndarray) -> tuple[float, float, float]:
    """Pieces, tunnels, cavities."""
    pieces = ndimage.label(padded, _CUBE)[1]
    cavities = ndimage.label(~padded)[1] - 1
    tunnels = max(pieces + cavities - euler_number(counts), 0)
    return float(np.log1p(pieces)), float(np.log1p(tunnels)), float(np.log1p(cavities))


def _surface(padded: np.ndarray) -> tuple[float, float]:
    """Thin parts, flat faces."""
    near = padded.astype(np.uint8)
    for axis in range(3):
        lanes = np.moveaxis(near, axis, 0)
        sums = np.moveaxis(np.zeros_like(near), axis, 0)
        sums[1:-1] = lanes[:-2] + lanes[1:-1] + lanes[2:]
        near = np.moveaxis(sums, 0, axis)
    exposed = level = 0
    shell = np.zeros_like(padded)
    for axis in range(3):
        rest = [other for other in range(3) if other != axis]
        for step in (1, -1):
            face = padded & ~np.roll(padded, -step, axis)
            shell |= face
            inside = face.copy()
            for other in rest:
                for shift in (1, -1):
                    inside &= np.roll(face, shift, other)
            exposed += int(np.count_nonzero(face))
            level += int(np.count_nonzero(inside))
    return float((near[shell] < THIN).mean()), level / exposed


def _whole(shape: np.ndarray, padded: np.ndarray) -> tuple[float, float, float]:
    """Occupied share, surface, asymmetry."""
    count = np.count_nonzero(shape)
    interior = padded[1:-1, 1:-1, 1:-1].copy()
    for axis in range(3):
        for step in (0, 2):
            window = [slice(1, -1)] * 3
            window[axis] = slice(step, step + interior.shape[axis])
            interior &= padded[tuple(window)]
    surface = count - np.count_nonzero(interior)
    mirrored = min(np.count_nonzero(shape != np.flip(shape, axis)) for axis in range(3))
    return count / shape.size, surface / count ** (2 / 3), mirrored / count
