"""Real shapes as the discriminator meets them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops

from gan3d.networks.layers import downsample
from gan3d.training.step import preprocess_real, unpack_on_device
from gan3d.voxels import max_pool, pack_bits

SHAPES = st.sampled_from([4, 8]).flatmap(lambda side: arrays(bool, st.tuples(st.integers(1, 3), *[st.just(side)] * 3)))


def presented(shapes: np.ndarray, flip: list[int], alpha: float) -> np.ndarray:
    out = preprocess_real(pack_bits(shapes), shapes.shape[1], np.array(flip, np.int32), np.float32(alpha))
    return ops.convert_to_numpy(out)[..., 0]


@given(SHAPES)
@settings(deadline=None, max_examples=25)
def test_unpacking_on_the_device_equals_unpacking_on_the_host(shapes):
    out = ops.convert_to_numpy(unpack_on_device(pack_bits(shapes), shapes.shape[1]))
    assert out.dtype == np.float32
    assert np.array_equal(out[..., 0], shapes)


def test_mirroring_flips_each_shape_along_its_axis(rng):
    shapes = rng.random((5, 8, 8, 8)) < 0.3
    out = presented(shapes, [1, 0, 3, 2, 1], 1.0)
    for shape, found, axis in zip(shapes, out, (0, None, 2, 1, 0), strict=True):
        assert np.array_equal(found, shape if axis is None else np.flip(shape, axis))


@given(SHAPES, st.sampled_from([0.0, 0.5, 0.7, 1.0]))
@settings(deadline=None, max_examples=25)
def test_fading_in_blends_with_the_max_pooled_shape_at_full_size(shapes, alpha):
    side = shapes.shape[1]
    out = presented(shapes, [0] * len(shapes), alpha)
    if side == 4:  # nothing was there before
        assert np.array_equal(out, shapes)
        return
    coarse = max_pool(shapes).repeat(2, 1).repeat(2, 2).repeat(2, 3)
    np.testing.assert_allclose(out, (1 - alpha) * coarse + alpha * shapes, atol=1e-6)


def test_at_alpha_0_the_next_discriminator_sees_what_the_one_before_saw(rng):
    """The mean of every 2³ voxels of a faded shape is the pyramid's coarser shape."""
    shapes = rng.random((4, 8, 8, 8)) < 0.1
    out = presented(shapes, [0] * 4, 0.0)
    coarse = ops.convert_to_numpy(downsample(out[..., None]))[..., 0]
    assert np.array_equal(coarse, max_pool(shapes))
