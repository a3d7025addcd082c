"""Intersection over union of voxel grids."""

import numpy as np

from gan3d.voxels import pack_bits


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of booleans (n, R, R, R) and (m, R, R, R), pair by pair where n = m or one is 1; 1 for two empty ones."""
    union = (a | b).sum((1, 2, 3))
    return np.where(union > 0, (a & b).sum((1, 2, 3)) / np.maximum(union, 1), 1.0)


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of each of booleans (n, R, R, R) with each of (m, R, R, R), (n, m)."""
    return iou_packed(pack_bits(a), pack_bits(b))


def iou_packed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same for bits (n, bytes) and (m, bytes), as `gan3d.voxels.pack_bits` packs them."""
    sizes_a, sizes_b = (np.bitwise_count(bits).sum(1, dtype=np.int64) for bits in (a, b))
    result = np.empty((len(a), len(b)))
    for i, row in enumerate(a):
        both = np.bitwise_count(row & b).sum(1, dtype=np.int64)
        union = sizes_a[i] + sizes_b - both
        result[i] = np.where(union > 0, both / np.maximum(union, 1), 1.0)
    return result
