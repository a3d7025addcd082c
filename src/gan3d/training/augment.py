"""Shifting what the discriminator sees, real and fake alike, so that it cannot learn the training shapes by heart.

Applied to both with the same probability, the shifts do not leak into the generator's shapes (Karras et al. 2020a, §2).
"""

from keras import ops

from gan3d.networks.layers import Tensor
from gan3d.training.recipe import Recipe

REACH = 8  # a shift is at most this part of an edge
MOST = 0.8  # of an adapted probability: beyond it, shifts begin to leak


def shift(voxels: Tensor, offsets: Tensor) -> Tensor:
    """Move each shape by whole voxels; what leaves the grid is lost, and what comes in is empty.

    A product with 0/1 matrices, whose gradients of all orders are exact and quick on every backend.

    Args:
        voxels: (B, R, R, R, 1).
        offsets: integers (B, 3), along the three axes.
    """
    side = voxels.shape[1]
    places = ops.arange(side)
    for axis in range(3):
        way = offsets[:, axis][:, None, None]
        matrix = ops.cast(ops.equal(places[None, :, None] - places[None, None, :], way), voxels.dtype)  # (B, to, from)
        # the axis comes first, and goes last: after three turns all are where they were
        flat = ops.matmul(matrix, ops.reshape(voxels, (-1, side, side * side)))
        voxels = ops.reshape(ops.transpose(flat, (0, 2, 1)), (-1, side, side, side, 1))
    return voxels


def augment(voxels: Tensor, drawn: Tensor, probability: Tensor) -> Tensor:
    """Shift each shape, with a probability, by up to an eighth of an edge along each axis.

    Args:
        voxels: (B, R, R, R, 1).
        drawn: uniform numbers in [0, 1), (B, 4): whether, and how far along each axis.
    """
    reach = max(1, voxels.shape[1] // REACH)
    far = ops.floor(drawn[:, 1:] * (2 * reach + 1)) - reach
    offsets = ops.where(drawn[:, :1] < probability, far, ops.zeros_like(far))
    return shift(voxels, ops.cast(offsets, "int32"))


def adapt(probability: Tensor, accuracy_real: Tensor, recipe: Recipe) -> Tensor:
    """The next probability: up when the discriminator is surer of real shapes than the target, else down.

    Karras et al. 2020a, §3.1, with r_t = E[sign D(real)] of the step's batch.
    """
    surer = ops.sign(2 * accuracy_real - 1 - recipe.ada_target)
    return ops.clip(probability + surer * (recipe.batch / recipe.ada_images), 0.0, MOST)
