"""One split of a prepared data set as a plain file for scoring by others."""

from pathlib import Path

import numpy as np

from gan3d.dataset import VoxelDataset


def export(dataset: VoxelDataset, split: str, class_name: str | None, resolution: int, path: str | Path) -> int:
    """Write PATH (.npz) with an array `voxels`, booleans (n, R, R, R), in the manifest's order; returns n.

    `class_name` None takes all classes.

    Raises:
        UserError: for a split, class or resolution that the data set does not have.
    """
    voxels = dataset.voxels(resolution, dataset.select(split, class_name))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        np.savez_compressed(stream, voxels=voxels)
    return len(voxels)
