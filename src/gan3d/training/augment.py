"""Changing what the discriminator sees, real and fake alike, so that it cannot learn the training shapes by heart.

Applied to both with the same probability, they do not leak into the generator's shapes (Karras et al. 2020a, §2).
"""

from keras import ops

from gan3d.networks.layers import Tensor
from gan3d.training.recipe import Recipe

MOST = 0.8  # of an adapted probability: beyond it, changes begin to leak
REACH = 1 / 8  # of an edge, the longest shift along an axis
STRETCH = 1 / 4  # of a doubling, the strongest stretch along an axis, and the strongest squeeze
CUT = 1 / 2  # of an edge, the length of the box that is cut out
NUMBERS = 19  # uniform numbers in [0, 1) that decide on the changes of one shape


def resample(voxels: Tensor, sources: Tensor) -> Tensor:
    """Move along the axes: voxel i of the result is what lies at the place sources[i], or nothing outside the grid.

    Between two voxels it is linear. A product with small matrices, whose gradients of all orders are exact and quick on
    every backend.

    Args:
        voxels: (B, R, R, R, 1).
        sources: (B, 3, R), places along each of the three axes, in voxels.
    """
    side = voxels.shape[1]
    places = ops.arange(side, dtype=voxels.dtype)
    for axis in range(3):
        matrix = ops.relu(1 - ops.abs(sources[:, axis, :, None] - places))  # (B, to, from)
        # the axis comes first, and goes last: after three turns all are where they were
        flat = ops.matmul(matrix, ops.reshape(voxels, (-1, side, side * side)))
        voxels = ops.reshape(ops.transpose(flat, (0, 2, 1)), (-1, side, side, side, 1))
    return voxels


def permute_axes(voxels: Tensor, swaps: Tensor) -> Tensor:
    """Swap the first two axes, then the last two, then the first two again, each where `swaps` (B, 3) says so."""
    for i, (a, b) in enumerate(((1, 2), (2, 3), (1, 2))):
        order = [0, 1, 2, 3, 4]
        order[a], order[b] = b, a
        voxels = ops.where(ops.reshape(swaps[:, i], (-1, 1, 1, 1, 1)), ops.transpose(voxels, order), voxels)
    return voxels


def augment(voxels: Tensor, drawn: Tensor, probability: Tensor) -> Tensor:
    """Change each shape in four ways, each with a probability of its own draw.

    It is turned and mirrored to any of the cube's symmetries, stretched or squeezed along each axis, shifted, and a box
    is cut out of it.

    Args:
        voxels: (B, R, R, R, 1).
        drawn: uniform numbers in [0, 1), (B, NUMBERS).
    """
    side = voxels.shape[1]
    gates, (swap, flip, stretch, far, corner) = drawn[:, :4] < probability, ops.split(drawn[:, 4:], 5, axis=1)
    turned, stretched, shifted, cut = (gates[:, i : i + 1] for i in range(4))

    voxels = permute_axes(voxels, ops.logical_and(turned, swap < 0.5))

    sign = ops.where(ops.logical_and(turned, flip < 0.5), -1.0, 1.0)
    scale = ops.where(stretched, 2 ** (STRETCH * (2 * stretch - 1)), 1.0)
    reach = max(1, round(side * REACH))
    offset = ops.where(shifted, ops.floor(far * (2 * reach + 1)) - reach, 0.0)
    middle, places = (side - 1) / 2, ops.arange(side, dtype="float32")
    sources = middle + (sign / scale)[:, :, None] * (places - middle - offset[:, :, None])
    voxels = resample(voxels, sources)

    first = corner * (1 + CUT) * side - CUT * side  # of the box, which may reach over the edge
    inside = ops.logical_and(places >= first[:, :, None], places < first[:, :, None] + CUT * side)
    x, y, z = (ops.cast(inside[:, axis], "float32") for axis in range(3))
    box = x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]
    return voxels * (1 - ops.cast(cut, "float32")[:, :, None, None] * box)[..., None]


def adapt(probability: Tensor, accuracy_real: Tensor, is_memorising: Tensor | bool, recipe: Recipe) -> Tensor:
    """The next probability, `penalty_every` steps on: up when D is surer of real shapes than the target, else down.

    Karras et al. 2020a, §3, with r_t = E[sign D(real)] of the step's batch; where the loss compares, of D(real) -
    D(fake) (`gan3d.training.step`). A discriminator may also be sure because the generator still draws badly, and then
    the changes would only hide from it what is wrong: so the probability goes up only where D knows its shapes
    `is_memorising`, that is, where r_v (eq. 1) is above ½, too.
    """
    surer = ops.where(is_memorising, ops.sign(2 * accuracy_real - 1 - recipe.ada_target), -1.0)
    return ops.clip(probability + surer * (recipe.batch * recipe.penalty_every / recipe.ada_images), 0.0, MOST)
