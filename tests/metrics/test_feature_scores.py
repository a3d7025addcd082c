"""Scores in features, on sets whose scores are known."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from gan3d.metrics import feature_scores
from gan3d.metrics.shape_features import FEATURES, PATH, resized, shape_features


def manifold(generated: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    return feature_scores.manifold_scores(feature_scores.feature_distances(generated, reference), len(generated))


def clouds(count: int, seed: int, middle: float = 0.0, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(middle, spread, (count, 3))


def test_equal_distributions_have_full_marks():
    found = manifold(clouds(200, 0), clouds(200, 1))
    assert found["precision"] > 0.9
    assert found["recall"] > 0.9
    assert found["density"] == pytest.approx(1, abs=0.15)
    assert found["coverage"] > 0.9


def test_a_narrow_generator_is_precise_and_a_wide_one_recalls():
    narrow, wide = (manifold(clouds(200, 0, spread=s), clouds(200, 1)) for s in (0.3, 3.0))
    assert narrow["precision"] > 0.95 > narrow["recall"]
    assert narrow["recall"] < 0.5
    assert wide["precision"] < 0.5 < wide["recall"]


def test_sets_far_apart_share_nothing():
    assert set(manifold(clouds(50, 0, 100), clouds(50, 1)).values()) == {0.0}


def test_the_frechet_distance_of_normal_distributions():
    a, b = clouds(20_000, 0), clouds(20_000, 1, middle=2, spread=3)
    assert feature_scores.frechet_distance(a, b) == pytest.approx(3 * (2**2 + (3 - 1) ** 2), rel=0.03)
    assert feature_scores.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_the_frechet_distance_of_few_shapes_is_that_of_their_covariances():
    a, b = (np.random.default_rng(seed).normal(size=(10, 20)) @ np.diag(np.linspace(0.1, 2, 20)) for seed in (0, 1))
    root = sqrtm(np.cov(a, rowvar=False))
    shared = sqrtm(root @ np.cov(b, rowvar=False) @ root)
    apart = np.square(a.mean(0) - b.mean(0)).sum()
    expected = apart + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * shared.real)
    assert feature_scores.frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)
    assert feature_scores.frechet_distance(a, a) == pytest.approx(0, abs=1e-12)


def test_the_kernel_distance_is_unbiased():
    values = [feature_scores.kernel_distance(clouds(20, seed), clouds(20, 1000 + seed)) for seed in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    assert feature_scores.kernel_distance(clouds(50, 0), clouds(50, 1, middle=1)) > 5 * np.std(values)


def test_the_network_is_small_and_sees_any_resolution():
    assert PATH.stat().st_size <= 2 * 2**20
    shapes = np.random.default_rng(0).random((3, 16, 16, 16)) < 0.3
    features = shape_features(shapes)
    assert features.shape == (3, FEATURES)
    assert np.isfinite(features).all()
    finer = shapes.repeat(4, 1).repeat(4, 2).repeat(4, 3)
    assert np.array_equal(resized(finer), resized(shapes))
    assert shape_features(finer) == pytest.approx(features, rel=1e-4, abs=1e-4)
    assert shape_features(shapes[:0]).shape == (0, FEATURES)


def test_numpy_computes_what_keras_would():
    import keras

    from gan3d.metrics.shape_features import CHANNELS, LEAK, SIDE, weights

    shapes = np.random.default_rng(1).random((2, SIDE, SIDE, SIDE)) < 0.1
    layers, x = weights(), keras.ops.convert_to_tensor(shapes[..., None].astype(np.float32))
    for i in range(len(CHANNELS)):
        x = keras.ops.conv(x, layers[f"conv{i}.kernel"], 2, "same", data_format="channels_last")
        x = keras.ops.leaky_relu(x + layers[f"conv{i}.bias"], LEAK)
    expected = keras.ops.reshape(x, (2, -1)) @ layers["dense.kernel"] + layers["dense.bias"]
    assert shape_features(shapes) == pytest.approx(keras.ops.convert_to_numpy(expected), rel=1e-3, abs=1e-3)
