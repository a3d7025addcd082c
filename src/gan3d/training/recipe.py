"""What determines a training stage, as plain values."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How one resolution is trained. All progress is counted in images (real shapes shown to the discriminator).

    Attributes:
        loss: a name of `gan3d.training.losses.LOSSES`.
        gamma: weight of the gradient penalties (γ of R1 and R2; λ of WGAN-GP).
        penalty_every: steps between two penalties, each of which is weighted that many times more (Karras et al.
            2020b, §3.1).
        gate: for `bce_gated`: D is updated while its accuracy is at most the second threshold, G while that accuracy is
            at least the first.
        batch: shapes per step.
        lr_g, lr_d: Adam's learning rates.
        beta_1, beta_2: Adam's moments.
        ema: half-life of the EMA of G's weights, as a share of the images that the stage has seen: a power-function
            average (Karras et al. 2024, §3.1).
        fade_in: images over which the new layers fade in; 0 for none.
        stabilise: images after that.
        mirror: axis x, y or z along which real shapes are flipped at random; none; or measured, for each class's own
            axis of symmetry, if it has one.
        noise: scale of the logistic noise on G's logits in training (see `gan3d.training.noise`).
        augment: probability of each augmentation of what D sees, real or fake (see `gan3d.training.augment`); with
            `ada_target`, its initial value.
        ada_target: mean sign of D(real), or of D(real) - D(fake) for a relativistic loss, to which the probability is
            adapted (Karras et al. 2020a, §3) while D memorises the training shapes; None keeps it fixed.
        ada_images: images over which an adapted probability can rise from 0 to 1.
        seed: of all random numbers.
    """

    loss: str = "relativistic"
    gamma: float = 1.0
    penalty_every: int = 8
    gate: tuple[float, float] = (0.0, 0.8)
    batch: int = 32
    lr_g: float = 1e-3
    lr_d: float = 1e-3
    beta_1: float = 0.0
    beta_2: float = 0.99
    ema: float = 0.15
    fade_in: int = 0
    stabilise: int = 10_000
    mirror: str = "x"
    noise: float = 0.0
    augment: float = 0.0
    ada_target: float | None = None
    ada_images: int = 100_000
    seed: int = 0

    @property
    def adapted(self) -> float | None:
        """Initial value of an adapted probability, None if it is fixed."""
        return None if self.ada_target is None else self.augment

    @property
    def augmented(self) -> bool:
        """Whether the discriminator ever sees augmented shapes."""
        return self.augment > 0 or self.ada_target is not None

    @property
    def images(self) -> int:
        """Images of the whole stage."""
        return self.fade_in + self.stabilise
