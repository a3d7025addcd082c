"""bfloat16 at every growth step: finite losses, penalties and weights, all of them float32."""

import keras
import numpy as np
import pytest
from keras import ops

from gan3d.backend import compile_steps
from gan3d.model_file import TrainedModel
from gan3d.networks.architecture import Architecture
from gan3d.training import batches
from gan3d.training.growth import grow
from gan3d.training.loop import trained_model
from gan3d.training.recipe import Recipe
from gan3d.training.step import first_state, make_step

pytestmark = pytest.mark.slow
SIDES = (4, 8, 16)
RECIPE = Recipe(batch=8, penalty_every=2, lr_g=5e-3, lr_d=5e-3, fade_in=64, seed=3)


def trained(
    previous: TrainedModel | None, dataset, side: int, precision: str
) -> tuple[TrainedModel, dict[str, np.ndarray]]:
    """Six steps in the middle of the fade-in, from what was trained at half the resolution."""
    count = SIDES.index(side) + 1
    architecture = Architecture(8, tuple(dataset.classes), (6, 5, 4)[:count], (0.3, 0.2, 0.1)[:count], precision)
    generator, discriminator, start = grow(previous, architecture, seed=1)
    rows = dataset.select("train")
    given = batches.draw(
        dataset.packed(side), rows, dataset.labels[rows], dataset.mirrored("x")[rows], 8, 16, 6, RECIPE
    )
    state = first_state(generator, discriminator) | {"ema": list(start.ema.values())}
    state, logs = compile_steps(make_step(generator, discriminator, RECIPE), RECIPE.penalty_every)(state, given)
    for leaf in keras.tree.flatten(state):
        assert keras.backend.standardize_dtype(leaf.dtype) == "float32"
        assert np.isfinite(ops.convert_to_numpy(leaf)).all()
    return trained_model(state, start), {name: np.asarray(values) for name, values in logs.items()}


def test_half_precision_is_safe_at_every_growth_step(dataset):
    grown = None
    for side in SIDES:
        grown, logs = trained(grown, dataset, side, "bfloat16")
        assert all(np.isfinite(values).all() for values in logs.values())
        assert (logs["penalty"][::2] > 0).all()


def test_losses_are_float32_and_near_those_of_full_precision(dataset):
    """They are computed in float32 even where the networks are not: no loss is a rounded number."""
    _, half = trained(None, dataset, 4, "bfloat16")
    _, full = trained(None, dataset, 4, "float32")
    for name in ("loss_d", "loss_g"):
        rounded = ops.convert_to_numpy(ops.cast(ops.cast(half[name], "bfloat16"), "float32"))
        assert not np.allclose(rounded, half[name], rtol=1e-5, atol=0)
        assert half[name][0] == pytest.approx(full[name][0], rel=0.1)
