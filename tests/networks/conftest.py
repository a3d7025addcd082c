"""Tiny networks."""

from collections.abc import Callable

import numpy as np
import pytest

from gan3d.networks.architecture import Architecture

WIDTHS = (6, 5, 4)  # at 4³, 8³, 16³: unequal, so that a mixed-up width shows
OCCUPANCY = (0.3, 0.2, 0.1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture(scope="session")
def architecture() -> Callable[..., Architecture]:
    """A small architecture up to a resolution."""

    def make(resolution: int, classes: tuple[str, ...] = ("column", "slab"), **fields) -> Architecture:
        count = (4, 8, 16).index(resolution) + 1
        return Architecture(8, classes, WIDTHS[:count], OCCUPANCY[:count], **fields)

    return make
