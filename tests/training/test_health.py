"""A generator that draws nothing, everything or always the same is reported, and a healthy one is not."""

import numpy as np
import pytest

from gan3d.training import health

LOSSES = {"loss_d": 0.7, "loss_g": 0.8}


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
    found = health.measure(shapes)
    assert found == {"occupancy": 0.5, "empty": 0.25, "full": 0.25, "diversity": pytest.approx((1 + 0.5 + 1 + 1) / 4)}


def test_a_healthy_generator_is_left_alone(rng):
    assert health.warnings(health.measure(healthy(rng)), LOSSES, 0.05) == []


@pytest.mark.parametrize(
    ("shapes", "words", "parameters"),
    [
        (np.zeros((8, 8, 8, 8), bool), "empty", ("lr_d", "gamma")),
        (np.ones((8, 8, 8, 8), bool), "full cube", ("lr_g",)),
        (np.tile(healthy(np.random.default_rng(1), 1), (8, 1, 1, 1)), "alike", ("gamma", "lr_g")),
    ],
)
def test_a_collapse_is_named_with_what_to_change(shapes, words, parameters):
    (message,) = health.warnings(health.measure(shapes), LOSSES, 0.05)
    assert words in message
    assert all(name in message for name in parameters)


def test_almost_full_counts_as_full():
    shapes = np.ones((8, 8, 8, 8), bool)
    shapes[:, 0, 0, :4] = False
    assert "full cube" in health.warnings(health.measure(shapes), LOSSES, 0.05)[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_losses_that_are_not_finite_are_named(rng, value):
    (message,) = health.warnings(health.measure(healthy(rng)), LOSSES | {"penalty": value}, 0.05)
    assert "diverged" in message
