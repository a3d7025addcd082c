"""A small generator with crisp shapes that vary, and its inverter, without training."""

from dataclasses import replace
from functools import cache

from candidates import tiny

from gan3d.inversion.inverter import Inverter
from gan3d.model_file import TrainedModel
from gan3d.sampling.sampler import Sampler

SHARPNESS = 30.0  # of the logits, which an untrained head leaves near 0


def crisp() -> TrainedModel:
    """The untrained generator of 8³ with the classes chair and table, whose occupancies are near 0 or 1."""
    model = tiny()
    names = ("r08_head/kernel", "r08_head/bias")
    return replace(model, ema=model.ema | {name: model.ema[name] * SHARPNESS for name in names})


@cache
def small_inverter() -> Inverter:
    """Of that generator; drawn and compiled once."""
    return Inverter(Sampler(crisp()))
