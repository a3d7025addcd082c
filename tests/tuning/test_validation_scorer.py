"""Scores of a trial: on validation shapes alone."""

import numpy as np
import pytest
from small_project import edit

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


def test_the_validation_shapes_themselves_are_as_close_as_can_be(data):
    voxels, labels = drawn(data, SPLIT, 12)
    scores = ValidationScorer(data, 8, 12).scores(voxels, labels)
    assert scores["mmd_cd_x1e3"] == 0
    assert scores["cov_cd"] > 0.7
    assert scores["jsd"] == 0


def test_noise_is_told_from_shapes(data):
    noise = np.random.default_rng(0).random((24, 8, 8, 8)) > 0.5
    judge = ValidationScorer(data, 8, 12)
    assert judge.count == 12
    assert judge.scores(noise, np.repeat([0, 1], 12))["one_nna_cd"] == 1.0


def test_empty_shapes_are_left_out_until_too_few_remain(data):
    voxels, labels = drawn(data, SPLIT, 12)
    judge = ValidationScorer(data, 8, 12)
    voxels[:2] = False
    assert judge.scores(voxels, labels)["one_nna_cd"] is not None
    voxels[:3] = False
    assert judge.scores(voxels, labels)["one_nna_cd"] is None


def test_too_few_validation_shapes(dataset):
    with pytest.raises(UserError, match=r"6 validation shapes of class 'column'.*raise data\.validation"):
        ValidationScorer(dataset, 8, 12)


def test_the_seed_of_params_changes_no_reference(planned, data):
    edit(planned, lambda tree: tree.update(seed=5))
    first, second = (ValidationScorer(VoxelDataset(planned.voxels), 8, 12) for _ in range(2))
    assert np.array_equal(first.references[0].voxels, second.references[0].voxels)


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
