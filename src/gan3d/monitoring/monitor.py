"""The monitor of a training: samples of fixed latents, diagnostics, and advice."""

from typing import Any

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.model_file import TrainedModel
from gan3d.monitoring import advice
from gan3d.monitoring.diagnostics import Diagnostics
from gan3d.monitoring.fixed_samples import FixedSamples
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.training.callback import Row, Samples


class TrainingMonitor:
    """See `gan3d.training.callback.Monitor`.

    Args:
        data: its splits "train" and "validation" are looked at.
        start: networks and first weights of the stage; only their structure is used.
        samples_per_class: fixed latents per class.
    """

    def __init__(
        self, data: VoxelDataset, start: tuple[Generator, Discriminator, TrainedModel], samples_per_class: int
    ):
        self.fixed = FixedSamples(start[2], samples_per_class)
        self.diagnostics = Diagnostics(data, start[:2], self.fixed.sampler)

    def sample(self, state: dict[str, Any], alpha: float) -> Samples:
        return self.fixed.draw(state["ema"], alpha), self.fixed.labels

    def diagnose(self, state: dict[str, Any], alpha: float, voxels: np.ndarray, labels: np.ndarray) -> Row:
        return self.diagnostics.examine(state, alpha, voxels, labels)

    def advise(self, row: Row, history: list[Row]) -> list[str]:
        return advice.advise(row, history)
