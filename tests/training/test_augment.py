"""Changing what the discriminator sees, with a fixed and with an adapted probability."""

import itertools
from collections import Counter
from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy.ndimage import map_coordinates

from gan3d.backend import compile_steps, value_and_grad
from gan3d.networks.architecture import Architecture
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.networks.weights import initialise_weights
from gan3d.training import batches
from gan3d.training.augment import CUTOUT, MAX_PROBABILITY, MAX_STRETCH, NUMBERS, adapt, augment, permute_axes, resample
from gan3d.training.recipe import Recipe
from gan3d.training.step import first_state, make_step, preprocess_real

RECIPE = Recipe(batch=4, penalty_every=2, lr_g=5e-3, lr_d=5e-3, augment=0.5, seed=3)


def moved(shape: np.ndarray, offset: tuple[int, ...]) -> np.ndarray:
    """By padding and cutting."""
    side = len(shape)
    padded = np.pad(shape, side)
    start = [side - way for way in offset]
    return padded[tuple(slice(first, first + side) for first in start)]


def shifts(offsets: list[tuple[int, ...]], side: int) -> np.ndarray:
    """Where each voxel comes from, (B, 3, side)."""
    return np.arange(side, dtype=np.float32) - np.array(offsets, np.float32)[:, :, None]


