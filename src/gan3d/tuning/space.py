"""What a study searches: values of a stage's parameters, and what a trial of them is trained with."""

from dataclasses import replace
from typing import Any

import optuna

from gan3d.config.schema import Params, Range, Tune
from gan3d.training.recipe import Recipe

DIGITS = 4  # of a float that is trained, so that params.yaml can hold exactly that
WHOLE = ("width", "batch", "fade_in")  # numbers
ENDLESS = 10**9  # images of a trial that the clock ends


def suggest(trial: optuna.Trial, space: dict[str, Any]) -> dict[str, Any]:
    """Values for a trial, as they are trained."""
    values = {}
    for name, given in space.items():
        if not isinstance(given, Range):
            values[name] = trial.suggest_categorical(name, list(given))
        elif name in WHOLE:
            values[name] = trial.suggest_int(name, int(given.low), int(given.high), log=given.log)
        else:
            values[name] = trial.suggest_float(name, given.low, given.high, log=given.log)
    return trained(values)


def trained(values: dict[str, Any]) -> dict[str, Any]:
    """Optuna's values as they are trained and written into params.yaml."""
    return {name: float(f"{v:.{DIGITS}g}") if isinstance(v, float) else v for name, v in values.items()}


def present(params: Params, stage: str) -> dict[str, Any] | None:
    """The values that params.yaml has for the stage, None when one is outside the space."""
    own, recipe = params.train.stages[stage], params.recipe(stage)
    values = {name: recipe.gamma if name == "gamma" else getattr(own, name) for name in params.tune.space}
    for name, given in params.tune.space.items():
        value = values[name]
        if not isinstance(value, int | float):  # the widths of several resolutions, which no space has
            return None
        if not (given.low <= value <= given.high if isinstance(given, Range) else value in given):
            return None
    return values


def budgeted(params: Params, stage: str, values: dict[str, Any]) -> tuple[Params, Recipe]:
    """Parameters with a trial's values, and the recipe that is trained.

    Under a budget of images the fade-in keeps its share of the stage; under one of seconds it keeps its images, and the
    clock ends the stage.
    """
    tried = params.with_stage(stage, values)
    recipe = tried.recipe(stage)
    if params.tune.images is None:
        return tried, replace(recipe, stabilise=ENDLESS)
    fade_in = round(params.tune.images * recipe.fade_in / recipe.images)
    return tried, replace(recipe, fade_in=fade_in, stabilise=params.tune.images - fade_in)


def describe(tune: Tune) -> dict[str, Any]:
    """All that makes trials comparable, as plain values."""
    own = tune.model_dump(mode="json", include={"images", "seconds", "count", "draws", "space"})
    return own | {"objective": list(tune.objectives)}
