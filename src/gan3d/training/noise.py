"""Noise on the generator's logits during training, which makes it decide: a grey voxel comes out as a random one.

A sample of a voxel's logit plus logistic noise is above 0 with the voxel's occupancy as probability: at scale 1, the
binary concrete distribution (Maddison et al. 2017, app. B).
"""

from keras import ops

from gan3d.networks.layers import Tensor


def logistic_noise(seed: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Numbers of the standard logistic distribution, float32; arguments as of `uniform_noise`."""
    uniform = uniform_noise(seed, shape)
    return ops.log(uniform) - ops.log1p(-uniform)


def uniform_noise(seed: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Uniform numbers in (0, 1), float32, that depend on the seed alone, on every backend.

    Args:
        seed: a scalar, uint32.
        shape: of the result, known when the step is compiled.
    """
    count = 1
    for side in shape:
        count *= side
    bits = scramble(ops.cast(ops.arange(count, dtype="int32"), "uint32") + scramble(ops.cast(seed, "uint32")))
    return ops.reshape((ops.cast(ops.right_shift(bits, ops.cast(9, "uint32")), "float32") + 0.5) * 2.0**-23, shape)


def scramble(x: Tensor) -> Tensor:
    """A hash of 32 bits (Wellons 2018, `lowbias32`)."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        x = ops.bitwise_xor(x, ops.right_shift(x, ops.cast(shift, "uint32"))) * ops.cast(factor, "uint32")
    return x
