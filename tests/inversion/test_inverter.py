"""Inversion finds a generator's own shapes again, however they lie, and says what it does not know."""

import numpy as np
import pytest
from small_inverter import small_inverter

from gan3d.errors import UserError
from gan3d.inversion.poses import centre, place_on_floor, poses
from gan3d.sampling.latents import draw_latents


@pytest.fixture(scope="module")
def inverter():
    return small_inverter()


def own_shapes(inverter, count, label=0, seed=5):
    return inverter.draw(draw_latents(seed, count, inverter.latent), label)


def test_own_shapes_are_found_again(inverter):
    found = [inverter.invert(shape, "chair") for shape in own_shapes(inverter, 8)]
    assert np.median([each.iou for each in found]) > 0.98
    for each in found:
        np.testing.assert_array_equal(each.voxels, inverter.draw(each.latent[None], 0)[0])
        assert np.mean(np.square(each.latent)) == pytest.approx(1, abs=1e-4)
        assert each.known
        assert "knows such a chair" in each.message


def test_the_search_is_bounded_and_repeats_itself(inverter):
    (shape,) = own_shapes(inverter, 1)
    first, again = (inverter.invert(shape, "chair", evaluations=5) for _ in range(2))
    assert first.evaluations <= 8  # a line search may end a few evaluations later
    np.testing.assert_array_equal(first.latent, again.latent)


def test_a_turned_shape_is_turned_back(inverter):
    (shape,) = own_shapes(inverter, 1)
    turned = np.rot90(shape, 1, (0, 2))
    assert inverter.invert(turned, "chair", turn=True).iou > inverter.invert(turned, "chair").iou - 0.02
    candidates = poses(turned, "y")
    assert (candidates[0] == turned).all()
    assert any((centre(shape) == candidate).all() for candidate in candidates)
    assert any((place_on_floor(centre(shape), 1) == candidate).all() for candidate in candidates)


def test_the_class_that_fits_is_found(inverter):
    shapes = own_shapes(inverter, 6, label=1)
    assert np.mean([inverter.invert(shape).class_name == "table" for shape in shapes]) > 0.5


def test_a_shape_that_it_cannot_make_is_called_unknown(inverter):
    checkers = np.indices((8, 8, 8)).sum(0) % 4 == 0
    found = inverter.invert(checkers, "chair")
    assert not found.known
    assert "outside what the generator knows" in found.message


@pytest.mark.parametrize(
    ("voxels", "class_name", "words"),
    [
        (np.zeros((8, 8, 8), bool), None, "is empty"),
        (np.ones((4, 4, 4), bool), None, r"of shape \(4, 4, 4\) does not fit"),
        (np.ones((8, 8, 8), bool), "sofa", "is not known to this model"),
    ],
)
def test_misuse_is_one_sentence(inverter, voxels, class_name, words):
    with pytest.raises(UserError, match=words):
        inverter.invert(voxels, class_name)
