"""Features of the discriminator: how they are computed, and that they depend on one shape alone."""

import numpy as np
import pytest
from keras import ops

from gan3d.errors import UserError
from gan3d.metrics import features as module
from gan3d.metrics.features import features, pool, pooled_voxels
from gan3d.model_file import TrainedModel
from gan3d.networks.architecture import Architecture
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.layers import minibatch_std
from gan3d.training.growth import grow

WIDTHS = (6, 5, 4)


@pytest.fixture(scope="module")
def start() -> TrainedModel:
    return grow(None, Architecture(8, ("column", "slab"), WIDTHS, (0.4, 0.3, 0.2)), seed=1)[2]


@pytest.fixture(scope="module")
def discriminator(start) -> Discriminator:
    return start.build_discriminator()


@pytest.fixture(scope="module")
def voxels(dataset) -> np.ndarray:
    return dataset.voxels(16, dataset.select("train"))


@pytest.mark.parametrize("side", [2, 4, 8])
def test_every_map_is_pooled_and_joined(discriminator, voxels, side):
    maps = [ops.convert_to_numpy(one) for one in discriminator.maps(voxels[:3, ..., None].astype(np.float32))]
    assert [one.shape[1:] for one in maps] == [(16, 16, 16, 4)] * 2 + [(8, 8, 8, 5)] * 2 + [(4, 4, 4, 6)]
    expected = []
    for one in maps:
        kept = min(side, one.shape[1])
        parts = one.reshape(3, kept, one.shape[1] // kept, kept, one.shape[1] // kept, kept, one.shape[1] // kept, -1)
        expected.append(parts.max((2, 4, 6)).reshape(3, -1))
    result = features(discriminator, voxels[:3], side)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.concatenate(expected, axis=1), rtol=1e-5, atol=1e-6)


def test_features_do_not_depend_on_the_other_shapes_in_the_batch(discriminator, voxels, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 16)
    together = features(discriminator, voxels)
    assert len(together) == len(voxels) == 40  # the last batch is filled up
    np.testing.assert_allclose(features(discriminator, voxels[::-1])[::-1], together, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(features(discriminator, voxels[7:8]), together[7:8], rtol=1e-5, atol=1e-6)
    assert together.std(axis=0).max() > 0


def test_the_discriminator_scores_the_same_maps(discriminator, voxels):
    given = voxels[:4, ..., None].astype(np.float32)
    deepest = discriminator.maps(given)[-1]
    hidden = ops.leaky_relu(discriminator.last(deepest, minibatch_std(deepest)), 0.2)
    hidden = ops.leaky_relu(discriminator.hidden(ops.reshape(hidden, (4, -1))), 0.2)
    scores = ops.convert_to_numpy(discriminator.score(hidden))
    labels = np.array([0, 1, 1, 0])
    result = ops.convert_to_numpy(discriminator(given, labels))
    np.testing.assert_allclose(result, scores[np.arange(4), labels], rtol=1e-5)


def test_pooled_shapes(voxels):
    result = pooled_voxels(voxels, 4).reshape(-1, 4, 4, 4)
    expected = voxels.reshape(-1, 4, 4, 4, 4, 4, 4).max((2, 4, 6))
    assert np.array_equal(result, expected)
    assert np.array_equal(pooled_voxels(voxels, 16).reshape(voxels.shape), voxels)


def test_a_coarser_map_stays():
    grid = np.random.default_rng(0).random((2, 4, 4, 4, 3), np.float32)
    assert pool(grid, 8) is grid


def test_a_model_without_its_discriminator_says_so(start):
    served = TrainedModel(start.architecture, start.ema, {}, {})
    with pytest.raises(UserError, match="no discriminator"):
        served.build_discriminator()
    damaged = TrainedModel(start.architecture, start.ema, {}, start.discriminator | {"last/bias": np.zeros(3)})
    with pytest.raises(UserError, match="last/bias are missing or misshapen"):
        damaged.build_discriminator()