@given(st.lists(st.tuples(*[st.integers(-4, 4)] * 3), min_size=1, max_size=4), st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_shifts_by_whole_voxels_and_fills_with_nothing(offsets, seed):
    shapes = np.random.default_rng(seed).random((len(offsets), 4, 4, 4)).astype(np.float32)
    out = ops.convert_to_numpy(resample(shapes[..., None], shifts(offsets, 4)))[..., 0]
    assert np.array_equal(out, np.stack([moved(*pair) for pair in zip(shapes, offsets, strict=True)]))


@given(st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_between_two_voxels_it_is_linear(seed):
    rng = np.random.default_rng(seed)
    shape, sources = rng.random((5, 5, 5)), rng.uniform(-2, 6, (3, 5)).astype(np.float32)
    expected = map_coordinates(shape, np.meshgrid(*sources, indexing="ij"), order=1, mode="grid-constant")
    out = ops.convert_to_numpy(resample(shape.astype(np.float32)[None, ..., None], sources[None]))[0, ..., 0]
    assert np.allclose(out, expected, atol=1e-5)


def test_gradients_come_back_to_where_a_voxel_came_from(rng):
    shapes = ops.convert_to_tensor(rng.random((1, 4, 4, 4, 1)), "float32")
    weight = rng.random((1, 4, 4, 4, 1)).astype(np.float32)
    sources = shifts([(1, 0, -2)], 4)
    (_, _), gradient = value_and_grad(lambda x: (ops.sum(resample(x, sources) * weight), None))(shapes)
    assert np.allclose(ops.convert_to_numpy(gradient)[0, ..., 0], moved(weight[0, ..., 0], (-1, 0, 2)))


def test_permute_axes_reaches_all_permutations(rng):
    shape = rng.random((1, 3, 3, 3, 1)).astype(np.float32)
    swaps = np.array(list(itertools.product((False, True), repeat=3)))
    found = {out.tobytes() for out in ops.convert_to_numpy(permute_axes(np.repeat(shape, 8, 0), swaps))[..., 0]}
    assert found == {shape[0, ..., 0].transpose(order).tobytes() for order in itertools.permutations(range(3))}


def numbers(count: int, rng: np.random.Generator, only: int | None = None) -> np.ndarray:
    """What decides on the changes; with `only`, that one of the four is always made, and no other."""
    drawn = rng.random((count, NUMBERS), np.float32)
    if only is not None:
        drawn[:, :4] = 1
        drawn[:, only] = 0
    return drawn


def test_at_probability_0_nothing_changes(rng):
    shapes = (rng.random((50, 8, 8, 8, 1)) < 0.3).astype(np.float32)
    assert np.array_equal(ops.convert_to_numpy(augment(shapes, numbers(50, rng), np.float32(0))), shapes)


@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_moves_a_share_of_the_shapes_by_at_most_an_eighth(rng, probability):
    count, side = 400, 16
    shapes = np.zeros((count, side, side, side, 1), np.float32)
    shapes[:, 8, 8, 8] = 1
    drawn = numbers(count, rng)
    drawn[:, [0, 1, 3]] = 1  # neither turned nor stretched nor cut
    out = ops.convert_to_numpy(augment(shapes, drawn, np.float32(probability)))
    places = np.argwhere(out[..., 0])[:, 1:] - 8
    assert len(places) == count
    assert np.abs(places).max(initial=0) <= 2
    still = (places == 0).all(1).mean()  # one shift in 125 is none
    assert abs((1 - still) - probability * 124 / 125) < 0.1


def test_all_symmetries_of_the_cube_are_equally_likely(rng):
    shape = rng.random((1, 4, 4, 4, 1)).astype(np.float32)
    count = 4800
    out = ops.convert_to_numpy(augment(np.repeat(shape, count, 0), numbers(count, rng, only=0), np.float32(0.5)))
    found = Counter(one.tobytes() for one in out)
    assert len(found) == 48
    assert max(found.values()) < 4 * min(found.values())  # three swaps make some permutations twice as often
    assert all(np.array_equal(np.sort(one, None), np.sort(shape, None)) for one in out[:20])


def test_stretches_and_squeezes_each_axis_about_the_middle(rng):
    side, count = 32, 200
    shapes = np.zeros((count, side, side, side, 1), np.float32)
    shapes[:, 8:24, 8:24, 8:24] = 1
    out = ops.convert_to_numpy(augment(shapes, numbers(count, rng, only=1), np.float32(0.5)))[..., 0]
    for axis in range(3):
        lengths = out.max(tuple({1, 2, 3} - {axis + 1})).sum(1) / 16
        assert 2**-MAX_STRETCH - 0.05 < lengths.min() < 0.9
        assert 1.1 < lengths.max() < 2**MAX_STRETCH + 0.05
    assert np.allclose(out, out[:, ::-1, ::-1, ::-1], atol=1e-4)


def test_cuts_a_box_out_and_nothing_else(rng):
    side, count = 16, 200
    shapes = np.ones((count, side, side, side, 1), np.float32)
    gone = 1 - ops.convert_to_numpy(augment(shapes, numbers(count, rng, only=3), np.float32(0.5)))[..., 0]
    edges = [gone.max(tuple({1, 2, 3} - {axis + 1})).sum(1) for axis in range(3)]
    assert np.array_equal(np.prod(edges, 0), gone.sum((1, 2, 3)))  # it is a box
    assert max(edge.max() for edge in edges) == CUTOUT * side
    assert gone.mean(0).min() > 0  # anywhere, also in the corners


@pytest.mark.parametrize("only", range(4))
def test_gradients_of_each_change_are_those_of_a_linear_map(rng, only):
    shape, other = (rng.random((2, 8, 8, 8, 1)).astype(np.float32) for _ in range(2))
    drawn = numbers(2, rng, only)
    (_, _), gradient = value_and_grad(lambda x: (ops.sum(augment(x, drawn, 0.5) * other), None))(
        ops.convert_to_tensor(shape)
    )
    forward = (ops.convert_to_numpy(augment(shape, drawn, 0.5)) * other).sum()
    assert (ops.convert_to_numpy(gradient) * shape).sum() == pytest.approx(forward, rel=1e-5)


def test_probability_follows_the_accuracy_on_real_shapes_while_memorising():
    recipe = replace(RECIPE, ada_target=0.6, ada_images=80)

    def after(probability: float, accuracy: float, memorising: bool = True) -> float:
        return float(adapt(ops.convert_to_tensor(probability), accuracy, memorising, recipe))

    assert after(0.5, 0.9) == pytest.approx(0.6)
    assert after(0.5, 0.7) == pytest.approx(0.4)
    assert after(0.5, 0.9, memorising=False) == pytest.approx(0.4)  # sure of what it never saw, too: G is what is bad
    assert after(MAX_PROBABILITY, 1.0) == pytest.approx(MAX_PROBABILITY)
    assert after(0.0, 0.0) == 0.0


def networks() -> tuple[Generator, Discriminator]:
    architecture = Architecture(6, ("column", "slab"), (4, 3), (0.2, 0.1))
    models = Generator(architecture), Discriminator(architecture)
    for model in models:
        initialise_weights(model, 1)
    return models


def steps(recipe: Recipe, count: int = 4) -> tuple[dict, dict]:
    models = networks()
    packed = np.random.default_rng(0).integers(0, 256, (10, 64), np.uint8)
    given = batches.draw(
        packed, np.arange(10), np.arange(10, dtype=np.int32) % 2, np.ones(10, np.int32), 6, 0, count, recipe
    )
    return compile_steps(make_step(*models, recipe), recipe.penalty_every)(first_state(*models, recipe.adapted), given)


@pytest.mark.slow
def test_the_adapted_probability_is_state_that_is_logged():
    state, logs = steps(replace(RECIPE, ada_target=-2.0, ada_images=32))  # always surer than that
    assert logs["augment"] == pytest.approx([0.75, 0.75, MAX_PROBABILITY, MAX_PROBABILITY])
    assert float(ops.convert_to_numpy(state["augment"])) == pytest.approx(MAX_PROBABILITY)


def test_memorising_means_scoring_held_out_shapes_more_like_generated_ones():
    recipe = replace(RECIPE, augment=0.3, ada_target=-2.0, ada_images=80)
    models, shapes = networks(), np.random.default_rng(2).integers(0, 256, (30, 64), np.uint8)
    labels, along = np.arange(10, dtype=np.int32) % 2, np.ones(10, np.int32)
    found = set()
    for others in (shapes[10:14], shapes[14:18] & 17, shapes[18:22] | 119):
        held = np.array([1, 1, 0, 1], np.int32)
        drawn = batches.draw(shapes[:10], np.arange(10), labels, along, 6, 0, 1, recipe, held)
        batch = {name: ops.convert_to_tensor(values[0]) for name, values in drawn.items()}
        state = first_state(*models, recipe.adapted)
        after = make_step(*models, recipe, others)(state, batch, True)[0]["augment"]

        changes = batch["changes"]
        real, other = (
            augment(preprocess_real(bits, 8, flip, batch["alpha"]), changes[:, 0], 0.3)
            for bits, flip in ((batch["bits"], batch["flip"]), (others[drawn["held_out"][0]], 0 * batch["flip"]))
        )
        fake = augment(models[0](batch["latents"], batch["labels"]), changes[:, 1], 0.3)
        means = [float(ops.mean(models[1](voxels, batch["labels"]))) for voxels in (real, fake, other)]
        known = means[0] + means[1] > 2 * means[2]
        assert float(ops.convert_to_numpy(after)) == pytest.approx(0.4 if known else 0.2)
        found.add(known)
    assert found == {True, False}


@pytest.mark.slow
def test_changes_alter_what_is_learned_and_nothing_else_that_is_drawn():
    plain, changed = steps(replace(RECIPE, augment=0.0))[0], steps(RECIPE)[0]
    assert "augment" not in changed
    first, second = (keras.tree.flatten(state["discriminator"]) for state in (plain, changed))
    assert not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    packed, rows = np.zeros((3, 8), np.uint8), np.arange(3)
    draws = [batches.draw(packed, rows, rows, rows, 6, 8, 2, r) for r in (RECIPE, replace(RECIPE, augment=0.0))]
    assert set(draws[0]) - set(draws[1]) == {"changes"}
    assert all(np.array_equal(draws[0][name], draws[1][name]) for name in draws[1])
