"""The validation scorer: what it scores against, and how it averages."""

import shutil

import numpy as np
import pytest
from box_dataset import FULL, random_boxes, write_boxes

from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.metrics.excess_scorer import ExcessScorer
from gan3d.metrics.reference import reference_rows
from gan3d.metrics.scores import SET_SCORES
from gan3d.metrics.validation import SPLIT, ValidationScorer

COUNT = 12


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    sizes = {"train": 20, "validation": 16, "test": 14}
    return write_boxes(tmp_path_factory.mktemp("boxes") / "set", {"chair": sizes, "table": sizes})


def real_shapes(data, split=SPLIT, count=COUNT):
    """Real shapes of each class in the order of labels, and their labels."""
    rows = [reference_rows(data, name, count, split) for name in data.classes]
    return data.voxels(8, np.concatenate(rows)), np.repeat(np.arange(len(rows)), count)


def noise(shape):
    return np.random.default_rng(0).random(shape) > 0.5


def test_the_reference_itself_scores_best(data):
    scores = ValidationScorer(data, 8, COUNT).scores(*real_shapes(data))
    assert set(scores) == set(SET_SCORES)
    assert (scores["mmd_cd_x1e3"], scores["cov_cd"], scores["jsd"]) == (0, 1, 0)


def test_the_test_split_is_not_the_reference(data):
    scores = ValidationScorer(data, 8, COUNT).scores(*real_shapes(data, "test"))
    assert scores["mmd_cd_x1e3"] > 0
    assert scores["jsd"] > 0


def test_the_reference_depends_on_the_validation_split_alone(data, tmp_path):
    """Shapes of other splits may come and go without making scores incomparable."""
    folder = tmp_path / "copy"
    shutil.copytree(data.folder, folder)
    manifest = folder / "manifest.csv"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace(",chair,test,", ",chair,train,"), encoding="utf-8")
    changed = VoxelDataset(folder)
    assert len(changed.select("test", "chair")) == 0
    samples = noise((2 * COUNT, 8, 8, 8)), np.repeat([0, 1], COUNT)
    first, second = (ValidationScorer(each, 8, COUNT).scores(*samples) for each in (data, changed))
    assert first == second


def test_noise_is_told_from_shapes(data):
    scorer = ValidationScorer(data, 8, COUNT)
    assert scorer.count == COUNT
    assert scorer.scores(noise((2 * COUNT, 8, 8, 8)), np.repeat([0, 1], COUNT))["one_nna_cd"] == 1.0


def test_empty_shapes_are_left_out_until_too_few_remain(data):
    voxels, labels = real_shapes(data)
    scorer = ValidationScorer(data, 8, COUNT)
    voxels[:2] = False
    assert scorer.scores(voxels, labels)["one_nna_cd"] is not None
    voxels[:3] = False
    assert scorer.scores(voxels, labels)["one_nna_cd"] is None


def test_too_few_validation_shapes(dataset):
    with pytest.raises(UserError, match=r"6 validation shapes of class 'column'.*raise data\.validation"):
        ValidationScorer(dataset, 8, COUNT)


def test_a_score_is_the_mean_of_its_draws(data):
    voxels, labels = real_shapes(data)
    bad_voxels = noise(voxels.shape)
    one, two = ValidationScorer(data, 8, COUNT), ValidationScorer(data, 8, COUNT, draws=2)
    assert two.count == 2 * one.count
    both = [np.concatenate([voxels[labels == label], bad_voxels[labels == label]]) for label in (0, 1)]
    scores = two.scores(np.concatenate(both), np.repeat([0, 1], 2 * COUNT))
    good, bad = one.scores(voxels, labels), one.scores(bad_voxels, labels)
    for name in SET_SCORES:
        assert scores[name] == pytest.approx((good[name] + bad[name]) / 2), name


def test_a_sweep_for_the_smallest_excess_also_tells_samples_from_real_shapes(tmp_path):
    data = write_boxes(tmp_path / "set", {"chair": FULL | {"validation": 30}, "table": FULL | {"validation": 30}})
    scorer, plain = ExcessScorer(data, 8, 30), ValidationScorer(data, 8, 30)
    labels = np.repeat([0, 1], 60)
    good = random_boxes(120, 9)
    bad = good ^ (np.random.default_rng(0).random(good.shape) < 0.05)
    found, spoilt = scorer.scores(good, labels), scorer.scores(bad, labels)
    assert plain.scores(good, labels).items() <= found.items()
    assert found["excess"] < 0.25 < spoilt["excess"]
    assert spoilt["tell_patterns"] > 0.8
    assert scorer.scores(np.zeros_like(good), labels)["excess"] is None
