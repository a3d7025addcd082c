"""The table of scores agrees with what is computed, stored and configured."""

from typing import get_args

import pytest

from gan3d.config.schema import Objective
from gan3d.metrics.scores import ALL_SCORES, EXCESS_SCORE, SET_SCORES
from gan3d.metrics.table import BY_KEY, DIRECTIONS, PUBLISHED, SCORES


def test_every_score_that_is_computed_is_described_and_no_other():
    keys = [key for score in SCORES for key in (score.key, score.reference) if key is not None]
    assert sorted(keys) == sorted(ALL_SCORES)


def test_the_configuration_offers_the_objectives():
    assert set(get_args(Objective)) == set(DIRECTIONS) <= {*SET_SCORES, EXCESS_SCORE}
    assert DIRECTIONS["cov_cd"] == "maximize"
    assert {DIRECTIONS[key] for key in ("one_nna_cd", "mmd_cd_x1e3", "jsd")} == {"minimize"}


def test_keys_that_files_and_registered_versions_hold():
    """Renaming one of these makes files and versions of earlier releases unreadable."""
    assert [score.key for score in PUBLISHED] == [
        *("excess", "one_nna_cd", "tell_structure", "tell_patterns", "cov_cd", "mmd_cd_x1e3", "stands_generated")
    ]
    summary = [score.summary for score in SCORES if score.summary]
    assert summary == ["excess", "one_nna_cd", "tell_structure", "tell_patterns"]


def test_the_real_value_is_that_of_the_floor_or_of_the_test_shapes():
    generated = {"largest_piece_reference": 0.9, "largest_piece_reference_se": 0.1, "one_nna_cd": 0.7}
    floor = {"one_nna_cd": 0.5, "one_nna_cd_se": 0.2, "largest_piece_generated": 0.8}
    assert BY_KEY["one_nna_cd"].real(generated, floor) == (0.5, 0.2)
    assert BY_KEY["largest_piece_generated"].real(generated, floor) == (0.9, 0.1)
    assert BY_KEY["copied_generated"].real(generated, floor) == (None, None)


@pytest.mark.parametrize(
    ("key", "better", "worse"),
    [("one_nna_cd", 0.5, 0.6), ("cov_cd", 0.6, 0.5), ("mmd_cd_x1e3", 3.0, 4.0), ("jsd", 0.1, 0.2)],
)
def test_the_better_value_has_the_lower_loss(key, better, worse):
    assert BY_KEY[key].loss(better) < BY_KEY[key].loss(worse)


def test_below_one_half_1_nna_is_no_better():
    assert BY_KEY["one_nna_cd"].loss(0.3) == BY_KEY["one_nna_cd"].loss(0.5)


def test_text():
    assert [score.text(0.123456) for score in SCORES[:4]] == ["0.123"] * 4
    assert [BY_KEY[key].text(0.123456) for key in ("mmd_cd_x1e3", "jsd", "copying_z")] == ["0.12", "0.1235", "0.1"]
    assert SCORES[0].text(None) == "–"
