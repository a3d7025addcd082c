"""Differentiable augmentation of what the discriminator sees, against memorising (Karras et al. 2020a).

Applied to real and fake shapes with the same probability, it does not leak into the generator's shapes (§2).
"""

from keras import ops

from gan3d.networks.layers import Tensor
from gan3d.training.recipe import Recipe

MAX_PROBABILITY = 0.8  # beyond it, augmentations begin to leak
MAX_SHIFT = 1 / 8  # of the edge, along each axis
MAX_STRETCH = 1 / 4  # in octaves, either way, along each axis
CUTOUT = 1 / 2  # of the edge, the side of the box that is cut out
NUMBERS = 19  # uniform numbers in [0, 1) per shape


def resample(voxels: Tensor, sources: Tensor) -> Tensor:
    """Resample along the axes: voxel i of the result is the value at sources[i], 0 outside the grid.

    Linear interpolation as a product with small matrices, whose gradients of all orders are exact and fast on every
    backend.

    Args:
        voxels: (B, R, R, R, 1).
        sources: (B, 3, R), coordinates along each axis, in voxels.
    """
    side = voxels.shape[1]
    coordinates = ops.arange(side, dtype=voxels.dtype)
    for axis in range(3):
        matrix = ops.relu(1 - ops.abs(sources[:, axis, :, None] - coordinates))  # (B, to, from)
        # each axis moves from first to last: after three passes the order is restored
        flat = ops.matmul(matrix, ops.reshape(voxels, (-1, side, side * side)))
        voxels = ops.reshape(ops.transpose(flat, (0, 2, 1)), (-1, side, side, side, 1))
    return voxels


def permute_axes(voxels: Tensor, swaps: Tensor) -> Tensor:
    """Swap the first two axes, the last two, and the first two again, each where `swaps` (B, 3) is true."""
    for i, (a, b) in enumerate(((1, 2), (2, 3), (1, 2))):
        order = [0, 1, 2, 3, 4]
        order[a], order[b] = b, a
        voxels = ops.where(ops.reshape(swaps[:, i], (-1, 1, 1, 1, 1)), ops.transpose(voxels, order), voxels)
    return voxels


def augment(voxels: Tensor, drawn: Tensor, probability: Tensor) -> Tensor:
    """Augment each shape in four ways, each with probability `probability`, independently.

    Any symmetry of the cube, anisotropic scaling, a shift, and cutout.

    Args:
        voxels: (B, R, R, R, 1).
        drawn: uniform numbers in [0, 1), (B, NUMBERS).
    """
    side = voxels.shape[1]
    gates, (swap, flip, stretch, shift, corner) = drawn[:, :4] < probability, ops.split(drawn[:, 4:], 5, axis=1)
    rotated, stretched, shifted, cut = (gates[:, i : i + 1] for i in range(4))

    voxels = permute_axes(voxels, ops.logical_and(rotated, swap < 0.5))

    sign = ops.where(ops.logical_and(rotated, flip < 0.5), -1.0, 1.0)
    scale = ops.where(stretched, 2 ** (MAX_STRETCH * (2 * stretch - 1)), 1.0)
    reach = max(1, round(side * MAX_SHIFT))
    offset = ops.where(shifted, ops.floor(shift * (2 * reach + 1)) - reach, 0.0)
    center, coordinates = (side - 1) / 2, ops.arange(side, dtype="float32")
    sources = center + (sign / scale)[:, :, None] * (coordinates - center - offset[:, :, None])
    voxels = resample(voxels, sources)

    first = corner * (1 + CUTOUT) * side - CUTOUT * side  # corner of the box, which may cross the grid's border
    inside = ops.logical_and(coordinates >= first[:, :, None], coordinates < first[:, :, None] + CUTOUT * side)
    x, y, z = (ops.cast(inside[:, axis], "float32") for axis in range(3))
    box = x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]
    return voxels * (1 - ops.cast(cut, "float32")[:, :, None, None] * box)[..., None]


def adapt(probability: Tensor, accuracy_real: Tensor, is_memorising: Tensor | bool, recipe: Recipe) -> Tensor:
    """The next probability, `penalty_every` steps later: up while D is surer of real shapes than the target, else down.

    Karras et al. 2020a, §3, with r_t = E[sign D(real)] over the step's batch; for a relativistic loss, of D(real) -
    D(fake) (`gan3d.training.step`). D may also be sure because G is still poor, and augmentation would then hide what
    is wrong: so the probability rises only while D memorises, that is, while r_v (eq. 1) is above ½, too.
    """
    direction = ops.where(is_memorising, ops.sign(2 * accuracy_real - 1 - recipe.ada_target), -1.0)
    return ops.clip(
        probability + direction * (recipe.batch * recipe.penalty_every / recipe.ada_images), 0.0, MAX_PROBABILITY
    )
