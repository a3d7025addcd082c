"""Grow both networks to the next resolution (Karras et al. 2018, §2)."""

from gan3d.errors import UserError
from gan3d.model_file import TrainedModel
from gan3d.networks.architecture import Architecture
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.networks.weights import assign_weights, get_weights, initialise_weights


def grow(
    previous: TrainedModel | None, architecture: Architecture, seed: int
) -> tuple[Generator, Discriminator, TrainedModel]:
    """Both networks at a resolution and their initial weights, which include all of the previous model's.

    The EMA starts as the previous model's.

    Raises:
        UserError: if the previous model has another latent size, other classes or other widths.
    """
    if previous is not None:
        check_growth(previous.architecture, architecture)
    generator, discriminator = Generator(architecture), Discriminator(architecture)
    for model in (generator, discriminator):
        initialise_weights(model, seed)
    ema = get_weights(generator)
    if previous is not None:
        assign_weights(generator, previous.generator)
        assign_weights(discriminator, previous.discriminator)
        ema = get_weights(generator) | {k: v for k, v in previous.ema.items() if k in ema}
    start = TrainedModel(architecture, ema, get_weights(generator), get_weights(discriminator))
    return generator, discriminator, start


def check_growth(previous: Architecture, architecture: Architecture) -> None:
    """Raise UserError if the weights of one architecture do not fit into the other."""
    for name in ("latent", "classes", "mapping", "residual", "widths"):
        old, new = getattr(previous, name), getattr(architecture, name)
        if old != (new[: len(old)] if name == "widths" else new):
            raise UserError(
                f"the model of {previous.resolution}³ was trained with {name} {old}, but params.yaml now says {new}:"
                " train it again first, or change that back."
            )
