"""Sampling: equal shapes for equal seeds, interpolation of latents, classes by name."""

import unicodedata
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan3d.errors import UserError
from gan3d.networks.architecture import Architecture
from gan3d.sampling.latents import draw_latents, slerp
from gan3d.sampling.paths import PATHS, walk
from gan3d.sampling.sampler import Sampler
from gan3d.training.growth import grow

SEEDS = st.integers(0, 2**63)


def sampler(classes: tuple[str, ...], batch: int = 64, threshold: float = 0.2) -> Sampler:
    start = grow(None, Architecture(6, classes, (4, 3), (0.2, 0.15)), seed=1)[2]
    return Sampler(replace(start, threshold=threshold), batch)


@pytest.fixture(scope="module")
def two() -> Sampler:
    return sampler(("chair", "table"))


@given(seed=SEEDS, short=st.integers(0, 20), more=st.integers(0, 20), size=st.integers(1, 64))
def test_a_smaller_count_is_a_prefix_of_a_larger_one(seed, short, more, size):
    drawn = draw_latents(seed, short + more, size)
    assert drawn.shape == (short + more, size)
    assert drawn.dtype == np.float32
    assert np.array_equal(drawn[:short], draw_latents(seed, short, size))


def test_seeds_differ_and_latents_are_standard_normal():
    drawn = draw_latents(5, 400, 32)
    assert not np.array_equal(drawn, draw_latents(6, 400, 32))
    assert drawn.mean() == pytest.approx(0, abs=0.03)
    assert drawn.std() == pytest.approx(1, abs=0.03)


@given(seed=SEEDS, size=st.integers(2, 64), steps=st.integers(2, 20))
def test_slerp_starts_and_ends_at_its_ends(seed, size, steps):
    start, end = draw_latents(seed, 2, size)
    path = slerp(start, end, steps)
    assert path.shape == (steps, size)
    assert path.dtype == np.float32
    assert np.isfinite(path).all()
    scale = np.abs([start, end]).max()
    np.testing.assert_allclose(path[0], start, atol=2e-3 * scale)
    np.testing.assert_allclose(path[-1], end, atol=2e-3 * scale)


@given(seed=SEEDS, size=st.integers(4, 64), steps=st.integers(3, 20))
def test_slerp_on_a_sphere_stays_on_it_in_even_steps(seed, size, steps):
    start, end = (v / np.linalg.norm(v) for v in draw_latents(seed, 2, size).astype(np.float64))
    path = slerp(start, end, steps)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 1, atol=1e-4)
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    np.testing.assert_allclose(lengths, lengths.mean(), atol=1e-4)


def test_slerp_between_almost_equal_points_is_linear():
    start = draw_latents(0, 1, 16)[0]
    path = slerp(start, start, 5)
    np.testing.assert_allclose(path, np.tile(start, (5, 1)), rtol=1e-6)
    near = slerp(start, start * (1 + 1e-6), 3)
    assert np.isfinite(near).all()


def test_shapes_are_a_function_of_class_and_seed(two):
    shapes = two.shapes(1, 5, seed=3)
    assert shapes.shape == (5, 8, 8, 8)
    assert shapes.dtype == bool
    assert 0 < shapes.mean() < 1
    assert np.array_equal(shapes, two.shapes(1, 5, seed=3))
    assert np.array_equal(shapes[:2], two.shapes(1, 2, seed=3))
    assert not np.array_equal(shapes, two.shapes(0, 5, seed=3))
    assert not np.array_equal(shapes, two.shapes(1, 5, seed=4))


def test_a_count_of_0_gives_no_shapes(two):
    assert two.shapes(0, 0, seed=1).shape == (0, 8, 8, 8)


def test_the_batch_size_does_not_change_shapes(two):
    vectors, labels = draw_latents(0, 7, 6), np.array([0, 1, 1, 0, 1, 0, 0])
    expected = two.occupancy(vectors, labels)
    assert expected.dtype == np.float32
    for batch in (1, 3, 7):
        found = sampler(("chair", "table"), batch).occupancy(vectors, labels)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_other_shapes_of_a_batch_do_not_change_a_shape(two):
    vectors, labels = draw_latents(0, 64, 6), np.arange(64) % 2
    expected = two.occupancy(vectors, labels)
    for count in (1, 2, 3, 5, 8, 16, 17, 32, 63):
        found = two.occupancy(vectors[:count], labels[:count])
        np.testing.assert_allclose(found, expected[:count], rtol=0, atol=4e-6)
        np.testing.assert_array_equal(found, two.occupancy(vectors[:count], labels[:count]))


def test_the_model_s_threshold_decides(two):
    occupancy = np.array([[[[0.1, 0.2, 0.3]]]], np.float32)
    assert two.binary(occupancy).tolist() == [[[[False, False, True]]]]
    assert sampler(("chair",), threshold=0.05).binary(occupancy).all()


def test_alpha_0_gives_the_coarse_shapes(two):
    coarse = two.occupancy(draw_latents(0, 3, 6), np.zeros(3), alpha=0.0)
    assert np.array_equal(coarse, coarse[:, ::2, ::2, ::2].repeat(2, 1).repeat(2, 2).repeat(2, 3))


def test_classes_by_name(two):
    assert [two.label(name) for name in two.classes] == [0, 1]
    assert sampler(("chair",)).label(None) == 0


@pytest.mark.parametrize("name", ["sofa", "", "Chair", None])
def test_an_unknown_class_lists_the_known_ones(two, name):
    with pytest.raises(UserError, match="chair, table"):
        two.label(name)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_a_class_is_found_in_both_unicode_forms(form, stored):
    model = SimpleNamespace(classes=("chair", unicodedata.normalize(stored, "Stühle")))
    assert Sampler.label(model, unicodedata.normalize(form, "Stühle")) == 1
    with pytest.raises(UserError, match="choose one of chair"):
        Sampler.label(model, "Stuhle")


@given(seed=SEEDS, size=st.integers(2, 64), steps=st.integers(2, 20))
def test_a_linear_path_is_straight_and_even(seed, size, steps):
    start, end = draw_latents(seed, 2, size)
    path = walk(start, end, steps, "linear")
    assert path.dtype == np.float32
    np.testing.assert_allclose(np.diff(path, axis=0), np.tile((end - start) / (steps - 1), (steps - 1, 1)), atol=1e-5)
    np.testing.assert_array_equal(path[[0, -1]], [start, end])
    np.testing.assert_array_equal(walk(start, end, steps), slerp(start, end, steps))


def test_between_latents_of_one_length_both_paths_give_shapes_of_the_same_arc():
    """The generator sees directions alone: a linear step in the middle is the longest, a spherical one is even."""
    start, end = (v / np.linalg.norm(v) for v in draw_latents(4, 2, 32))
    angles = {}
    for name in PATHS:
        path = walk(start, end, 9, name)
        directions = path / np.linalg.norm(path, axis=1, keepdims=True)
        basis = np.linalg.qr(np.stack([start, end]).T)[0]
        np.testing.assert_allclose(directions @ basis @ basis.T, directions, atol=1e-5)  # in the plane of both ends
        angles[name] = np.degrees(np.arccos((directions[:-1] * directions[1:]).sum(1).clip(-1, 1)))
    np.testing.assert_allclose(angles["slerp"], angles["slerp"].mean(), atol=0.1)
    assert angles["linear"][3] > 1.2 * angles["linear"][0]


def test_an_unknown_path_is_refused():
    with pytest.raises(UserError, match="choose one of slerp, linear"):
        walk(*draw_latents(0, 2, 4), 3, "curved")
