"""Intervals hold the truth as often as they say; the plain bootstrap does not, and the copies it makes are why."""

import numpy as np
import pytest

from gan3d.metrics import chamfer, intervals, scores

COUNT, DRAWS = 40, 2


def distances(points: np.ndarray) -> np.ndarray:
    square = ((points[:, None] - points[None]) ** 2).sum(-1)
    np.fill_diagonal(square, np.inf)
    return square


class Points:
    """A meeting of points in the plane instead of shapes: quick enough for thousands."""

    def __init__(self, generated: np.ndarray, reference: np.ndarray):
        self.generated, self.reference = generated, reference
        self.union = distances(np.concatenate([generated, reference]))

    def scores(self, own: np.ndarray, other: np.ndarray) -> dict[str, float]:
        return intervals.neighbour_scores(self.union, len(self.generated), own, other)


def experiment(rng: np.random.Generator, shift: float, squeeze: float) -> list[Points]:
    """Draws of a generator that misses the data by a shift and a squeeze, against one reference."""
    reference = rng.standard_normal((COUNT, 3))
    return [Points(squeeze * rng.standard_normal((COUNT, 3)) + shift, reference) for _ in range(DRAWS)]


def whole(meetings: list[Points]) -> dict[str, float]:
    parts = [meeting.scores(np.arange(COUNT), np.arange(COUNT)) for meeting in meetings]
    return {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}


@pytest.fixture
def without_grids(monkeypatch):
    monkeypatch.setattr(intervals, "DENSE", 0)


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "squeeze"), [(0.0, 1.0), (0.7, 1.0), (0.0, 0.5)])
def test_intervals_hold_the_truth_19_times_of_20(without_grids, shift, squeeze):
    """The truth is the expected score of as many shapes, over new draws and new real shapes."""
    rng = np.random.default_rng(5)
    truths = [whole(experiment(rng, shift, squeeze)) for _ in range(1500)]
    truth = {name: np.mean([row[name] for row in truths]) for name in truths[0]}
    spread = {name: np.std([row[name] for row in truths]) for name in truths[0]}
    held, errors = {name: [] for name in truth}, {name: [] for name in truth}
    for _ in range(150):
        meetings = experiment(rng, shift, squeeze)
        values = intervals.replicates(meetings, intervals.halves(COUNT, 60), 0)
        for name, value in whole(meetings).items():
            error = float(np.std(values[name], ddof=1))
            errors[name].append(error)
            held[name].append(abs(value - truth[name]) <= intervals.WIDE * error)
    for name in truth:
        assert 0.9 <= np.mean(held[name]) <= 1.0, (name, np.mean(held[name]))
        assert 0.85 <= np.mean(errors[name]) / spread[name] <= 1.45, (name, np.mean(errors[name]) / spread[name])


def test_the_plain_bootstrap_would_be_off_by_more_than_its_own_interval():
    """Why halves: drawn with repetition, equal distributions look told apart."""
    rng = np.random.default_rng(6)
    (meeting,) = experiment(rng, 0.0, 1.0)[:1]
    exact = meeting.scores(np.arange(COUNT), np.arange(COUNT))["one_nna_cd"]
    drawn = [
        meeting_with_repeats(meeting, rng.integers(0, COUNT, COUNT), rng.integers(0, COUNT, COUNT)) for _ in range(200)
    ]
    assert np.mean(drawn) - exact > intervals.WIDE * np.std(drawn)


def meeting_with_repeats(meeting: Points, own: np.ndarray, other: np.ndarray) -> float:
    return Points(meeting.generated[own], meeting.reference[other]).scores(np.arange(COUNT), np.arange(COUNT))[
        "one_nna_cd"
    ]


def boxes(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    shapes = np.zeros((count, 8, 8, 8), bool)
    for shape in shapes:
        low = random.integers(0, 4, 3)
        shape[tuple(map(slice, low, low + random.integers(1, 5, 3)))] = True
    return shapes


def test_all_shapes_give_the_scores_themselves():
    """What a replicate computes of halves is, of everything, what the protocol says."""
    generated, reference = (chamfer.prepare(boxes(20, seed)) for seed in (1, 2))
    train = boxes(30, 3)
    novelty = chamfer.closest(generated, train), chamfer.closest(reference, train)
    meeting = intervals.PairedSets(generated, reference, novelty)
    found = meeting.scores(np.arange(20), np.arange(20))
    expected = scores.scores(generated, reference, train)
    for name, value in found.items():
        assert value == pytest.approx(expected[name], abs=1e-12), name
    assert set(found) | {"jsd"} == set(scores.NUMBERS)


def test_the_excess_knows_that_both_met_the_same_real_shapes():
    """A generator that is the training split has no excess, and hardly an error of it beside the scores' own."""
    reference = chamfer.prepare(boxes(30, 2))
    draws = [intervals.PairedSets(chamfer.prepare(boxes(30, seed)), reference) for seed in (3, 4)]
    own, floor, excess = intervals.standard_errors(draws, draws)
    assert set(own) == set(floor)
    assert own["one_nna_cd"] == pytest.approx(floor["one_nna_cd"], rel=0.3)
    assert excess is not None
    assert excess < 1.35 * own["one_nna_cd"]
    assert intervals.standard_errors([], draws)[2] is None
    assert intervals.standard_errors([], []) == ({}, {}, None)


def test_a_draw_with_empty_shapes_left_out_meets_the_beginning_of_the_reference():
    reference = chamfer.prepare(boxes(30, 2))
    short = intervals.PairedSets(chamfer.prepare(boxes(22, 3)), reference.first(22))
    errors, _, _ = intervals.standard_errors(
        [short, intervals.PairedSets(chamfer.prepare(boxes(30, 4)), reference)], []
    )
    assert all(np.isfinite(list(errors.values())))
    assert errors["one_nna_cd"] > 0
