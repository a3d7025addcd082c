"""Tiny networks, batches and recipes."""

from collections.abc import Callable

import numpy as np
import pytest

from gan3d.dataset import VoxelDataset, key
from gan3d.networks.architecture import Architecture
from gan3d.training.recipe import Recipe

WIDTHS = (6, 5, 4)  # at 4³, 8³, 16³


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def architecture_for(data: VoxelDataset, resolution: int, latent: int = 8) -> Architecture:
    count = (4, 8, 16).index(resolution) + 1
    occupancy = tuple(data.summary["occupancy"][key(side)] for side in (4, 8, 16)[:count])
    return Architecture(latent, tuple(data.classes), WIDTHS[:count], occupancy)


@pytest.fixture(scope="session")
def architecture(dataset) -> Callable[..., Architecture]:
    """A small architecture for the tiny data set, up to a resolution."""
    return lambda resolution, data=dataset: architecture_for(data, resolution)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Quick enough to see something move in a few steps."""
    return Recipe(batch=8, penalty_every=2, lr_g=5e-3, lr_d=5e-3, ema=0.5, fade_in=64, stabilise=64, seed=3)
