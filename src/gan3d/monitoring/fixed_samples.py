"""Samples of the same latents throughout training, so that pictures of different times and runs can be compared."""

import numpy as np

from gan3d.model_file import TrainedModel
from gan3d.networks.weights import assign_weights
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler

CLASSES = 24  # that are sampled, the first ones: a page of pictures


class FixedSamples:
    """The same latents through all of training, so that pictures of different times and runs can be compared."""

    def __init__(self, start: TrainedModel, count: int):
        self.sampler = Sampler(start)
        classes = min(CLASSES, len(start.architecture.classes))
        self.names = list(start.ema)
        self.labels = np.repeat(np.arange(classes), count)
        self.latents = np.tile(draw_latents(0, count, start.architecture.latent), (classes, 1))

    def draw(self, ema: list, alpha: float) -> np.ndarray:
        """Shapes of the fixed latents for emad weights, booleans (classes · count, R, R, R)."""
        assign_weights(self.sampler.generator, dict(zip(self.names, ema, strict=True)))
        return self.sampler.binary(self.sampler.occupancy(self.latents, self.labels, alpha))
