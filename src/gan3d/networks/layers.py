"""Building blocks of both networks, channels last: (B, D, H, W, C)."""

from typing import Any

import keras
from keras import ops

from gan3d.networks.convolutions import FORM, Tensor, conv_ones

SERIAL = keras.saving.register_keras_serializable(package="gan3d")


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.2 (Karras et al. 2018, table 2), also at 0, where features of empty space start."""
    if keras.backend.backend() == "jax":  # Keras' own has slope 1 at 0 there
        return ops.where(x > 0, x, 0.2 * x)
    return ops.leaky_relu(x, negative_slope=0.2)


def pixel_norm(x: Tensor) -> Tensor:
    """Scale each feature vector to unit mean square (Karras et al. 2018, eq. 2)."""
    return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-8)


def upsample(x: Tensor) -> Tensor:
    """Nearest ×2 of a grid with one channel."""
    return FORM["upsample"](x)


def downsample(x: Tensor) -> Tensor:
    """Mean of every 2³ voxels of a grid with one channel."""
    return FORM["downsample"](x)


def blend(coarse: Tensor, fine: Tensor, alpha: Tensor) -> Tensor:
    """Fade in: `coarse` at alpha 0, `fine` at alpha 1 (Karras et al. 2018, fig. 2)."""
    return coarse + ops.cast(alpha, fine.dtype) * (fine - coarse)


class _Equalized(keras.layers.Layer):
    """Weights drawn from N(0, 1) and scaled at run time by gain / √fan_in (Karras et al. 2018, §4.1)."""

    def __init__(self, gain: float = 2**0.5, bias: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gain = gain
        self.bias_start = bias

    def _add_weights(self, shape: tuple[int, ...]) -> None:
        fan_in = 1
        for n in shape[:-1]:
            fan_in *= n
        self.scale = self.gain / fan_in**0.5
        self.kernel = self.add_weight(shape=shape, initializer=keras.initializers.RandomNormal(0.0, 1.0), name="kernel")
        start = keras.initializers.Constant(self.bias_start)
        self.bias = self.add_weight(shape=shape[-1:], initializer=start, name="bias")

    def get_config(self) -> dict:
        return {**super().get_config(), "gain": self.gain, "bias": self.bias_start}


@SERIAL
class EqualizedConv3D(_Equalized):
    """3D convolution with equalised learning rate, alone or fused with a ×2 resampling.

    resample: "same", "up" (nearest, before) or "down" (mean, after).
    """

    def __init__(self, filters: int, kernel_size: int = 3, resample: str = "same", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.resample = resample

    def build(self, shape: tuple) -> None:
        self._add_weights((self.kernel_size,) * 3 + (shape[-1], self.filters))

    def call(self, x: Tensor, constant: Tensor | None = None) -> Tensor:
        """`constant`, (B, 1, 1, 1, 1), is one more channel, the last, with the same value at every voxel."""
        # scale the small kernel, not the large activations: one pass over memory less
        kernel = self.kernel * self.scale
        if constant is None:
            return FORM[self.resample](x, kernel) + self.bias
        return (
            FORM[self.resample](x, kernel[..., :-1, :])
            + constant * conv_ones(kernel[..., -1, :], x.shape[1])
            + self.bias
        )

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "resample": self.resample,
        }


@SERIAL
class EqualizedDense(_Equalized):
    """Fully connected layer with equalised learning rate; (B, in) to (B, units)."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape: tuple) -> None:
        self._add_weights((shape[-1], self.units))

    def call(self, x: Tensor) -> Tensor:
        return ops.matmul(x, self.kernel * self.scale) + self.bias

    def get_config(self) -> dict:
        return {**super().get_config(), "units": self.units}


def minibatch_std(x: Tensor, parts: int = 1, group: int = 4) -> Tensor:
    """Mean standard deviation within groups of the batch (Karras et al. 2018, §3): (B, R, R, R, C) to (B, 1, 1, 1, 1).

    A batch that `group` does not divide forms one group. `parts` interleaved batches (the first of each, the second
    of each, …) do not share groups.
    """
    batch = x.shape[0] // parts
    group = group if batch % group == 0 else batch
    y = ops.reshape(ops.cast(x, "float32"), (group, parts * batch // group, *x.shape[1:]))
    std = ops.sqrt(ops.var(y, axis=0) + 1e-8)
    std = ops.mean(std, axis=tuple(range(1, len(std.shape))), keepdims=True)  # per group, (groups, 1, 1, 1, 1)
    return ops.cast(ops.tile(std, (group, 1, 1, 1, 1)), x.dtype)
