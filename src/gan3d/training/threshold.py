"""Calibrate the occupancy threshold: generated shapes should be as full as real ones."""

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler

RANGE = (0.2, 0.8)  # beyond it, the threshold is not what is wrong
SEED = 0
TOTAL = 4096  # samples over all classes, as of 64 classes; the occupancies of more would fill the memory


def calibrate_threshold(sampler: Sampler, data: VoxelDataset, count: int = 64) -> float:
    """The threshold at which random samples have the validation split's mean occupancy, classes weighted equally.

    The mean is known only to within its standard error, so a range of thresholds fits it (a wide range, if the
    generator is confident and few occupancies lie between 0 and 1). Of these, the one closest to the model's own is
    taken.

    Args:
        sampler: of the trained model.
        data: the prepared data set; if a class has no validation shape, the model's threshold is kept.
        count: samples per class, at most; fewer where there are many classes.
    """
    architecture = sampler.model.architecture
    validation_rows = [data.select("validation", name) for name in data.classes]
    if not all(len(rows) for rows in validation_rows):
        return sampler.model.threshold
    occupancies = [data.voxels(architecture.resolution, rows).mean((1, 2, 3)) for rows in validation_rows]
    share = np.mean([values.mean() for values in occupancies])
    error = np.sqrt(sum(values.var() / len(values) for values in occupancies)) / len(validation_rows)
    each = max(1, min(count, TOTAL // len(validation_rows)))
    labels = np.repeat(np.arange(len(validation_rows)), each)
    occupancy = sampler.occupancy(draw_latents(SEED, len(labels), architecture.latent), labels)
    low, high = np.quantile(occupancy, np.clip([1 - share - error, 1 - share + error], 0, 1))
    return float(np.clip(np.clip(sampler.model.threshold, low, high), *RANGE))
