"""What a study searches: values of a stage's parameters, and the recipe that a trial trains with them."""

from dataclasses import replace
from typing import Any

import optuna

from gan3d.config.schema import Params, Range, Tune
from gan3d.training.recipe import Recipe

DIGITS = 4  # significant, of a float that is searched
INTEGERS = ("width", "batch", "fade_in")
UNLIMITED = 10**9  # images of a trial with a budget of seconds


def suggest(trial: optuna.Trial, space: dict[str, Any]) -> dict[str, Any]:
    """Values for a trial."""
    values = {}
    for name, given in space.items():
        if not isinstance(given, Range):
            values[name] = trial.suggest_categorical(name, list(given))
        elif name in INTEGERS:
            values[name] = trial.suggest_int(name, int(given.low), int(given.high), log=given.log)
        else:
            values[name] = trial.suggest_float(name, given.low, given.high, log=given.log)
    return values


def round_float(value: float, low: float, high: float) -> float:
    """A value with DIGITS significant digits, or the bound that the rounding would cross."""
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


def current_values(params: Params, stage: str) -> dict[str, Any] | None:
    """The stage's values in params.yaml, rounded as a sampler's; None if one is outside the space."""
    own, recipe = params.train.stages[stage], params.recipe(stage)
    values = {name: recipe.gamma if name == "gamma" else getattr(own, name) for name in params.tune.space}
    for name, given in params.tune.space.items():
        value = values[name]
        if not isinstance(value, int | float):  # a list of widths, which no space has
            return None
        if not (given.low <= value <= given.high if isinstance(given, Range) else value in given):
            return None
        if isinstance(given, Range) and name not in INTEGERS:
            values[name] = round_float(value, given.low, given.high)
    return values


def with_budget(params: Params, stage: str, values: dict[str, Any]) -> tuple[Params, Recipe]:
    """Parameters with a trial's values, and the recipe that it trains.

    Under a budget of images the fade-in keeps its share of the stage. Under one of seconds it keeps its images, and
    time ends the training.
    """
    tried = params.with_stage(stage, values)
    recipe = tried.recipe(stage)
    if params.tune.images is None:
        return tried, replace(recipe, stabilise=UNLIMITED)
    fade_in = round(params.tune.images * recipe.fade_in / recipe.images)
    return tried, replace(recipe, fade_in=fade_in, stabilise=params.tune.images - fade_in)


def comparable_settings(tune: Tune) -> dict[str, Any]:
    """The settings that trials must share to be compared, as plain values."""
    own = tune.model_dump(mode="json", include={"images", "seconds", "count", "draws", "space"})
    return own | {"objective": list(tune.objectives)}
