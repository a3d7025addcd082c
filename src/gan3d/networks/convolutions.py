"""3D convolutions, plain or fused with a ×2 resampling, channels last: (B, D, H, W, C).

Each has several forms that are equal but for rounding; which of them is fast depends on the backend (`FORMS`).
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any  # a tensor of whichever backend runs


def box(kernel: Tensor) -> Tensor:
    """Convolve a 3³ kernel with a 2³ box of ones into a 4³ kernel."""
    for axis in range(3):
        before, after = ([(0, 0)] * axis + [pad] + [(0, 0)] * (4 - axis) for pad in ((0, 1), (1, 0)))
        kernel = ops.pad(kernel, before) + ops.pad(kernel, after)
    return kernel


def conv_same(x: Tensor, kernel: Tensor) -> Tensor:
    """A plain convolution of stride 1; x: (B, R, R, R, in), kernel: (k, k, k, in, out)."""
    return ops.conv(x, kernel, 1, "same", data_format="channels_last")


def conv_up(x: Tensor, kernel: Tensor) -> Tensor:
    """Nearest ×2, then a 3³ convolution, as one transposed convolution of stride 2 with a 4³ kernel.

    x: (B, R, R, R, in), kernel: (3, 3, 3, in, out), returns (B, 2R, 2R, 2R, out).
    """
    kernel = ops.transpose(ops.flip(kernel, (0, 1, 2)), (0, 1, 2, 4, 3))
    return ops.conv_transpose(x, box(kernel), 2, "same", data_format="channels_last")


def conv_down(x: Tensor, kernel: Tensor) -> Tensor:
    """A 3³ convolution, then the mean of every 2³ voxels, as one convolution of stride 2 with a 4³ kernel.

    x: (B, 2R, 2R, 2R, in), kernel: (3, 3, 3, in, out), returns (B, R, R, R, out).
    """
    return ops.conv(x, box(kernel) / 8, 2, "same", data_format="channels_last")


def split_taps(kernel: Tensor) -> Tensor:
    """A 4³ kernel of stride 2 by coarse and fine taps: (4, 4, 4, in, out) to (2, 2, 2, 2, 2, 2, in, out)."""
    kernel = ops.reshape(kernel, (2, 2, 2, 2, 2, 2, *kernel.shape[3:]))
    return ops.transpose(kernel, (0, 2, 4, 1, 3, 5, 6, 7))


def pad_voxels(x: Tensor) -> Tensor:
    """One empty voxel on each side of each axis."""
    return ops.pad(x, [(0, 0), (1, 1), (1, 1), (1, 1), (0, 0)])


def conv_valid(x: Tensor, kernel: Tensor) -> Tensor:
    """A convolution of stride 1 without padding."""
    return ops.conv(x, kernel, 1, "valid", data_format="channels_last")


def conv_up_subpixel(x: Tensor, kernel: Tensor, convolve: Callable = conv_valid) -> Tensor:
    """`conv_up` with stride 1: a 2³ convolution draws the eight fine voxels of a coarse one as eight sets of channels.

    They are then put in their places (Shi et al. 2016, in three dimensions).
    """
    side, out = x.shape[1], kernel.shape[-1]
    filters = ops.transpose(split_taps(box(kernel)), (0, 1, 2, 6, 3, 4, 5, 7))  # (taps…, in, offsets…, out)
    filters = ops.reshape(filters, (2, 2, 2, kernel.shape[-2], 8 * out))
    y = convolve(pad_voxels(x), filters)  # (B, R + 1, R + 1, R + 1, 8 out): offset 1 lies one further than offset 0
    for axis in (1, 2, 3):
        parts = ops.split(y, 2, -1)  # by the offset along this axis
        parts = [part[(slice(None),) * axis + (slice(i, i + side),)] for i, part in enumerate(parts)]
        y = ops.stack(parts, axis + 1)
        y = ops.reshape(y, (-1, *y.shape[1:axis], 2 * side, *y.shape[axis + 2 :]))
    return y


def conv_down_blocks(x: Tensor, kernel: Tensor, convolve: Callable = conv_valid) -> Tensor:
    """`conv_down` with stride 1: every 2³ voxels become one with eight times the channels, then a 2³ convolution."""
    half, channels = x.shape[1] // 2 + 1, x.shape[-1]
    x = ops.reshape(pad_voxels(x), (-1, half, 2, half, 2, half, 2, channels))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 5, 2, 4, 6, 7)), (-1, half, half, half, 8 * channels))
    filters = ops.reshape(split_taps(box(kernel) / 8), (2, 2, 2, 8 * channels, kernel.shape[-1]))
    return convolve(x, filters)


def conv_planes(x: Tensor, kernel: Tensor) -> Tensor:
    """`conv_valid` as one 2D convolution of all planes, each of which has its neighbours in depth as channels.

    On a GPU a 2D convolution is computed channels last on tensor cores, which XLA does not do for a 3D one.
    """
    taps = kernel.shape[0]
    depth = x.shape[1] - taps + 1
    x = ops.concatenate([x[:, i : i + depth] for i in range(taps)], -1)
    filters = ops.transpose(kernel, (1, 2, 0, 3, 4))
    filters = ops.reshape(filters, (*kernel.shape[1:3], taps * kernel.shape[3], kernel.shape[4]))
    y = ops.conv(ops.reshape(x, (-1, *x.shape[2:])), filters, 1, "valid", data_format="channels_last")
    return ops.reshape(y, (-1, depth, *y.shape[1:]))


def conv_same_planes(x: Tensor, kernel: Tensor) -> Tensor:
    """`conv_same` in planes; a 1³ convolution is a matrix product."""
    return ops.matmul(x, kernel[0, 0, 0]) if kernel.shape[0] == 1 else conv_planes(pad_voxels(x), kernel)


def conv_up_planes(x: Tensor, kernel: Tensor) -> Tensor:
    """`conv_up` in planes."""
    return conv_up_subpixel(x, kernel, conv_planes)


def conv_down_planes(x: Tensor, kernel: Tensor) -> Tensor:
    """`conv_down` in planes."""
    return conv_down_blocks(x, kernel, conv_planes)


def upsample(x: Tensor) -> Tensor:
    """Nearest ×2 of a grid with one channel, as a transposed convolution."""
    return ops.conv_transpose(x, ops.ones((2, 2, 2, 1, 1), x.dtype), 2, "valid", data_format="channels_last")


def upsample_repeat(x: Tensor) -> Tensor:
    """`upsample` as copies."""
    for axis in (1, 2, 3):
        x = ops.repeat(x, 2, axis)
    return x


def downsample(x: Tensor) -> Tensor:
    """Mean of every 2³ voxels of a grid with one channel, as a convolution."""
    return ops.conv(x, ops.full((2, 2, 2, 1, 1), 0.125, x.dtype), 2, "valid", data_format="channels_last")


def downsample_mean(x: Tensor) -> Tensor:
    """`downsample` as a mean."""
    half = x.shape[1] // 2
    return ops.mean(ops.reshape(x, (-1, half, 2, half, 2, half, 2, 1)), (2, 4, 6))


Form = dict[str, Callable[..., Tensor]]
STRIDED: Form = {
    "same": conv_same,
    "up": conv_up,
    "down": conv_down,
    "upsample": upsample,
    "downsample": downsample,
}
FORMS: dict[str, Form] = {
    "strided": STRIDED,
    "subpixel": STRIDED | {"up": conv_up_subpixel},
    "blocks": {
        "same": conv_same,
        "up": conv_up_subpixel,
        "down": conv_down_blocks,
        "upsample": upsample_repeat,
        "downsample": downsample_mean,
    },
    "planes": {
        "same": conv_same_planes,
        "up": conv_up_planes,
        "down": conv_down_planes,
        "upsample": upsample_repeat,
        "downsample": downsample_mean,
    },
}
FASTEST = {"tensorflow": "strided", "jax": "strided"}  # as measured: docs/performance.md

FORM = dict(FORMS[FASTEST[keras.backend.backend()]])
