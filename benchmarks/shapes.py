"""Random shapes with the occupancy of furniture, for benchmarks of speed."""

import numpy as np

from gan3d.voxels import pack_bits


def boxes(resolution: int, count: int) -> np.ndarray:
    """Shapes of four boxes each, as bits (count, R³ / 8)."""
    rng = np.random.default_rng(0)
    voxels = np.zeros((count, *(resolution,) * 3), bool)
    for shape in voxels:
        for _ in range(4):
            low = rng.integers(0, resolution * 3 // 4, 3)
            high = low + 1 + rng.integers(1, max(2, resolution // 3), 3)
            shape[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return pack_bits(voxels)
