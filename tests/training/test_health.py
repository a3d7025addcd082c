"""A generator that draws nothing, everything or always the same is reported, and a healthy one is not."""

import numpy as np
import pytest

from gan3d.training import health

ONE = np.zeros(8, int)  # all of one class


def healthy(rng: np.random.Generator, count: int = 8) -> np.ndarray:
    shapes = np.zeros((count, 8, 8, 8), bool)
    for shape in shapes:
        x, y, z = rng.integers(0, 5, 3)
        shape[x : x + 3, y : y + 3, z : z + 3] = True
    return shapes


def test_measures_by_hand():
    shapes = np.zeros((4, 2, 2, 2), bool)
    shapes[0] = True  # full
    shapes[1, 0] = True  # half, within the full one
    shapes[2, 1] = True  # the other half; the last one is empty
    found = health.measure(shapes, ONE[:4])
    assert found == {"occupancy": 0.5, "empty": 0.25, "full": 0.25, "diversity": pytest.approx((1 + 0.5 + 1 + 1) / 4)}


def test_a_healthy_generator_is_left_alone(rng):
    assert health.warnings(health.measure(healthy(rng), ONE), 0.05) == []


@pytest.mark.parametrize(
    ("shapes", "words", "parameters"),
    [
        (np.zeros((8, 8, 8, 8), bool), "empty", ("lr_d", "gamma")),
        (np.ones((8, 8, 8, 8), bool), "full cube", ("lr_g",)),
        (np.tile(healthy(np.random.default_rng(1), 1), (8, 1, 1, 1)), "alike", ("gamma", "lr_g")),
    ],
)
def test_a_collapse_is_named_with_what_to_change(shapes, words, parameters):
    (message,) = health.warnings(health.measure(shapes, ONE), 0.05)
    assert words in message
    assert all(name in message for name in parameters)


def test_almost_full_counts_as_full():
    shapes = np.ones((8, 8, 8, 8), bool)
    shapes[:, 0, 0, :4] = False
    assert "full cube" in health.warnings(health.measure(shapes, ONE), 0.05)[0]


def test_one_collapsed_class_among_healthy_ones_is_seen(rng):
    """The classes differ from each other, which must not count as diversity."""
    chairs, tables = healthy(rng, 4), np.tile(healthy(rng, 1), (4, 1, 1, 1))
    (message,) = health.warnings(health.measure(np.concatenate([chairs, tables]), ONE + (np.arange(8) > 3)), 0.05)
    assert "alike" in message
    both = np.concatenate([np.tile(chairs[:1], (4, 1, 1, 1)), tables])
    assert health.measure(both, np.arange(8) // 4)["diversity"] == 0


def test_a_single_shape_of_a_class_is_not_judged(rng):
    assert health.warnings(health.measure(healthy(rng, 2), np.array([0, 1])), 0.05) == []
