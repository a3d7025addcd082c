"""One training stage: what it starts from, and the threshold its model is used with."""

from dataclasses import replace

from gan3d.dataset import VoxelDataset
from gan3d.model_file import TrainedModel
from gan3d.networks.architecture import Architecture
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.sampling.sampler import Sampler
from gan3d.training.growth import grow
from gan3d.training.threshold import calibrate_threshold

CALIBRATED = "calibrated"  # in place of a threshold: fit it to the validation shapes


def build_stage(
    parent: TrainedModel | None, architecture: Architecture, seed: int, threshold: float | str
) -> tuple[Generator, Discriminator, TrainedModel]:
    """Networks and first weights of a stage; a threshold that is a number applies from the first sample on.

    Args:
        parent: the model it grows from, None for one that starts from scratch.
        seed: of the first weights.
        threshold: a number, or CALIBRATED.
    """
    generator, discriminator, first = grow(parent, architecture, seed)
    return generator, discriminator, first if isinstance(threshold, str) else replace(first, threshold=threshold)


def finish_stage(trained: TrainedModel, data: VoxelDataset, threshold: float | str) -> TrainedModel:
    """The trained model with the data's up axis and its threshold, which is calibrated where that is asked for."""
    value = calibrate_threshold(Sampler(trained), data) if isinstance(threshold, str) else threshold
    return replace(trained, up=data.up, threshold=value)
