"""Export one split of a prepared data set as a plain file, for scoring by other programs."""

from pathlib import Path

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.outputs import new_file


def export(dataset: VoxelDataset, split: str, class_name: str | None, resolution: int, path: str | Path) -> int:
    """Write an .npz with an array `voxels`, booleans (n, R, R, R) in manifest order.

    Args:
        dataset: to read from.
        split: train, validation or test.
        class_name: one class; None exports all.
        resolution: R.
        path: of the .npz; missing folders are created.

    Returns:
        n, the number of shapes.

    Raises:
        UserError: for a split, class or resolution that the data set does not have.
    """
    voxels = dataset.voxels(resolution, dataset.select(split, class_name))
    with new_file(Path(path)) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, voxels=voxels)
    return len(voxels)
