"""Shifting what the discriminator sees, with a fixed and with an adapted probability."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from gan3d.backend import compile_steps, value_and_grad
from gan3d.networks import growth
from gan3d.networks.architecture import Architecture
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.training import batches
from gan3d.training.augment import MOST, adapt, augment, shift
from gan3d.training.recipe import Recipe
from gan3d.training.step import first_state, make_step

RECIPE = Recipe(batch=4, penalty_every=2, lr_g=5e-3, lr_d=5e-3, augment=0.5, seed=3)


def moved(shape: np.ndarray, offset: tuple[int, ...]) -> np.ndarray:
    """By padding and cutting."""
    side = len(shape)
    padded = np.pad(shape, side)
    start = [side - way for way in offset]
    return padded[tuple(slice(first, first + side) for first in start)]


@given(st.lists(st.tuples(*[st.integers(-4, 4)] * 3), min_size=1, max_size=4), st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_shifts_by_whole_voxels_and_fills_with_nothing(offsets, seed):
    shapes = np.random.default_rng(seed).random((len(offsets), 4, 4, 4)).astype(np.float32)
    out = ops.convert_to_numpy(shift(shapes[..., None], np.array(offsets, np.int32)))[..., 0]
    assert np.array_equal(out, np.stack([moved(*pair) for pair in zip(shapes, offsets, strict=True)]))


def test_gradients_come_back_to_where_a_voxel_came_from(rng):
    shapes = ops.convert_to_tensor(rng.random((1, 4, 4, 4, 1)), "float32")
    weight = rng.random((1, 4, 4, 4, 1)).astype(np.float32)
    (_, _), gradient = value_and_grad(lambda x: (ops.sum(shift(x, np.array([[1, 0, -2]])) * weight), None))(shapes)
    assert np.allclose(ops.convert_to_numpy(gradient)[0, ..., 0], moved(weight[0, ..., 0], (-1, 0, 2)))


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_moves_a_share_of_the_shapes_by_at_most_an_eighth(rng, probability):
    count, side = 400, 16
    shapes = np.zeros((count, side, side, side, 1), np.float32)
    shapes[:, 8, 8, 8] = 1
    out = ops.convert_to_numpy(augment(shapes, rng.random((count, 4), np.float32), np.float32(probability)))
    places = np.argwhere(out[..., 0])[:, 1:] - 8
    assert len(places) == count
    assert np.abs(places).max(initial=0) <= 2
    still = (places == 0).all(1).mean()  # one shift in 125 is none
    assert abs((1 - still) - probability * 124 / 125) < 0.1


def test_probability_follows_the_accuracy_on_real_shapes():
    recipe = replace(RECIPE, ada_target=0.6, ada_images=40)
    up, down = (float(adapt(ops.convert_to_tensor(0.5), accuracy, recipe)) for accuracy in (0.9, 0.7))
    assert (up, down) == (pytest.approx(0.6), pytest.approx(0.4))
    assert float(adapt(ops.convert_to_tensor(MOST), 1.0, recipe)) == pytest.approx(MOST)
    assert float(adapt(ops.convert_to_tensor(0.0), 0.0, recipe)) == 0.0


def steps(recipe: Recipe, count: int = 4) -> tuple[dict, dict]:
    architecture = Architecture(6, ("column", "slab"), (4, 3), (0.2, 0.1))
    models = Generator(architecture), Discriminator(architecture)
    for model in models:
        growth.initialise(model, 1)
    packed = np.random.default_rng(0).integers(0, 256, (10, 64), np.uint8)
    given = batches.draw(packed, np.arange(10), np.arange(10, dtype=np.int32) % 2, 6, 0, count, recipe)
    return compile_steps(make_step(*models, recipe), recipe.penalty_every)(first_state(*models, recipe.adapted), given)


@pytest.mark.slow
def test_the_adapted_probability_is_state_that_is_logged():
    state, logs = steps(replace(RECIPE, ada_target=-2.0, ada_images=16))  # always surer than that
    assert logs["augment"] == pytest.approx([0.75, MOST, MOST, MOST])
    assert float(ops.convert_to_numpy(state["augment"])) == pytest.approx(MOST)


@pytest.mark.slow
def test_shifts_change_what_is_learned_and_nothing_else_that_is_drawn():
    plain, shifted = steps(replace(RECIPE, augment=0.0))[0], steps(RECIPE)[0]
    assert "augment" not in shifted
    first, second = (keras.tree.flatten(state["discriminator"]) for state in (plain, shifted))
    assert not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    packed, rows = np.zeros((3, 8), np.uint8), np.arange(3)
    draws = [batches.draw(packed, rows, rows, 6, 8, 2, r) for r in (RECIPE, replace(RECIPE, augment=0.0))]
    assert set(draws[0]) - set(draws[1]) == {"shift"}
    assert all(np.array_equal(draws[0][name], draws[1][name]) for name in draws[1])
