"""A training that goes wrong is reported with what to change, and a healthy one is left alone."""

import numpy as np
import pytest

from gan3d.monitoring import advice
from gan3d.monitoring.diagnostics import sample_statistics

ONE = np.zeros(8, int)  # all of one class
FINE = {
    "alpha": 1.0,
    "gradient_d": 1.0,
    "gradient_g": 0.1,
    "accuracy_real": 0.8,
    "accuracy_fake": 0.99,
    "samples/occupancy_of_data": 0.05,
    "samples/largest_piece_of_data": 0.98,
    "samples/occupancy": 0.055,
    "samples/largest_piece": 0.95,
    "samples/empty": 0.1,
    "samples/full": 0.0,
    "samples/diversity": 0.5,
    "overfitting/r_v": 0.2,
    "coverage/chair": 0.4,
    "coverage/table": 0.3,
    "coverage/all_classes": 0.35,
    "coverage/real_shapes": 0.5,
}
USUAL = [{"gradient_d": 1.0, "gradient_g": 0.1, "accuracy_real": 0.99, "accuracy_fake": 0.99}] * 6


def healthy(rng: np.random.Generator, count: int = 8) -> np.ndarray:
    shapes = np.zeros((count, 8, 8, 8), bool)
    for shape in shapes:
        x, y, z = rng.integers(0, 5, 3)
        shape[x : x + 3, y : y + 3, z : z + 3] = True
    return shapes


def advice_on(shapes: np.ndarray, labels: np.ndarray) -> list[str]:
    """Advice on samples alone, where the data have the same occupancy and largest component."""
    found = {f"samples/{name}": value for name, value in sample_statistics(shapes, labels).items()}
    return advice.advise(
        found
        | {
            "samples/occupancy_of_data": found["samples/occupancy"],
            "samples/largest_piece_of_data": found["samples/largest_piece"],
        }
    )


def test_measures_by_hand():
    shapes = np.zeros((4, 2, 2, 2), bool)
    shapes[0] = True  # full
    shapes[1, 0] = True  # half, within the full one
    shapes[2, 1] = True  # the other half; the last one is empty
    assert sample_statistics(shapes, ONE[:4]) == {
        "occupancy": 0.5,
        "empty": 0.25,
        "full": 0.25,
        "largest_piece": 1.0,
        "diversity": pytest.approx((1 + 0.5 + 1 + 1) / 4),
    }


def test_the_largest_piece_is_that_of_shapes_that_are_not_empty():
    shapes = np.zeros((3, 8, 8, 8), bool)
    shapes[0, :2, :2, :2] = shapes[0, 5, 5, 5:7] = True  # 8 of 10 voxels
    shapes[1, 0, 0, 0] = True
    assert sample_statistics(shapes, ONE[:3])["largest_piece"] == pytest.approx(0.9)


def test_a_healthy_generator_is_left_alone(rng):
    assert advice_on(healthy(rng), ONE) == []
    assert advice.advise(FINE, USUAL) == []


@pytest.mark.parametrize(
    ("shapes", "words", "parameters"),
    [
        (np.zeros((8, 8, 8, 8), bool), "empty", ("lr_d", "gamma")),
        (np.ones((8, 8, 8, 8), bool), "full cube", ("lr_g",)),
        (np.tile(healthy(np.random.default_rng(1), 1), (8, 1, 1, 1)), "alike", ("gamma", "lr_g")),
    ],
)
def test_a_collapse_is_named_with_what_to_change(shapes, words, parameters):
    (message,) = advice_on(shapes, ONE)
    assert words in message
    assert all(name in message for name in parameters)


def test_almost_full_counts_as_full():
    shapes = np.ones((8, 8, 8, 8), bool)
    shapes[:, 0, 0, :4] = False
    assert "full cube" in advice_on(shapes, ONE)[0]


def test_one_collapsed_class_among_healthy_ones_is_seen(rng):
    """The classes differ from each other, which must not count as diversity."""
    chairs, tables = healthy(rng, 4), np.tile(healthy(rng, 1), (4, 1, 1, 1))
    (message,) = advice_on(np.concatenate([chairs, tables]), ONE + (np.arange(8) > 3))
    assert "alike" in message
    both = np.concatenate([np.tile(chairs[:1], (4, 1, 1, 1)), tables])
    assert sample_statistics(both, np.arange(8) // 4)["diversity"] == 0


def test_a_single_shape_per_class_gives_no_advice(rng):
    assert advice_on(healthy(rng, 2), np.array([0, 1])) == []


PROBLEMS = [
    ({"gradient_d": 40.0}, "discriminator's gradients are 40 times", "lr_d"),
    ({"gradient_g": 4.0}, "generator's gradients are 40 times", "lr_g"),
    ({"accuracy_real": 0.99}, "tells nearly all", "lr_d"),
    ({"overfitting/r_v": 0.8}, "memorises", "gamma"),
    ({"samples/largest_piece": 0.8}, "80% of a shape, in the data 98%", "stabilise"),
    ({"samples/occupancy": 0.1}, "too much", "lr_g"),
    ({"samples/occupancy": 0.02}, "too little", "raise ema "),
    ({"coverage/table": 0.05}, "Samples of table cover only 5%", "batch"),
]


@pytest.mark.parametrize(("change", "words", "parameter"), PROBLEMS)
def test_each_problem_is_named_with_the_parameter_to_change(change, words, parameter):
    (message,) = advice.advise(FINE | change, USUAL + [FINE | change] * 2 if "/" in next(iter(change)) else USUAL)
    assert words in message
    assert parameter in message
    assert message.endswith(".")


@pytest.mark.parametrize("change", [change for change, _, _ in PROBLEMS if "/" in next(iter(change))])
def test_a_single_diagnosis_is_noise(change):
    assert advice.advise(FINE | change, USUAL) == []
    assert advice.advise(FINE | change, [*USUAL, FINE, FINE]) == []


def test_no_advice_on_samples_and_scores_during_fade_in():
    unhealthy = FINE | {"alpha": 0.9, "samples/largest_piece": 0.1, "overfitting/r_v": 2.0}
    assert advice.advise(unhealthy, [unhealthy] * 6) == []
    now = unhealthy | {"alpha": 1.0}
    assert advice.advise(now, [unhealthy] * 6) == []
    assert advice.advise(now, [now] * 6) != []
    assert advice.advise(unhealthy | {"samples/empty": 1.0})  # a collapse is one at any time


def test_no_advice_on_what_was_not_measured():
    known = {name: value for name, value in FINE.items() if name.startswith("samples/")}
    assert advice.advise(known, [known] * 6) == []
