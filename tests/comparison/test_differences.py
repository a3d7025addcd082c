"""What differs, and by more than chance."""

import pytest
from compared_runs import score_rows

from gan3d.comparison.differences import difference, differing_params, incomparable, verdicts
from gan3d.comparison.subject import Subject
from gan3d.metrics.table import BY_KEY


def subject(name, score=0.7, error=0.01, floor=0.51, **params):
    return Subject(name, params=params, rows=score_rows(score, error, floor))


def test_the_interval_of_a_difference_adds_variances():
    found = difference(
        BY_KEY["one_nna_cd"], *({"one_nna_cd": v, "one_nna_cd_se": s} for v, s in ((0.7, 0.03), (0.6, 0.04)))
    )
    assert found.value == pytest.approx(-0.1)
    assert found.half == pytest.approx(1.96 * 0.05)
    assert found.better
    assert found.more_than_chance


def test_within_the_interval_nothing_is_said_to_differ():
    assert verdicts([subject("a"), subject("b", 0.71)]) == [
        "No score tells b from a: all differences are within chance."
    ]
    assert "better in 1-NNA-CD (-0.100 ± 0.028)" in verdicts([subject("a"), subject("b", 0.6)])[0]
    assert "worse in 1-NNA-CD (+0.100 ± 0.028)" in verdicts([subject("a"), subject("b", 0.8)])[0]


def test_a_score_that_should_match_the_real_shapes_is_better_the_nearer_it_is():
    score = BY_KEY["largest_piece_generated"]
    rows = [{score.key: value, score.reference: 0.9, f"{score.key}_se": 0.001} for value in (1.0, 0.95, 0.7)]
    assert difference(score, rows[0], rows[1]).better
    assert not difference(score, rows[0], rows[2]).better


def test_scores_without_intervals_are_no_evidence():
    without = Subject("b", rows=[{k: v for k, v in row.items() if not k.endswith("_se")} for row in score_rows(0.2)])
    assert verdicts([subject("a"), without]) == ["b or a has no intervals: what is chance cannot be told."]


def test_scores_of_other_shapes_are_not_compared():
    assert incomparable([subject("a"), subject("b", 0.2)]) is None
    assert "other test shapes" in incomparable([subject("a"), subject("b", floor=0.6)]).replace("different", "other")
    other = Subject("b", rows=[row | {"resolution": 16} for row in score_rows(0.7)])
    assert "a has 8³, b has 16³" in incomparable([subject("a"), other])
    assert verdicts([subject("a"), other]) == []


def test_parameters_that_differ_are_those_known_of_all():
    one = subject("a", lr="0.005", gate="(0.0, 0.8)", target="None", own="1")
    two = subject("b", lr="0.01", gate="[0.0, 0.8]", target="")
    assert differing_params([one, two, Subject("c")]) == [["lr", "0.005", "0.01", "–"]]
    assert differing_params([subject("a", lr="0.010"), subject("b", lr="1e-2")]) == []
