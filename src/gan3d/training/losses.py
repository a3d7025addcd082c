"""Adversarial losses and gradient penalties by name.

Scores are D's outputs (B,), float32, on real and fake shapes of the same classes, paired by position.
"""

from collections.abc import Callable
from dataclasses import dataclass

from keras import ops

from gan3d.backend import value_and_grad
from gan3d.networks.layers import Tensor

DRIFT = 1e-3  # keeps WGAN scores near zero (Karras et al. 2018, app. A.1)


def relativistic_d(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic pairing loss (Jolicoeur-Martineau 2019; Huang et al. 2024, eq. 2)."""
    return ops.mean(ops.softplus(fake - real))


def relativistic_g(real: Tensor, fake: Tensor) -> Tensor:
    """The generator's side of the relativistic pairing loss."""
    return ops.mean(ops.softplus(real - fake))


def non_saturating_d(real: Tensor, fake: Tensor) -> Tensor:
    """Goodfellow et al. 2014, eq. 1, as binary cross-entropy on logits."""
    return ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))


def non_saturating_g(real: Tensor, fake: Tensor) -> Tensor:
    """Goodfellow et al. 2014, §3: maximise log D(G(z))."""
    return ops.mean(ops.softplus(-fake))


def wasserstein_d(real: Tensor, fake: Tensor) -> Tensor:
    """Arjovsky et al. 2017, with the drift term of Karras et al. 2018."""
    return ops.mean(fake) - ops.mean(real) + DRIFT * ops.mean(ops.square(real))


def wasserstein_g(real: Tensor, fake: Tensor) -> Tensor:
    """Arjovsky et al. 2017, eq. 2."""
    return -ops.mean(fake)


def squared_gradient_norms(discriminate: Callable[[Tensor], Tensor], voxels: Tensor) -> Tensor:
    """Squared norm of the score's gradient with respect to each shape, (B,)."""

    def total(voxels: Tensor) -> tuple[Tensor, None]:
        return ops.sum(discriminate(voxels)), None

    _, gradient = value_and_grad(total)(voxels)
    return ops.sum(ops.square(ops.cast(gradient, "float32")), axis=(1, 2, 3, 4))


def interleave(real: Tensor, fake: Tensor) -> Tensor:
    """Interleave two batches: the first real shape, the first fake one, the second real one, …

    Devices that share the batch then need not exchange shapes.
    """
    return ops.reshape(ops.stack([real, fake], 1), (-1, *real.shape[1:]))


def r1(discriminate: Callable, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """½ E‖∇D(real)‖² (Mescheder et al. 2018, eq. 9)."""
    return ops.mean(squared_gradient_norms(discriminate, real)) / 2


def r1_r2(discriminate: Callable, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """½ E‖∇D(real)‖² + ½ E‖∇D(fake)‖² (Mescheder et al. 2018, eqs. 9 and 10) in one pass: the mean over both."""
    return ops.mean(squared_gradient_norms(discriminate, interleave(real, fake)))


def wgan_gp(discriminate: Callable, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """E(‖∇D(x)‖ - 1)² on lines between real and fake, at `mix` (B,) in [0, 1] (Gulrajani et al. 2017, eq. 3)."""
    between = real + ops.reshape(mix, (-1, 1, 1, 1, 1)) * (fake - real)
    return ops.mean(ops.square(ops.sqrt(squared_gradient_norms(discriminate, between) + 1e-12) - 1))


@dataclass(frozen=True)
class Loss:
    """The losses of both networks, and the gradient penalty that belongs to them.

    Attributes:
        discriminator: D's loss, from the scores of real and fake shapes.
        generator: G's loss, from the same.
        penalty: called with D, real and fake shapes, and `mix`; D takes one batch or two interleaved ones.
        absolute: whether a score of 0 means that D is undecided. D's accuracy then compares scores with 0, otherwise
            those of a real and a fake shape with each other.
        gated: whether D's accuracy decides which network is updated.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    penalty: Callable[[Callable, Tensor, Tensor, Tensor], Tensor] | None = None
    absolute: bool = False
    gated: bool = False


LOSSES = {
    "relativistic": Loss(relativistic_d, relativistic_g, r1_r2),
    "non_saturating": Loss(non_saturating_d, non_saturating_g, r1, absolute=True),
    "wgan_gp": Loss(wasserstein_d, wasserstein_g, wgan_gp),
    "bce_gated": Loss(non_saturating_d, non_saturating_g, absolute=True, gated=True),
}
