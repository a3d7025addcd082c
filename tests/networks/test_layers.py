"""Building blocks against their definitions in NumPy."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from gan3d.networks import convolutions, layers
from gan3d.voxels import max_pool


def numpy_of(tensor) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


@given(side=st.sampled_from([1, 2, 3, 4]), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=10)
def test_resampling_of_one_channel(side, seed):
    x = np.random.default_rng(seed).standard_normal((2, side, side, side, 1), np.float32)
    large = numpy_of(layers.upsample(x))
    assert np.array_equal(large, x.repeat(2, 1).repeat(2, 2).repeat(2, 3))
    np.testing.assert_allclose(numpy_of(layers.downsample(large)), x, rtol=1e-6)


def test_downsampling_takes_the_mean_of_every_eight(rng):
    x = rng.standard_normal((2, 4, 6, 8, 1), np.float32)
    mean = x.reshape(2, 2, 2, 3, 2, 4, 2, 1).mean((2, 4, 6))
    np.testing.assert_allclose(numpy_of(layers.downsample(x)), mean, rtol=1e-5, atol=1e-6)


def test_downsampling_an_occupied_voxel_agrees_with_the_pyramid(rng):
    voxels = rng.random((3, 8, 8, 8)) < 0.1
    mean = numpy_of(layers.downsample(voxels[..., None].astype(np.float32)))[..., 0]
    assert np.array_equal(mean > 0, max_pool(voxels))


def test_pixel_norm_gives_unit_mean_square(rng):
    x = 30 * rng.standard_normal((2, 3, 3, 3, 5), np.float32)
    y = numpy_of(layers.pixel_norm(x))
    np.testing.assert_allclose((y**2).mean(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(y, x / np.sqrt((x**2).mean(-1, keepdims=True)), rtol=1e-5, atol=1e-6)
    assert np.array_equal(numpy_of(layers.pixel_norm(np.zeros((1, 4), np.float32))), np.zeros((1, 4)))


def test_blend_goes_from_coarse_to_fine(rng):
    coarse, fine = rng.standard_normal((2, 2, 4, 4, 4, 1), np.float32)
    for alpha in (0.0, 0.25, 1.0):
        expected = (1 - alpha) * coarse + alpha * fine
        np.testing.assert_allclose(numpy_of(layers.blend(coarse, fine, alpha)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("batch", "group", "size"), [(8, 4, 4), (4, 4, 4), (12, 3, 3), (6, 4, 6), (1, 4, 1)])
def test_minibatch_std_against_numpy(rng, batch, group, size):
    """Members of one group are `batch / size` apart; a batch that the group does not divide is one group."""
    x = rng.standard_normal((batch, 2, 3, 2, 5), np.float32)
    out = numpy_of(layers.minibatch_std(x, group=group))
    assert out.shape == (batch, 1, 1, 1, 1)
    for i in range(batch):
        members = x[i % (batch // size) :: batch // size]
        assert len(members) == size
        expected = np.sqrt(members.astype(np.float64).var(0) + 1e-8).mean()
        np.testing.assert_allclose(out[i], expected, rtol=1e-5)


def test_interleaved_batches_do_not_share_their_spread(rng):
    one, other = rng.standard_normal((2, 8, 2, 2, 2, 3), np.float32)
    both = numpy_of(layers.minibatch_std(np.stack([one, other], 1).reshape(16, 2, 2, 2, 3), parts=2))
    np.testing.assert_allclose(both[::2], numpy_of(layers.minibatch_std(one)), rtol=1e-6)
    np.testing.assert_allclose(both[1::2], numpy_of(layers.minibatch_std(other)), rtol=1e-6)


@pytest.mark.parametrize(("side", "size"), [(4, 3), (5, 3), (4, 1), (1, 3)])
def test_a_level_equals_one_more_channel_that_is_the_same_everywhere(rng, side, size):
    layer = layers.EqualizedConv3D(7, size, bias=0.5)
    layer.build((None, None, None, None, 6))
    x, level = rng.standard_normal((3, side, side, side, 5), np.float32), rng.random((3, 1, 1, 1, 1), np.float32)
    expected = layer(np.concatenate([x, np.broadcast_to(level, (*x.shape[:-1], 1))], -1))
    np.testing.assert_allclose(numpy_of(layer(x, level)), numpy_of(expected), rtol=1e-4, atol=1e-5)


def test_equalised_layers_start_with_outputs_of_unit_variance(rng):
    """A gain of √2 makes up for the leaky rectifier, which leaves a bit more than half of the mean square."""
    layer = layers.EqualizedConv3D(64, gain=1.0)
    x = rng.standard_normal((4, 8, 8, 8, 32), np.float32)
    inner = numpy_of(layer(x))[:, 1:-1, 1:-1, 1:-1]  # away from the zero padding
    assert inner.std() == pytest.approx(1, rel=0.05)
    dense = layers.EqualizedDense(256)
    assert numpy_of(dense(rng.standard_normal((64, 128), np.float32))).std() == pytest.approx(2**0.5, rel=0.05)


def test_the_bias_is_added_once_after_resampling(rng):
    x = rng.standard_normal((1, 4, 4, 4, 2), np.float32)
    for resample in ("same", "up", "down"):
        layer = layers.EqualizedConv3D(3, resample=resample, bias=2.5)
        out = numpy_of(layer(x))
        expected = numpy_of(convolutions.FORM[resample](x, layer.kernel * layer.scale))
        np.testing.assert_allclose(out - 2.5, expected, rtol=1e-4, atol=1e-5)


def test_custom_layers_are_known_to_keras_by_name():
    for layer in (layers.EqualizedConv3D, layers.EqualizedDense):
        assert keras.saving.get_registered_object(f"gan3d>{layer.__name__}") is layer
