"""Symmetric shapes as a share of all, decided by the first latent."""

import numpy as np
import pytest
from keras import ops

from gan3d.networks.generator import Generator
from gan3d.networks.weights import initialise_weights


@pytest.fixture
def make(architecture):
    def make(mirror, symmetric, resolution=8, **fields):
        model = Generator(architecture(resolution, mirror=mirror, symmetric=symmetric, **fields))
        initialise_weights(model, 3)
        return model

    return make


def occupancy(model, latents, labels, **arguments):
    return ops.convert_to_numpy(model(latents, labels, **arguments))


def test_each_class_has_its_axis_and_its_share(make, rng):
    latents = rng.standard_normal((40, 8), np.float32)
    shapes = occupancy(make((1, 3), (1.0, 1.0)), latents, np.repeat([0, 1], 20))
    np.testing.assert_allclose(shapes[:20], shapes[:20, ::-1], atol=2e-3)
    np.testing.assert_allclose(shapes[20:], shapes[20:, :, :, ::-1], atol=2e-3)
    assert np.abs(shapes[:20] - shapes[:20, :, :, ::-1]).mean() > 0.01


def test_without_an_axis_nothing_changes(make, rng):
    latents, labels = rng.standard_normal((6, 8), np.float32), np.array([0, 1] * 3)
    plain = occupancy(make((), ()), latents, labels)
    assert np.array_equal(plain, occupancy(make((0, 0), (0.0, 0.0)), latents, labels))
    np.testing.assert_allclose(plain, occupancy(make((1, 1), (0.0, 0.0)), latents, labels), atol=1e-3)


def test_the_share_is_that_of_the_latents(make, rng):
    gate = make((2, 2), (0.7, 0.1)).symmetry(rng.standard_normal(20_000).astype(np.float32), np.zeros(20_000, int))[2]
    assert np.mean(ops.convert_to_numpy(gate) > 0.5) == pytest.approx(0.7, abs=0.01)


def test_symmetry_fades_along_a_walk(make, rng):
    start = rng.standard_normal(8).astype(np.float32)
    walk = np.repeat(start[None], 41, 0)
    walk[:, 0] = np.linspace(-3, 3, 41)
    shapes = occupancy(make((1, 1), (0.5, 0.5)), walk, np.zeros(41, int))
    differences = np.abs(shapes - shapes[:, ::-1]).mean((1, 2, 3, 4))
    assert differences[0] < 0.1 * differences[-1]
    assert np.abs(np.diff(differences)).max() < 0.3 * differences[-1]


def test_a_growing_generator_is_symmetric_throughout(make, rng):
    latents = rng.standard_normal((4, 8), np.float32)
    for alpha in (0.0, 0.4, 1.0):
        shapes = occupancy(make((1, 1), (1.0, 1.0), 16), latents, np.zeros(4, int), alpha=np.float32(alpha))
        np.testing.assert_allclose(shapes, shapes[:, ::-1], atol=2e-3)


def test_noise_moves_the_logits_of_both_heads(make, rng):
    latents, labels = rng.standard_normal((2, 8), np.float32), np.zeros(2, int)
    model, noise = make((), (), 16), rng.standard_normal((2, 16, 16, 16, 1)).astype(np.float32)

    def logits(**arguments):
        shapes = occupancy(model, latents, labels, **arguments).astype(np.float64)
        return np.log(shapes / (1 - shapes))

    np.testing.assert_allclose(logits(noise=noise) - logits(), noise, atol=1e-3)
    coarse = np.float32(0.0)
    moved = (logits(noise=noise, alpha=coarse) - logits(alpha=coarse))[:, ::2, ::2, ::2]
    np.testing.assert_allclose(moved, noise[:, ::2, ::2, ::2], atol=1e-3)
