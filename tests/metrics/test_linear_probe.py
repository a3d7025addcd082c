"""The linear probe: what it finds, what it must not see, and what the command writes."""

import csv
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from paths import REPOSITORY

from gan3d import model_file
from gan3d.config.loading import load_params
from gan3d.config.project import Project
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.metrics.linear_probe import check_classes, probe
from gan3d.networks.architecture import Architecture
from gan3d.reports.linear_probe_text import linear_probe_text
from gan3d.stages import features as features_stage
from gan3d.tracking.store import connect, experiment_id
from gan3d.training.growth import grow


@pytest.fixture
def noise(dataset) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((len(dataset), 12)).astype(np.float32)


def with_manifest(source: Path, folder: Path, pattern: str, replacement: str) -> VoxelDataset:
    """A copy of a data set with an edited manifest."""
    shutil.copytree(source, folder)
    manifest = folder / "manifest.csv"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(re.sub(pattern, replacement, text), encoding="utf-8")
    return VoxelDataset(folder)


def test_separable_classes_are_told_apart(dataset, noise):
    noise[:, 3] += 20 * dataset.labels
    result = probe(noise, dataset)
    assert result.validated > 0.95
    assert result.tested == 1
    assert result.confusion == [[6, 0], [0, 6]]
    assert result.dimensions == 12


def test_noise_tells_nothing(dataset, noise):
    result = probe(noise, dataset)
    assert 0.2 < result.validated < 0.8
    assert np.sum(result.confusion) == 12
    assert result.by_strength[f"{result.strength:g}"] == max(result.by_strength.values())


def test_the_test_split_is_never_trained_on(dataset, noise):
    """Its shapes encode their class in a number that is noise elsewhere."""
    test = dataset.select("test")
    noise[test, 5] = 50.0 * (2 * dataset.labels[test] - 1)
    assert probe(noise, dataset).tested < 1


def test_related_shapes_are_never_on_both_sides_of_a_fold(dataset_folder, tmp_path):
    """Pairs of equal vectors with random classes: only a model trained on a shape's twin knows its class."""
    folder = tmp_path / "pairs"
    shutil.copytree(dataset_folder, folder)
    path = folder / "manifest.csv"
    rows = list(csv.DictReader(path.open(newline="", encoding="utf-8")))
    learned = [row for row in rows if row["split"] != "test"]
    rng = np.random.default_rng(1)
    pair = np.repeat(np.arange(len(learned) // 2), 2)
    classes = rng.permutation(np.arange(len(learned) // 2) % 2)
    for row, number in zip(learned, pair, strict=True):
        row["group"], row["class"] = f"pair {number}", ("column", "slab")[classes[number]]
    with path.open("w", newline="", encoding="utf-8") as out:
        table = csv.DictWriter(out, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    data = VoxelDataset(folder)
    vectors = rng.standard_normal((len(rows), 200)).astype(np.float32)
    vectors[np.flatnonzero(data.splits != "test")] = rng.standard_normal((len(learned) // 2, 200))[pair]
    assert probe(vectors, data).validated < 0.8


def test_without_a_test_split_the_confusion_is_of_cross_validation(dataset_folder, noise, tmp_path):
    data = with_manifest(dataset_folder, tmp_path / "set", r",test,", ",train,")
    noise[:, 3] += 20 * data.labels
    result = probe(noise, data)
    assert result.tested is None
    assert result.confusion == [[32, 0], [0, 32]]


@pytest.fixture
def home(dataset_folder, tmp_path) -> Project:
    """A project with the tiny data set and an untrained model of 8³ that knows no class."""
    here = Project(tmp_path, tmp_path)
    shutil.copytree(dataset_folder, here.voxels)
    tree = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    del tree["train"]["stages"]["r16"]
    tree["gan"]["conditional"] = False
    here.params.write_text(yaml.safe_dump(tree), encoding="utf-8")
    model_file.save(here.model("r08"), grow(None, Architecture(8, ("shape",), (6, 5), (0.4, 0.3)), 0)[2])
    yield here
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.mark.slow
def test_the_command_prints_and_keeps_its_result(home):
    result = features_stage.run(load_params(home.params), home)
    assert json.loads(home.features.read_text(encoding="utf-8")) == result
    assert result["classes"] == ["column", "slab"]  # although the discriminator was trained without labels
    assert result["shapes"] == {"learned": 52, "tested": 12}
    assert result["discriminator"]["dimensions"] == 8 * (5 + 5 + 6)
    assert result["voxels"]["dimensions"] == 512
    assert result["discriminator"]["tested"] >= 0.75  # columns stand, slabs lie: an untrained network sees it
    text = linear_probe_text(result)
    assert "12 test shapes" in text
    assert "column" in text
    assert "gan.conditional" not in text
    client = connect(home.mlruns)
    (run,) = client.search_runs([experiment_id(client)], "tags.stage = 'features'")
    assert run.data.metrics["features/discriminator/tested"] == pytest.approx(result["discriminator"]["tested"])
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["features.json"]


def test_one_class_cannot_be_told_apart(columns):
    with pytest.raises(UserError, match="has one class"):
        check_classes(columns)


def test_too_few_shapes_of_a_class_are_named(dataset_folder, tmp_path):
    data = with_manifest(dataset_folder, tmp_path / "set", r",slab,\w+,", ",slab,test,")
    with pytest.raises(UserError, match="0 shapes of class 'slab'"):
        check_classes(data)
