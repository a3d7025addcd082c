"""Scores: against definitions in plain Python, and on sets whose scores are known."""

import numpy as np
import pytest
from box_dataset import random_boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gan3d.metrics import chamfer, scores


def voxel(*places: tuple[int, int, int], side: int = 8) -> np.ndarray:
    """Shapes of a single voxel each, at these places."""
    shapes = np.zeros((len(places), side, side, side), bool)
    for shape, place in zip(shapes, places, strict=True):
        shape[place] = True
    return shapes


@given(arrays(np.int64, (7, 7), elements=st.integers(0, 5)), st.integers(1, 6))
@settings(deadline=None)
def test_nearest_neighbour_accuracy_equals_its_definition(numbers, count):
    union = numbers + numbers.T  # symmetric, with many ties
    right = 0
    for i in range(7):
        others = [j for j in range(7) if j != i]
        nearest = min(others, key=lambda j: (union[i, j], j))
        right += (nearest < count) == (i < count)
    a, b = slice(None, count), slice(count, None)
    parts = (union[a, a].astype(float), union[a, b].astype(float), union[b, b].astype(float))
    assert scores.nearest_neighbour_accuracy(scores.union_distances(*parts), count) == right / 7


def test_a_set_against_itself():
    """Each shape's nearest neighbour is its twin in the other set, so the classifier is always wrong."""
    shapes = np.unique(random_boxes(40, 0), axis=0)
    result = scores.scores(shapes, shapes.copy(), train=shapes)
    assert (result["one_nna_cd"], result["cov_cd"], result["mmd_cd_x1e3"], result["jsd"]) == (0, 1, 0, 0)
    assert (result["copied_generated"], result["novelty_reference_x1e3"]) == (1, 0)


def test_sets_far_apart_are_told_apart():
    left, right = random_boxes(20, 1), np.flip(random_boxes(20, 1), (1, 2, 3)) & False
    right[:, -1, -1, -1] = True
    left[:, 4:] = False
    result = scores.scores(left, right)
    assert result["one_nna_cd"] == 1
    assert result["jsd"] == pytest.approx(1)


def test_mmd_and_cov_are_not_their_duals():
    """Ten generated shapes all at one of two real places: MMD and COV see what is missing, their duals would not."""
    generated = voxel(*[(0, 0, 0)] * 10)
    reference = voxel(*[(0, 0, 0)] * 5, *[(4, 0, 0)] * 5)
    result = scores.scores(generated, reference)
    distance = 2 * 16 / 64
    assert result["mmd_cd_x1e3"] == pytest.approx(1e3 * distance / 2)  # the dual is 0
    assert result["cov_cd"] == 0.1  # of five at the same place the first counts
    back = scores.scores(reference, generated)
    assert back["mmd_cd_x1e3"] == 0
    spread = scores.scores(voxel(*[(i, 0, 0) for i in range(8)], (0, 1, 0), (0, 2, 0)), voxel(*[(0, 0, 0)] * 20))
    assert spread["cov_cd"] == 1 / 20  # the dual would be 1 / 10


def test_connectedness_and_occupancy():
    shapes = voxel(*[(0, 0, 0)] * 12)
    shapes[:, 4, 4, 4:7] = True
    result = scores.scores(shapes, voxel(*[(1, 1, 1)] * 12))
    assert result["largest_piece_generated"] == 0.75
    assert result["largest_piece_reference"] == 1
    assert result["occupancy_generated"] == 4 / 512


def test_novelty_and_copies():
    train = voxel(*[(0, 0, 0)] * 10)
    generated = voxel(*[(0, 0, 0)] * 4, *[(2, 0, 0)] * 6)
    result = scores.scores(generated, voxel(*[(4, 0, 0)] * 10), train=train)
    assert result["copied_generated"] == 0.4
    assert result["copied_reference"] == 0
    assert result["novelty_generated_x1e3"] == pytest.approx(1e3 * 2 * 4 / 64)
    assert result["novelty_reference_x1e3"] == pytest.approx(1e3 * 2 * 16 / 64)


def test_too_few_shapes_give_a_note_instead_of_numbers():
    few, many = random_boxes(scores.MIN_SHAPES - 1, 2), random_boxes(30, 3)
    for generated, reference in ((few, many), (many, few), (many[:0], many)):
        result = scores.scores(generated, reference, train=many)
        assert all(result[name] is None for name in scores.PAIR_SCORES + scores.NOVELTY_SCORES)
        assert f"{len(generated)} generated and {len(reference)} real shapes" in result["note"]
    assert result["occupancy_generated"] is None
    result = scores.scores(many, many, train=few)
    assert result["cov_cd"] is not None
    assert result["novelty_generated_x1e3"] is None
    assert "9 training shapes remain" in result["note"]
    result = scores.scores(random_boxes(scores.MIN_SHAPES, 2), many, train=many)
    assert "note" not in result
    assert None not in result.values()


def test_prepared_shapes_give_the_same():
    a, b = random_boxes(12, 4), random_boxes(15, 5)
    assert scores.scores(chamfer.prepare(a), chamfer.prepare(b)) == scores.scores(a, b)


def test_floor_draws_without_replacement_and_is_reproducible():
    train, reference = random_boxes(60, 6), random_boxes(20, 7)
    once, again, other = (scores.floor(train, reference, 4, seed) for seed in (0, 0, 1))
    assert once == again != other
    assert (once["generated"], once["reference"]) == (20, 20)
    assert once["one_nna_cd_std"] > 0
    same = scores.floor(reference, reference, 2, 0)  # all of them in every draw: exactly the reference
    assert (same["mmd_cd_x1e3"], same["cov_cd_std"]) == (0, 0)
    fewer = scores.floor(train[:12], reference, 2, 0)
    assert (fewer["generated"], fewer["reference"]) == (12, 12)
    assert scores.floor(train, reference, 1, 0)["one_nna_cd_std"] is None


def test_draws_of_the_floor_share_no_shape_while_there_are_enough():
    draws = scores.floor_draws(50, 20, 3, seed=0)
    assert [len(set(draw.tolist())) for draw in draws] == [20, 20, 20]
    assert not set(draws[0]) & set(draws[1])


def test_average_draws():
    a, b = (scores.scores(random_boxes(15, seed), random_boxes(15, 20)) for seed in (8, 9))
    mean = scores.average_draws([a, b])
    assert mean["mmd_cd_x1e3"] == pytest.approx((a["mmd_cd_x1e3"] + b["mmd_cd_x1e3"]) / 2)
    assert mean["jsd_std"] == pytest.approx(abs(a["jsd"] - b["jsd"]) / np.sqrt(2))
    few = scores.scores(random_boxes(3, 8), random_boxes(15, 20))
    for results in ([few, a, b], [a, few, b], [a, b, few]):
        partly = scores.average_draws(results)
        assert [partly[name] for name in ("cov_cd", "jsd_std")] == [mean[name] for name in ("cov_cd", "jsd_std")]
        assert partly["generated"] == 3
        assert partly["note"].startswith("1 of 3 draws: no scores: 3 generated and 15 real shapes")
    lacking = scores.average_draws([few, few])
    assert lacking["cov_cd"] is None
    assert lacking["note"].startswith("no scores: 3 generated")
