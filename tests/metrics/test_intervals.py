"""Intervals cover the truth as often as they claim; those of the plain bootstrap do not, since it repeats shapes."""

import numpy as np
import pytest
from box_dataset import random_boxes

from gan3d.metrics import chamfer, intervals, scores
from gan3d.metrics.rows import Z_95
from gan3d.metrics.shape_features import shape_features
from gan3d.metrics.structure import standing

COUNT, DRAWS = 40, 2


def distances(points: np.ndarray) -> np.ndarray:
    square = ((points[:, None] - points[None]) ** 2).sum(-1)
    np.fill_diagonal(square, np.inf)
    return square


class Points:
    """Stands for `PairedSets`, with points instead of shapes: quick enough for thousands."""

    def __init__(self, generated: np.ndarray, reference: np.ndarray):
        self.generated, self.reference = generated, reference
        self.union = distances(np.concatenate([generated, reference]))

    def subset_scores(self, generated: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
        return intervals.subset_distance_scores(self.union, len(self.generated), generated, reference)


def experiment(rng: np.random.Generator, shift: float, squeeze: float) -> list[Points]:
    """Draws of a generator whose distribution is shifted and squeezed, against one reference."""
    reference = rng.standard_normal((COUNT, 3))
    return [Points(squeeze * rng.standard_normal((COUNT, 3)) + shift, reference) for _ in range(DRAWS)]


def mean_scores(draws: list[Points]) -> dict[str, float]:
    results = [draw.subset_scores(np.arange(COUNT)[None], np.arange(COUNT)[None]) for draw in draws]
    return {name: float(np.mean([result[name] for result in results])) for name in results[0]}


@pytest.fixture
def without_jsd(monkeypatch):
    monkeypatch.setattr(intervals, "JSD_REPLICATES", 0)


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "squeeze"), [(0.0, 1.0), (0.7, 1.0), (0.0, 0.5)])
def test_intervals_cover_the_truth_19_times_of_20(without_jsd, shift, squeeze):
    """The truth is the expected score of as many shapes, over new draws and new real shapes."""
    rng = np.random.default_rng(5)
    truths = [mean_scores(experiment(rng, shift, squeeze)) for _ in range(1500)]
    truth = {name: np.mean([row[name] for row in truths]) for name in truths[0]}
    spread = {name: np.std([row[name] for row in truths]) for name in truths[0]}
    covered, errors = {name: [] for name in truth}, {name: [] for name in truth}
    for _ in range(150):
        draws = experiment(rng, shift, squeeze)
        values = intervals.replicate_scores(draws, intervals.random_halves(COUNT, 60), 0)
        for name, value in mean_scores(draws).items():
            error = float(np.std(values[name], ddof=1))
            errors[name].append(error)
            covered[name].append(abs(value - truth[name]) <= Z_95 * error)
    for name in truth:
        assert 0.9 <= np.mean(covered[name]) <= 1.0, (name, np.mean(covered[name]))
        assert 0.85 <= np.mean(errors[name]) / spread[name] <= 1.45, (name, np.mean(errors[name]) / spread[name])


def test_the_plain_bootstrap_would_be_off_by_more_than_its_own_interval():
    """The reason for halves: drawn with repetition, equal distributions seem to differ."""
    rng = np.random.default_rng(6)
    draw = experiment(rng, 0.0, 1.0)[0]
    exact = mean_scores([draw])["one_nna_cd"]
    bootstrapped = [
        mean_scores(
            [Points(draw.generated[rng.integers(0, COUNT, COUNT)], draw.reference[rng.integers(0, COUNT, COUNT)])]
        )
        for _ in range(200)
    ]
    values = [scores["one_nna_cd"] for scores in bootstrapped]
    assert np.mean(values) - exact > Z_95 * np.std(values)


def test_all_shapes_give_the_scores_themselves():
    """A replicate computes the protocol's scores, only of fewer shapes."""
    generated, reference = (chamfer.prepare(random_boxes(20, seed)) for seed in (1, 2))
    train = random_boxes(30, 3)
    novelty = chamfer.nearest_distances(generated, train), chamfer.nearest_distances(reference, train)
    stands, features = standing(generated.voxels), shape_features(generated.voxels)
    pair = intervals.PairedSets(generated, reference, novelty, (stands, stands), (features, features[::-1]))
    everything = np.arange(20)
    result = pair.subset_scores(everything[None], everything[None]) | pair.set_scores(everything, everything)
    expected = scores.scores(generated, reference, train) | pair.scores() | scores.stands_scores(stands, stands)
    for name, value in result.items():
        assert value == pytest.approx(expected[name], abs=1e-12), name
    assert set(result) == set(scores.DRAWN_SCORES)


def test_the_error_of_the_excess_considers_that_both_have_the_same_reference():
    """For a generator that is the training split, the error of the excess is hardly larger than that of the score."""
    reference = chamfer.prepare(random_boxes(30, 2))
    draws = [intervals.PairedSets(chamfer.prepare(random_boxes(30, seed)), reference) for seed in (3, 4)]
    generated, floor, excess = intervals.standard_errors(draws, draws)
    assert set(generated) == set(scores.PAIR_SCORES + scores.OCCUPANCIES)
    assert generated["one_nna_cd"] == pytest.approx(floor["one_nna_cd"], rel=0.3)
    assert excess is not None
    assert excess < 1.35 * generated["one_nna_cd"]
    assert intervals.standard_errors([], draws)[2] is None
    assert intervals.standard_errors([], []) == ({}, {}, None)


def test_a_draw_without_its_empty_shapes_is_scored_against_the_beginning_of_the_reference():
    reference = chamfer.prepare(random_boxes(30, 2))
    short = intervals.PairedSets(chamfer.prepare(random_boxes(22, 3)), reference.first(22))
    errors, _, _ = intervals.standard_errors(
        [short, intervals.PairedSets(chamfer.prepare(random_boxes(30, 4)), reference)], []
    )
    assert all(np.isfinite(list(errors.values())))
    assert errors["one_nna_cd"] > 0


def test_many_halves_at_once_give_what_each_gives_alone(monkeypatch):
    """Of a draw whose empty shapes were left out, halves differ in size."""
    generated, reference = chamfer.prepare(random_boxes(14, 3)), chamfer.prepare(random_boxes(20, 2)).first(14)
    features = shape_features(generated.voxels), shape_features(reference.voxels)
    pair = intervals.PairedSets(generated, reference, features=features)
    halves = intervals.random_halves(20, 30)
    monkeypatch.setattr(intervals, "BATCH_DISTANCES", 600)
    together = intervals.replicate_scores([pair], halves, 0)
    rng = np.random.default_rng([intervals.REPLICATE_SEED, 0])
    for number, half in enumerate(halves):
        real = half[half < 14]
        rows = rng.permutation(14)[: len(real)]
        alone = pair.subset_scores(rows[None], real[None]) | pair.set_scores(rows, real)
        assert {name: values[number] for name, values in together.items()} == alone
