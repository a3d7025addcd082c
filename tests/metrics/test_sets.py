"""Any two sets of shapes: what is compared, and that `evaluate` gives the same."""

import numpy as np
import pytest
from box_dataset import random_boxes

from gan3d.errors import UserError
from gan3d.metrics import scores
from gan3d.metrics.sets import HALVED, score_sets


def test_sets_of_one_size_have_the_plain_scores():
    generated, real, train = random_boxes(30, 1), random_boxes(30, 2), random_boxes(60, 3)
    row, floor = score_sets(generated, real, train).rows
    for key, value in scores.scores(generated, real, train).items():
        assert row[key] == (pytest.approx(value) if isinstance(value, float) else value), key
    assert row["excess"] >= 0
    assert floor["tell_structure"] is not None
    assert {"stands_generated", "precision", "frechet", "copying_z"} <= set(row)
    assert all(floor[key] is not None for key in ("precision", "frechet", "copying_z", "tell_patterns"))


def test_without_training_shapes_halves_of_the_real_ones_give_the_floor():
    row, floor = score_sets(random_boxes(40, 1), random_boxes(60, 2)).rows
    assert (row["generated"], floor["generated"]) == (40, 30)
    assert row["copied_generated"] is row["copying_z"] is None
    assert 0.2 < floor["one_nna_cd"] < 0.8
    assert floor["note"] == HALVED
    assert "note" not in row


def test_more_generated_shapes_are_more_draws():
    row = score_sets(random_boxes(70, 1), random_boxes(20, 2), random_boxes(60, 3)).rows[0]
    assert (row["draws"], row["generated"]) == (3, 20)
    assert (
        score_sets(random_boxes(70, 1), random_boxes(50, 2), random_boxes(60, 3), count=15).rows[0]["generated"] == 15
    )


def test_the_finer_set_is_reduced():
    fine = random_boxes(20, 1).repeat(2, 1).repeat(2, 2).repeat(2, 3)
    coarse, both = random_boxes(20, 2), random_boxes(40, 3)
    assert score_sets(fine, coarse, both).rows == score_sets(random_boxes(20, 1), coarse, both).rows


@pytest.mark.parametrize(
    ("shape", "words"),
    [((3, 6, 6, 6), "differ in resolution (generated: 6³, real: 8³)"), ((8, 8, 8), "have the dimensions (8, 8, 8)")],
)
def test_sets_that_do_not_fit(shape, words):
    with pytest.raises(UserError, match="generated") as error:
        score_sets(np.ones(shape, bool), random_boxes(20, 2))
    assert words in str(error.value)


def test_empty_sets():
    with pytest.raises(UserError, match="all real ones are empty"):
        score_sets(random_boxes(20, 2), np.zeros((20, 8, 8, 8), bool))
    row = score_sets(np.zeros((20, 8, 8, 8), bool), random_boxes(20, 2)).rows[0]
    assert (row["generated"], row["empty_generated"], row["excess"]) == (0, 20, None)
    assert "0 generated" in row["note"]
