"""The protocol on a prepared data set: which shapes are compared, what is left out, what the rows hold."""

import json

import numpy as np
import pytest
from box_dataset import FULL, write_boxes

from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.metrics import protocol, scores
from gan3d.metrics.reference import reference_rows


@pytest.fixture
def dataset(tmp_path):
    return write_boxes(tmp_path / "set", {"chair": FULL, "table": FULL | {"test": 14}})


def real(dataset: VoxelDataset, calls: list | None = None):
    """A perfect generator: it draws from the training shapes of the class."""

    def sample(index: int, count: int, seed: int) -> np.ndarray:
        if calls is not None:
            calls.append((index, count, seed))
        rows = dataset.select("train", dataset.classes[index])
        return dataset.voxels(8, np.random.default_rng([index, seed]).choice(rows, count, replace=False))

    return sample


def test_rows_of_every_class_and_kind(dataset):
    calls, seen = [], []
    rows = protocol.evaluate(real(dataset, calls), dataset, 8, draws=3, seed=5, progress=lambda *at: seen.append(at))
    assert [(row["class"], row["kind"]) for row in rows] == [
        ("chair", "generated"), ("chair", "floor"), ("table", "generated"), ("table", "floor")
    ]  # fmt: skip
    drawn = [call for call in calls if call[2] < 8]  # the others are told from training shapes alone
    assert drawn == [(0, 20, 5), (0, 20, 6), (0, 20, 7), (1, 14, 5), (1, 14, 6), (1, 14, 7)]
    assert len(set(calls)) == len(calls)
    assert [(row["generated"], row["reference"]) for row in rows] == [(20, 20), (20, 20), (14, 14), (14, 14)]
    assert seen == [(i, 8) for i in range(1, 9)]
    assert json.loads(json.dumps(rows)) == rows
    generated, floor = rows[0], rows[1]
    assert (generated["draws"], generated["seed"], generated["resolution"]) == (3, 5, 8)
    assert generated["one_nna_cd_std"] > 0
    assert generated["copied_generated"] == 1  # it draws from the training shapes
    assert generated["novelty_generated_x1e3"] == 0
    assert "copied_generated" not in floor
    assert abs(generated["mmd_cd_x1e3"] - floor["mmd_cd_x1e3"]) < 4 * (floor["mmd_cd_x1e3_std"] + 1)


def test_equals_scores_computed_by_hand(dataset):
    sample = real(dataset)
    row = protocol.evaluate(sample, dataset, 8, draws=2, seed=0)[0]
    reference = dataset.voxels(8, reference_rows(dataset, "chair", 100))
    train = dataset.voxels(8, dataset.select("train", "chair"))
    by_hand = scores.average_draws([scores.scores(sample(0, 20, seed), reference, train) for seed in (0, 1)])
    assert row | {"kind": "generated", "class": "chair", "draws": 2, "seed": 0} | by_hand == row
    assert {name for name in row if name not in by_hand} == {
        *("kind", "class", "draws", "seed", "excess", *protocol.EXCESSES),
        *(f"{name}_se" for name in (*scores.ALL_SCORES, *protocol.EXCESSES)),
        *(f"{name}{part}" for name in scores.TELL_SCORES for part in ("", "_std", "_alone")),
        *(f"{name}{part}" for name in (*scores.FEATURE_SCORES, *scores.STANDS_SCORES) for part in ("", "_std")),
    }


def test_the_excess_over_the_floor(dataset):
    generated, floor = protocol.evaluate(real(dataset), dataset, 8)[:2]
    assert generated["one_nna_cd_excess"] == pytest.approx(generated["one_nna_cd"] - floor["one_nna_cd"])
    assert 0.02 < generated["one_nna_cd_excess_se"] < 0.3
    assert generated["one_nna_cd_se"] > 0
    assert floor["jsd_se"] > 0
    above = [max(0.0, generated[f"{name}_excess"]) for name in ("one_nna_cd", *scores.TELL_SCORES)]
    assert generated["excess"] == pytest.approx(np.mean(above))


def test_an_evaluation_has_the_shapes_and_their_neighbours(dataset):
    def copies(index: int, count: int, seed: int) -> np.ndarray:
        rows = dataset.select("train", dataset.classes[index])[::-1][:count]
        shapes = dataset.voxels(8, rows)
        shapes[0] = False
        return shapes

    chair, table = protocol.evaluate_classes(copies, dataset, 8, draws=2)
    assert (chair.name, table.name) == ("chair", "table")
    assert len(chair.generated) == 19  # one is empty
    assert len(chair.reference) == 20
    assert np.array_equal(dataset.voxels(8, chair.neighbours), chair.generated)
    assert set(dataset.splits[chair.neighbours]) == {"train"}
    generated, held_out = chair.measures["novelty"]
    assert (generated == 0).all()
    assert (len(generated), len(held_out)) == (38, 20)
    assert chair.measures["occupancy"][0][:19] == pytest.approx(chair.generated.mean((1, 2, 3)))
    assert (chair.measures["largest_component"][1] == 1).all()


