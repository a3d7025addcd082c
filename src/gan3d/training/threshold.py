"""The occupancy from which a voxel counts as occupied, chosen so that generated shapes are as full as real ones."""

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler

RANGE = (0.2, 0.8)  # beyond it, what is wrong is not the threshold
SEED = 0


def calibrate_threshold(sampler: Sampler, data: VoxelDataset, count: int = 64) -> float:
    """The threshold at which random shapes have the mean occupancy of the validation split, class by class alike.

    That mean is known to within its standard error, and little occupancy lies between thresholds once the generator is
    sure of its voxels: of those within the error it is the one closest to the snapshot's.

    Args:
        sampler: of the trained snapshot.
        data: the prepared data set; where a class has no validation shape, the snapshot's threshold stays.
        count: shapes a class.
    """
    architecture = sampler.model.architecture
    kept = [data.select("validation", name) for name in data.classes]
    if not all(len(rows) for rows in kept):
        return sampler.model.threshold
    filled = [data.voxels(architecture.resolution, rows).mean((1, 2, 3)) for rows in kept]
    share = np.mean([values.mean() for values in filled])
    error = np.sqrt(sum(values.var() / len(values) for values in filled)) / len(kept)
    labels = np.repeat(np.arange(len(kept)), count)
    occupancy = sampler.occupancy(draw_latents(SEED, len(labels), architecture.latent), labels)
    low, high = np.quantile(occupancy, np.clip([1 - share - error, 1 - share + error], 0, 1))
    return float(np.clip(np.clip(sampler.model.threshold, low, high), *RANGE))
