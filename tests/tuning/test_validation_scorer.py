"""The scores of a trial, on validation shapes alone."""

import numpy as np
import pytest

from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.metrics.reference import reference_rows
from gan3d.metrics.validation import SPLIT, ValidationScorer


@pytest.fixture
def data(planned):
    return VoxelDataset(planned.voxels)


def drawn(data, split, count):
    """Real shapes of each class in the order of labels."""
    rows = [reference_rows(data, name, count, split) for name in data.classes]
    labels = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
    return data.voxels(8, np.concatenate(rows)), labels


def test_the_validation_shapes_themselves_score_best(data):
    voxels, labels = drawn(data, SPLIT, 12)
    scores = ValidationScorer(data, 8, 12).scores(voxels, labels)
    assert scores["mmd_cd_x1e3"] == 0
    assert scores["cov_cd"] > 0.7
    assert scores["jsd"] == 0


def test_noise_scores_worst(data):
    noise = np.random.default_rng(0).random((24, 8, 8, 8)) > 0.5
    scorer = ValidationScorer(data, 8, 12)
    assert scorer.count == 12
    assert scorer.scores(noise, np.repeat([0, 1], 12))["one_nna_cd"] == 1.0


def test_empty_shapes_are_ignored_until_too_few_remain(data):
    voxels, labels = drawn(data, SPLIT, 12)
    scorer = ValidationScorer(data, 8, 12)
    voxels[:2] = False
    assert scorer.scores(voxels, labels)["one_nna_cd"] is not None
    voxels[:3] = False
    assert scorer.scores(voxels, labels)["one_nna_cd"] is None


def test_too_few_validation_shapes(dataset):
    with pytest.raises(UserError, match=r"6 validation shapes of class 'column'.*raise data\.validation"):
        ValidationScorer(dataset, 8, 12)


def test_references_are_shapes_of_the_validation_split_alone(data):
    for label, name in enumerate(data.classes):
        own = data.voxels(8, data.select(SPLIT, name))
        references = ValidationScorer(data, 8, len(own)).references[label].voxels
        assert sorted(shape.tobytes() for shape in references) == sorted(shape.tobytes() for shape in own)


def test_fewer_references_are_the_first_of_more(data):
    few, more = (ValidationScorer(data, 8, count).references[0].voxels for count in (10, 12))
    assert len(few) == 10
    assert np.array_equal(few, more[:10])


def test_a_score_is_the_mean_of_its_draws(data):
    voxels, labels = drawn(data, SPLIT, 12)
    noise = np.random.default_rng(0).random(voxels.shape) > 0.5
    one, two = ValidationScorer(data, 8, 12), ValidationScorer(data, 8, 12, draws=2)
    assert two.count == 2 * one.count
    both = [np.concatenate([voxels[labels == label], noise[labels == label]]) for label in (0, 1)]
    scores = two.scores(np.concatenate(both), np.repeat([0, 1], 24))
    good, bad = one.scores(voxels, labels), one.scores(noise, labels)
    assert scores["one_nna_cd"] == pytest.approx((good["one_nna_cd"] + bad["one_nna_cd"]) / 2)
    assert scores["jsd"] == pytest.approx((good["jsd"] + bad["jsd"]) / 2)
