"""Batches are a function of the seed and the images seen, and of nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan3d.training import batches
from gan3d.training.recipe import Recipe
from gan3d.voxels import pack_bits

SEEDS = st.integers(0, 2**31)
PACKED = pack_bits(np.random.default_rng(0).random((13, 4, 4, 4)) < 0.3)
LABELS = np.arange(13, dtype=np.int32) % 3
ROWS = np.arange(13)
AXES = np.arange(13, dtype=np.int32) % 4


@given(rows=st.integers(1, 30), epochs=st.integers(1, 5), seed=SEEDS)
def test_every_epoch_shows_every_shape_once(rows, epochs, seed):
    order = batches.shuffled(rows, 0, epochs * rows, seed).reshape(epochs, rows)
    assert (np.sort(order, axis=1) == np.arange(rows)).all()


@given(rows=st.integers(1, 30), start=st.integers(0, 100), count=st.integers(1, 100), data=st.data(), seed=SEEDS)
def test_the_order_does_not_depend_on_where_it_is_cut(rows, start, count, data, seed):
    cut = data.draw(st.integers(1, count))
    whole = batches.shuffled(rows, start, count, seed)
    assert len(whole) == count
    assert np.array_equal(whole[:cut], batches.shuffled(rows, start, cut, seed))
    if cut < count:
        assert np.array_equal(whole[cut:], batches.shuffled(rows, start + cut, count - cut, seed))


def test_epochs_and_seeds_differ():
    order = batches.shuffled(50, 0, 100, 4)
    assert not np.array_equal(order[:50], order[50:])
    assert not np.array_equal(order, batches.shuffled(50, 0, 100, 5))


@given(batch=st.integers(1, 6), steps=st.integers(2, 6), first=st.integers(0, 9), data=st.data(), seed=SEEDS)
@settings(deadline=None)
def test_batches_do_not_depend_on_how_the_steps_are_cut_into_chunks(batch, steps, first, data, seed):
    recipe = Recipe(batch=batch, fade_in=20, seed=seed)
    start, cut = first * batch, data.draw(st.integers(1, steps - 1))

    def draw(images, steps):
        return batches.draw(PACKED, ROWS, LABELS, AXES, 5, images, steps, recipe)

    whole, head, tail = draw(start, steps), draw(start, cut), draw(start + cut * batch, steps - cut)
    for name, values in whole.items():
        assert len(values) == steps
        assert np.array_equal(values, np.concatenate([head[name], tail[name]])), name


def test_held_out_shapes_are_of_the_classes_of_those_they_are_compared_with():
    held, recipe = np.array([1, 0, 1, 1], np.int32), Recipe(batch=8, seed=1)
    drawn, alone = (batches.draw(PACKED, ROWS, LABELS, AXES, 5, 0, 60, recipe, one) for one in (held, None))
    given, labels = drawn.pop("held_out"), drawn["labels"]
    assert given.dtype == np.int32
    assert (given[labels == 2] == -1).all()  # of which none was held out
    assert (held[given[labels < 2]] == labels[labels < 2]).all()
    counts = np.bincount(given[labels == 1], minlength=4)
    assert counts[1] == 0
    assert counts[[0, 2, 3]].min() > 0.6 * counts.sum() / 3
    assert drawn.keys() == alone.keys()
    assert all(np.array_equal(drawn[name], alone[name]) for name in alone)


def test_a_batch_holds_what_a_step_needs():
    recipe = Recipe(batch=4, fade_in=20, seed=1)
    drawn = batches.draw(PACKED, ROWS, LABELS, AXES, 5, 8, 3, recipe)
    described = {name: (values.shape, values.dtype.name) for name, values in drawn.items()}
    assert described == {
        "bits": ((3, 4, 8), "uint8"),
        "labels": ((3, 4), "int32"),
        "alpha": ((3,), "float32"),
        "decay": ((3,), "float32"),
        "noise": ((3,), "uint32"),
        "latents": ((3, 4, 5), "float32"),
        "flip": ((3, 4), "int32"),
        "mix": ((3, 4), "float32"),
    }
    rows = batches.shuffled(13, 8, 12, 1)
    assert np.array_equal(drawn["bits"].reshape(12, 8), PACKED[rows])
    assert np.array_equal(drawn["labels"].ravel(), LABELS[rows])
    assert all(flip in (0, axis) for flip, axis in zip(drawn["flip"].ravel(), AXES[rows], strict=True))
    assert np.array_equal(drawn["alpha"], np.array([8, 12, 16], np.float32) / 20)


def test_what_is_drawn_is_distributed_as_it_should_be():
    drawn = batches.draw(PACKED, ROWS, LABELS, AXES, 16, 0, 100, Recipe(batch=16, seed=2))
    assert drawn["latents"].mean() == pytest.approx(0, abs=0.02)
    assert drawn["latents"].std() == pytest.approx(1, abs=0.02)
    flipped = drawn["flip"] > 0
    assert flipped.mean() == pytest.approx(0.5 * (AXES > 0).mean(), abs=0.05)
    assert drawn["mix"].mean() == pytest.approx(0.5, abs=0.03)
    assert drawn["mix"].min() >= 0
    assert drawn["mix"].max() < 1
    assert len(np.unique(drawn["latents"])) > 0.99 * drawn["latents"].size  # no step repeats another's


def test_another_seed_changes_everything_random():
    one, other = (batches.draw(PACKED, ROWS, LABELS, AXES, 5, 0, 4, Recipe(batch=8, seed=seed)) for seed in (0, 1))
    for name in ("bits", "latents", "flip", "mix"):
        assert not np.array_equal(one[name], other[name]), name


def test_a_memory_map_serves_as_well(tmp_path):
    np.save(tmp_path / "r04.npy", PACKED)
    mapped = np.load(tmp_path / "r04.npy", mmap_mode="r")
    recipe = Recipe(batch=8)
    for name, values in batches.draw(mapped, ROWS, LABELS, AXES, 5, 0, 4, recipe).items():
        assert np.array_equal(values, batches.draw(PACKED, ROWS, LABELS, AXES, 5, 0, 4, recipe)[name])


@given(images=st.integers(0, 10**7), fade=st.integers(0, 10**6))
def test_alpha_rises_linearly_to_one(images, fade):
    value = batches.alpha(images, Recipe(fade_in=fade))
    assert value == (1.0 if images >= fade else images / fade)


@given(images=st.integers(1, 10**6), batch=st.integers(1, 512), share=st.floats(0.01, 1))
def test_the_average_has_the_half_life_of_the_recipe(images, batch, share):
    """A share of what has been seen."""
    recipe = Recipe(batch=batch, ema=share)
    left = batches.decay(images, recipe)
    assert 0 <= left < 1
    assert left ** (share * images / batch) == pytest.approx(0.5) or left < 1e-9
    assert left <= batches.decay(images + batch, recipe)


@pytest.mark.parametrize("batch", [8, 32])
def test_the_average_weighs_weights_by_a_power_of_when_they_were(batch):
    """Karras et al. 2024, eq. 3: the weight of what a step left after t of T images goes with (t / T)^γ."""
    recipe, steps = Recipe(batch=batch, ema=0.15), 2000
    left = np.array([batches.decay((step + 1) * batch, recipe) for step in range(steps)])
    weight = (1 - left) * np.append(np.cumprod(left[:0:-1])[::-1], 1.0)
    power = np.log(2) / recipe.ema - 1
    assert weight[1000] / weight[-1] == pytest.approx((1001 / 2000) ** power, rel=0.02)
    assert weight.sum() == pytest.approx(1.0)


def test_only_the_chosen_rows_are_drawn():
    rows = np.array([2, 3, 11])
    drawn = batches.draw(PACKED, rows, LABELS[rows], AXES[rows], 5, 0, 3, Recipe(batch=8))
    bits, labels = drawn["bits"].reshape(24, -1), drawn["labels"].reshape(24)
    assert {bytes(row) for row in bits} == {bytes(row) for row in PACKED[rows]}
    for row, label in zip(bits, labels, strict=True):
        assert LABELS[next(i for i in rows if bytes(PACKED[i]) == bytes(row))] == label


def test_rows_of_shapes_on_the_device_name_what_would_have_been_sent():
    rows = np.array([2, 3, 11])
    sent, named = (
        batches.draw(packed, rows, LABELS[rows], AXES[rows], 5, 8, 3, Recipe(batch=8)) for packed in (PACKED, None)
    )
    assert np.array_equal(PACKED[rows][named.pop("rows")], sent.pop("bits"))
    assert all(np.array_equal(named[name], sent[name]) for name in sent)