def test_the_reference_does_not_depend_on_the_order_of_the_manifest(tmp_path):
    plain, shuffled = (write_boxes(tmp_path / str(flag), {"chair": FULL}, shuffle=flag) for flag in (False, True))
    names = [[d.rows[i]["name"] for i in reference_rows(d, "chair", 12)] for d in (plain, shuffled)]
    assert names[0] == names[1]
    assert all(name.startswith("chair_test") for name in names[0])
    assert [plain.rows[i]["name"] for i in reference_rows(plain, "chair", 5)] == names[0][:5]
    assert len(set(names[0])) == 12


def test_empty_shapes_are_left_out_and_counted(dataset):
    def sample(index: int, count: int, seed: int) -> np.ndarray:
        shapes = real(dataset)(index, count, seed)
        shapes[:3] = False
        return shapes

    row = protocol.evaluate(sample, dataset, 8, draws=2)[0]
    assert (row["empty_generated"], row["generated"], row["reference"]) == (6, 17, 17)
    assert row["mmd_cd_x1e3"] < 6000 / 20  # no pair is at the distance of an empty shape
    nothing = protocol.evaluate(lambda index, count, seed: np.zeros((count, 8, 8, 8), bool), dataset, 8, draws=2)
    assert nothing[0]["one_nna_cd"] is None
    assert (nothing[0]["empty_generated"], nothing[0]["generated"]) == (40, 0)
    assert "0 generated" in nothing[0]["note"]


def test_a_draw_of_too_few_shapes_is_left_out(tmp_path):
    few = write_boxes(tmp_path / "set", {"chair": {"train": 30, "test": 10}})

    def sample(index: int, count: int, seed: int) -> np.ndarray:
        shapes = real(few)(index, count, seed)
        shapes[: seed == 1] = False
        return shapes

    whole, partly = (protocol.evaluate(sample, few, 8, draws=draws)[0] for draws in (1, 2))
    assert (partly["empty_generated"], partly["generated"]) == (1, 9)
    for name in ("one_nna_cd", "mmd_cd_x1e3", "novelty_generated_x1e3"):
        assert partly[name] == whole[name]
        assert partly[f"{name}_se"] == whole[f"{name}_se"]
    assert partly["note"].startswith("1 of 2 draws: no scores: 9 generated")
    (evaluation,) = protocol.evaluate_classes(
        lambda index, count, seed: sample(index, count, (1, 0, *range(2, 99))[seed]), few, 8, draws=2
    )
    assert evaluation.rows[0]["one_nna_cd"] is not None
    assert evaluation.neighbours is None  # the report shows the first draw


def test_too_few_shapes(tmp_path):
    sizes = {"chair": FULL, "stool": {"train": 6, "test": 3}, "bench": {"train": 4}, "bed": {"train": 5, "test": 15}}
    dataset = write_boxes(tmp_path / "set", sizes)

    def sample(index: int, count: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).random((count, 8, 8, 8)) > 0.9

    rows = {(row["class"], row["kind"]): row for row in protocol.evaluate(sample, dataset, 8)}
    assert len(rows) == 8
    for name in ("stool", "bench"):
        for kind in ("generated", "floor"):
            assert rows[name, kind]["one_nna_cd"] is None
            assert "10 of each are needed" in rows[name, kind]["note"]
    bed = rows["bed", "generated"]
    assert bed["one_nna_cd"] is not None
    assert bed["novelty_generated_x1e3"] is None
    assert "5 training shapes" in bed["note"]
    assert rows["bed", "floor"]["one_nna_cd"] is None
    mean = protocol.mean_over_classes(list(rows.values()))
    assert mean[0]["one_nna_cd"] is None
    assert "stool, bench, bed" in mean[0]["note"]


def test_mean_over_classes(dataset):
    rows = protocol.evaluate(real(dataset), dataset, 8)
    mean = protocol.mean_over_classes(rows)
    assert [(row["class"], row["kind"]) for row in mean] == [("mean", "generated"), ("mean", "floor")]
    chair, table = rows[0], rows[2]
    assert mean[0]["one_nna_cd"] == pytest.approx((chair["one_nna_cd"] + table["one_nna_cd"]) / 2)
    assert mean[0]["jsd_std"] == pytest.approx(np.hypot(chair["jsd_std"], table["jsd_std"]) / 2)
    assert mean[0]["one_nna_cd_se"] == pytest.approx(np.hypot(chair["one_nna_cd_se"], table["one_nna_cd_se"]) / 2)
    assert mean[0]["one_nna_cd_excess"] == pytest.approx(mean[0]["one_nna_cd"] - mean[1]["one_nna_cd"])
    assert mean[0]["generated"] == 34
    assert "note" not in mean[0]
    assert protocol.mean_over_classes(rows + mean) == mean


def test_a_resolution_that_was_not_prepared(dataset):
    with pytest.raises(UserError, match=r"r16\.npy is missing"):
        protocol.evaluate(real(dataset), dataset, 16)
