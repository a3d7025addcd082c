"""3D convolutions, plain or fused with a ×2 resampling, channels last: (B, D, H, W, C).

Each has several forms that are equal but for rounding; which one is fastest depends on the backend (`FORMS`).
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any  # a tensor of whichever backend runs
FULL_TILE = 64  # channels that fill a tensor core's tile


def pad_taps(kernel: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """A kernel with an additional zero tap along an axis: appended, and prepended."""
    rest = len(kernel.shape) - axis - 1
    last, first = ([(0, 0)] * axis + [pad] + [(0, 0)] * rest for pad in ((0, 1), (1, 0)))
    return ops.pad(kernel, last), ops.pad(kernel, first)


def box(kernel: Tensor) -> Tensor:
    """Convolve a 3³ kernel with a 2³ box of ones into a 4³ kernel."""
    for axis in range(3):
        last, first = pad_taps(kernel, axis)
        kernel = last + first
    return kernel


def conv_same(x: Tensor, kernel: Tensor) -> Tensor:
    """A plain convolution of stride 1; x: (B, R, R, R, in), kernel: (k, k, k, in, out)."""
    return ops.conv(x, kernel, 1, "same", data_format="channels_last")


def conv_ones(kernel: Tensor, side: int) -> Tensor:
    """`conv_same` of a grid of ones, (1, side, side, side, out) for a kernel (k, k, k, out).

    At each voxel, this is the sum of the taps that lie inside the grid.

    Convolving the ones as a 129th channel would be slower, since channels are padded to a full tile.
    """
    k = kernel.shape[0]
    place = np.arange(side)[:, None] + np.arange(k) - k // 2
    inside = ((place >= 0) & (place < side)).astype("float32")
    inside = np.einsum("xi,yj,zk->xyzijk", inside, inside, inside).reshape(side**3, k**3)
    summed = ops.matmul(ops.cast(inside, kernel.dtype), ops.reshape(kernel, (k**3, -1)))
    return ops.reshape(summed, (1, side, side, side, -1))


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


def space_to_channels(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Fold every two voxels along each of `axes` (of 1, 2, 3) into one with twice the channels."""
    shape, blocks, offsets = [-1], [0], []
    for axis in (1, 2, 3):
        blocks.append(len(shape))
        if axis in axes:
            offsets.append(len(shape) + 1)
            shape += [x.shape[axis] // 2, 2]
        else:
            shape.append(x.shape[axis])
    packed = ops.transpose(ops.reshape(x, (*shape, x.shape[-1])), (*blocks, *offsets, len(shape)))
    return ops.reshape(packed, (-1, *(shape[block] for block in blocks[1:]), 2 ** len(axes) * x.shape[-1]))


def channels_to_space(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Undo `space_to_channels`."""
    channels = x.shape[-1] // 2 ** len(axes)
    split = ops.reshape(x, (-1, *x.shape[1:4], *(2 for _ in axes), channels))
    order = [0]
    for axis in (1, 2, 3):
        order += [axis, 4 + axes.index(axis)] if axis in axes else [axis]
    sides = (2 * x.shape[axis] if axis in axes else x.shape[axis] for axis in (1, 2, 3))
    return ops.reshape(ops.transpose(split, (*order, 4 + len(axes))), (-1, *sides, channels))


def fold_taps(kernel: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Fold a kernel's taps, (k, k, k, in, …, out), as `space_to_channels` folds the voxels that it is applied to."""
    *rest, out = kernel.shape[4:]
    flat = ops.reshape(kernel, (1, *kernel.shape[:3], -1))
    sides = (k // 2 if axis in axes else k for axis, k in enumerate(kernel.shape[:3], 1))
    return ops.reshape(space_to_channels(flat, axes), (*sides, 2 ** len(axes) * kernel.shape[3], *rest, out))


def pad_voxels(x: Tensor) -> Tensor:
    """One empty voxel on each side of each axis."""
    return ops.pad(x, [(0, 0), (1, 1), (1, 1), (1, 1), (0, 0)])


def conv_valid(x: Tensor, kernel: Tensor) -> Tensor:
    """A convolution of stride 1 without padding."""
    return ops.conv(x, kernel, 1, "valid", data_format="channels_last")


def conv_pointwise(x: Tensor, kernel: Tensor) -> Tensor:
    """A 1³ convolution. From or to one channel it is memory-bound and needs no matrix product."""
    weights = kernel[0, 0, 0]
    if weights.shape[0] == 1:
        return x * weights[0]
    if weights.shape[1] == 1:
        return ops.sum(x * weights[:, 0], -1, keepdims=True)
    return ops.matmul(x, weights)


def folded_axes(x: Tensor) -> tuple[int, ...]:
    """The axes along which neighbours become channels, as many as it takes to reach FULL_TILE channels."""
    count = sum(x.shape[-1] * 2**n < FULL_TILE for n in range(3))
    return () if x.shape[1] % 2 else (1, 2, 3)[3 - count :]


def conv_same_packed(x: Tensor, kernel: Tensor) -> Tensor:
    """`conv_same` on pairs of voxels, since a tensor core computes 64 channels as fast as 16.

    Along a folded axis two output voxels read four padded input voxels, which are two pairs: 3 taps become 2, with
    twice the channels in and out.
    """
    if kernel.shape[0] == 1:
        return conv_pointwise(x, kernel)
    axes = folded_axes(x)
    for axis in axes:  # of the 4 taps of a pair, the first voxel skips the last and the second voxel the first
        kernel = ops.stack(pad_taps(kernel, axis - 1), -2)
    filters = fold_taps(kernel, axes)
    filters = ops.reshape(filters, (*filters.shape[:4], -1))
    return channels_to_space(conv_valid(space_to_channels(pad_voxels(x), axes), filters), axes)


def conv_up_packed(x: Tensor, kernel: Tensor) -> Tensor:
    """`conv_up` with stride 1: a 2³ convolution computes eight fine voxels per coarse one, as sets of channels.

    They are then interleaved (sub-pixel convolution, Shi et al. 2016, in three dimensions).
    """
    side, out = x.shape[1], kernel.shape[-1]
    filters = ops.reshape(fold_taps(box(kernel), (1, 2, 3)), (2, 2, 2, 8, -1, out))
    filters = ops.reshape(ops.transpose(filters, (0, 1, 2, 4, 3, 5)), (2, 2, 2, -1, 8 * out))
    y = conv_valid(pad_voxels(x), filters)  # (B, R + 1, R + 1, R + 1, 8 out): offset 1 lies one further than offset 0
    for axis in (1, 2, 3):
        parts = ops.split(y, 2, -1)  # by the offset along this axis
        parts = [part[(slice(None),) * axis + (slice(i, i + side),)] for i, part in enumerate(parts)]
        y = ops.stack(parts, axis + 1)
        y = ops.reshape(y, (-1, *y.shape[1:axis], 2 * side, *y.shape[axis + 2 :]))
    return y


def conv_down_packed(x: Tensor, kernel: Tensor) -> Tensor:
    """`conv_down` with stride 1: fold every 2³ voxels into eight times the channels, then a 2³ convolution."""
    return conv_valid(space_to_channels(pad_voxels(x), (1, 2, 3)), fold_taps(box(kernel) / 8, (1, 2, 3)))


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
FORMS: dict[str, Form] = {
    "strided": {
        "same": conv_same,
        "up": conv_up,
        "down": conv_down,
        "upsample": upsample,
        "downsample": downsample,
    },
    "packed": {
        "same": conv_same_packed,
        "up": conv_up_packed,
        "down": conv_down_packed,
        "upsample": upsample_repeat,
        "downsample": downsample_mean,
    },
}
FASTEST = {"tensorflow": "strided", "jax": "packed"}  # on a CPU and on a GPU: docs/performance.md

FORM = dict(FORMS[FASTEST[keras.backend.backend()]])
