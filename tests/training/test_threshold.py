"""The threshold at which samples are as full as validation shapes."""

from dataclasses import replace

import numpy as np
import pytest

from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler
from gan3d.training import threshold
from gan3d.training.growth import grow
from gan3d.training.threshold import RANGE, SEED, calibrate_threshold


@pytest.fixture
def sampler(architecture):
    return Sampler(grow(None, architecture(8), 0)[2])


def test_samples_become_as_full_as_validation_shapes(sampler, dataset, monkeypatch):
    monkeypatch.setattr(threshold, "RANGE", (0.0, 1.0))
    found = calibrate_threshold(sampler, dataset)
    labels = np.repeat([0, 1], 64)
    occupancy = sampler.occupancy(draw_latents(SEED, 128, 8), labels)
    filled = [dataset.voxels(8, dataset.select("validation", name)).mean((1, 2, 3)) for name in dataset.classes]
    wanted = np.mean([values.mean() for values in filled])
    error = np.sqrt(sum(values.var() / len(values) for values in filled)) / 2
    assert abs((occupancy > 0.5).mean() - wanted) > 2 * error  # an untrained generator is not as full by itself
    assert abs((occupancy > found).mean() - wanted) == pytest.approx(error, abs=1e-3)


def test_a_threshold_within_the_error_of_the_validation_shapes_stays(sampler, dataset, monkeypatch):
    monkeypatch.setattr(threshold, "RANGE", (0.0, 1.0))
    found = calibrate_threshold(sampler, dataset)
    kept = Sampler(replace(sampler.model, threshold=found + 1e-6))
    assert calibrate_threshold(kept, dataset) == pytest.approx(kept.model.threshold, abs=2e-6)


def test_what_is_far_off_is_not_mended_by_a_threshold(sampler, dataset):
    least, most = RANGE
    assert least <= calibrate_threshold(sampler, dataset) <= most


def test_without_validation_shapes_the_threshold_stays(sampler, dataset, monkeypatch):
    monkeypatch.setattr(type(dataset), "select", lambda self, split, name=None: np.zeros(0, int))
    assert calibrate_threshold(sampler, dataset) == 0.5
