"""Features of the discriminator: its activations as one vector per shape, after 3D-GAN (Wu et al. 2016, §4.2).

There, the maps of three convolutions are max-pooled to small grids and concatenated, and a linear SVM on them shows how
much of the classes the network has learned. Here it is the maps of all convolutions but the last, which also depends on
the other shapes in the batch.
"""

from collections.abc import Iterator

import numpy as np
from keras import ops

from gan3d.networks.discriminator import Discriminator
from gan3d.networks.layers import Tensor

SIDE = 2  # edge of the grid that each map is pooled to
BATCH = 64


def features(discriminator: Discriminator, voxels: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Max-pooled activations of all maps, float32 (N, side³ · channels), for booleans (N, R, R, R).

    Args:
        side: edge of the grid that maps are pooled to; a coarser map stays as it is.
    """
    parts = [
        np.concatenate([_flat(pool(grids, side)) for grids in discriminator.maps(batch)], axis=1)
        for batch in _batches(voxels)
    ]
    return np.concatenate(parts)[: len(voxels)] if parts else np.zeros((0, 0), np.float32)


def pool(grids: Tensor, side: int) -> Tensor:
    """The largest value in each of side³ equal parts; grids (B, S, S, S, channels), S a multiple of `side` or less."""
    width = grids.shape[1] // side
    return ops.max_pool(grids, width, width, data_format="channels_last") if width > 1 else grids


def pooled_voxels(voxels: np.ndarray, side: int) -> np.ndarray:
    """The shapes themselves, max-pooled to side³, float32 (N, side³): the baseline of the features."""
    return np.concatenate([_flat(pool(batch, side)) for batch in _batches(voxels)])[: len(voxels)]


def _batches(voxels: np.ndarray) -> Iterator[np.ndarray]:
    """Batches of one size, so that the network compiles once: float32 (BATCH, R, R, R, 1), padded with empty shapes."""
    for start in range(0, len(voxels), BATCH):
        batch = voxels[start : start + BATCH].astype(np.float32)[..., None]
        yield np.pad(batch, ((0, BATCH - len(batch)), *[(0, 0)] * 4))


def _flat(grids: Tensor) -> np.ndarray:
    values = ops.convert_to_numpy(ops.cast(grids, "float32"))
    return values.reshape(len(values), -1)
