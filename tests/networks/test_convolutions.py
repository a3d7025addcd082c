"""Convolutions in all their forms against plain layers: values, gradients, and gradients of gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from gan3d.backend import value_and_grad
from gan3d.networks.convolutions import FORM, FORMS, channels_to_space, conv_same_packed, folded_axes, space_to_channels


def numpy_of(tensor) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


def plain_same(x, kernel):
    return ops.conv(x, kernel, 1, "same", data_format="channels_last")


def plain_up(x, kernel):
    """Nearest ×2, then the convolution."""
    for axis in (1, 2, 3):
        x = ops.repeat(x, 2, axis)
    return ops.conv(x, kernel, 1, "same", data_format="channels_last")


def plain_down(x, kernel):
    """The convolution, then the mean of every 2³ voxels."""
    x = ops.conv(x, kernel, 1, "same", data_format="channels_last")
    return ops.average_pool(x, 2, 2, data_format="channels_last")


def with_gradients(convolve, x: np.ndarray, kernel: np.ndarray, cotangent: np.ndarray) -> list[np.ndarray]:
    """The convolution's values, and the gradients of their product with a cotangent by the input and the kernel."""

    def weighted(leaves):
        out = convolve(*leaves)
        return ops.sum(out * cotangent), out

    (_, out), gradients = value_and_grad(weighted)([ops.convert_to_tensor(x), ops.convert_to_tensor(kernel)])
    return [numpy_of(out), *map(numpy_of, gradients)]


CASES = {
    "batch": st.integers(1, 3),
    "side": st.sampled_from([1, 2, 3, 4, 6]),
    "channels_in": st.integers(1, 4),
    "channels_out": st.integers(1, 4),
    "seed": st.integers(0, 2**32 - 1),
}


PLAIN = {"same": plain_same, "up": plain_up, "down": plain_down}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("form", FORMS)
@given(**CASES)
@settings(deadline=None, max_examples=10)
def test_every_form_equals_plain_layers(form, name, batch, side, channels_in, channels_out, seed):
    rng = np.random.default_rng(seed)
    sides = [2 * side if name == which else side for which in ("down", "up")]  # before and after
    x = rng.standard_normal((batch, *(sides[0],) * 3, channels_in), np.float32)
    kernel = rng.standard_normal((3, 3, 3, channels_in, channels_out), np.float32)
    cotangent = rng.standard_normal((batch, *(sides[1],) * 3, channels_out), np.float32)
    found, plain = (with_gradients(convolve, x, kernel, cotangent) for convolve in (FORMS[form][name], PLAIN[name]))
    for a, b in zip(found, plain, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize(("channels", "axes"), [(8, (1, 2, 3)), (16, (2, 3)), (33, (3,)), (64, ()), (129, ())])
def test_voxels_are_packed_until_there_are_64_channels(rng, channels, axes):
    x = rng.standard_normal((1, 2, 4, 6, channels), np.float32)
    assert folded_axes(x) == axes
    packed = space_to_channels(ops.convert_to_tensor(x), axes)
    assert packed.shape[-1] == channels * 2 ** len(axes)
    assert np.array_equal(numpy_of(channels_to_space(packed, axes)), x)
    kernel = rng.standard_normal((3, 3, 3, channels, 5), np.float32)
    expected = numpy_of(plain_same(x, kernel))
    np.testing.assert_allclose(numpy_of(conv_same_packed(x, kernel)), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("form", FORMS)
def test_gradients_of_gradients_are_those_of_plain_layers(rng, form, name):
    """As a gradient penalty takes them: the length of the gradient by the input, by the kernel."""
    x = ops.convert_to_tensor(rng.standard_normal((2, 4, 4, 4, 3), np.float32))
    kernel = ops.convert_to_tensor(rng.standard_normal((3, 3, 3, 3, 2), np.float32))

    def by_kernel(convolve):
        def penalty(kernel):
            _, slope = value_and_grad(lambda x: (ops.sum(ops.sin(convolve(x, kernel))), None))(x)
            return ops.sum(slope**2), None

        return numpy_of(value_and_grad(penalty)(kernel)[1])

    expected = by_kernel(PLAIN[name])
    np.testing.assert_allclose(by_kernel(FORMS[form][name]), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("form", FORMS)
def test_resampling_of_one_channel_in_every_form(rng, form):
    x = rng.standard_normal((2, 4, 4, 4, 1), np.float32)
    assert np.array_equal(numpy_of(FORMS[form]["upsample"](x)), x.repeat(2, 1).repeat(2, 2).repeat(2, 3))
    mean = x.reshape(2, 2, 2, 2, 2, 2, 2, 1).mean((2, 4, 6))
    np.testing.assert_allclose(numpy_of(FORMS[form]["downsample"](x)), mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("before", "after"), [(4, 5), (1, 5), (4, 1)])
@pytest.mark.parametrize("form", FORMS)
def test_a_convolution_of_single_voxels_in_every_form(rng, form, before, after):
    x = rng.standard_normal((2, 3, 3, 3, before), np.float32)
    kernel = rng.standard_normal((1, 1, 1, before, after), np.float32)
    np.testing.assert_allclose(numpy_of(FORMS[form]["same"](x, kernel)), x @ kernel[0, 0, 0], rtol=1e-4, atol=1e-5)


def test_the_form_in_use_is_complete():
    assert all(set(form) == set(FORM) == {"same", "up", "down", "upsample", "downsample"} for form in FORMS.values())
