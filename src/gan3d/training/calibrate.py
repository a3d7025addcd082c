"""The occupancy from which a voxel counts as occupied, chosen so that generated shapes are as full as real ones."""

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.sampling import Sampler, latents

RANGE = (0.2, 0.8)  # beyond it, what is wrong is not the threshold
SEED = 0


def threshold(sampler: Sampler, data: VoxelDataset, count: int = 64) -> float:
    """The threshold at which random shapes have the mean occupancy of the validation split, class by class alike.

    Args:
        sampler: of the trained snapshot.
        data: the prepared data set; where a class has no validation shape, the snapshot's threshold stays.
        count: shapes a class.
    """
    architecture = sampler.snapshot.architecture
    kept = [data.select("validation", name) for name in data.classes]
    if not all(len(rows) for rows in kept):
        return sampler.snapshot.threshold
    share = float(np.mean([data.voxels(architecture.resolution, rows).mean() for rows in kept]))
    labels = np.repeat(np.arange(len(kept)), count)
    occupancy = sampler.occupancy(latents(SEED, len(labels), architecture.latent), labels)
    return float(np.clip(np.quantile(occupancy, 1 - share), *RANGE))
