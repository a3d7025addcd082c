"""A thousand classes: every score is kept, and no picture, page or list of metrics grows with their number."""

import json
from collections import Counter

import numpy as np
import pytest
from many_classes import write_many_classes

from gan3d.metrics import comparison, intervals, protocol
from gan3d.metrics.evaluation import PICTURED_CLASSES, evaluate_model
from gan3d.metrics.rows import MEAN, class_scores, most_telling
from gan3d.monitoring.monitor import TrainingMonitor
from gan3d.networks.architecture import Architecture
from gan3d.registry.card import card
from gan3d.registry.log import classes_tag, data_facts
from gan3d.rendering import sheets
from gan3d.reports import data_report, evaluation_report
from gan3d.reports.evaluation_report import Evaluation
from gan3d.reports.evaluation_sheets import interpolation_sheet, samples_sheet
from gan3d.reports.score_text import score_text
from gan3d.sampling.sampler import Sampler
from gan3d.stages.evaluate import metrics
from gan3d.training.growth import grow
from gan3d.training.threshold import calibrate_threshold

COUNT = 80
PAGE = 8_000_000  # bytes


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_many_classes(tmp_path_factory.mktemp("many") / "voxels", COUNT)


@pytest.fixture(scope="module")
def start(data):
    return grow(None, Architecture(4, tuple(data.classes), (4, 3), (0.5, 0.3)), seed=1)


@pytest.fixture(scope="module")
def evaluation(data, start):
    return evaluate_model(Sampler(start[2]), data, count=10, draws=1)


def test_training_samples_are_a_page_and_diagnostics_a_few(data, start):
    monitor = TrainingMonitor(data, start, 8)
    state = {
        "ema": list(start[2].ema.values()),
        "generator": list(start[2].generator.values()),
        "discriminator": list(start[2].discriminator.values()),
    }
    voxels, labels = monitor.sample(state, 1.0)
    assert len(voxels) == len(labels) == 24 * 8
    found = monitor.diagnose(state, 1.0, voxels, labels)
    assert sum(name.startswith("coverage/") for name in found) == 26
    assert "coverage/all_classes" in found
    assert sheets.samples_sheet(voxels, labels, data.classes, "y").size < 3 * sheets.MAX_PIXELS
    assert 0.2 <= calibrate_threshold(Sampler(start[2]), data) <= 0.8


def test_every_class_is_scored_and_a_few_are_shown(data, evaluation, tmp_path):
    scores = class_scores(evaluation.rows, 8)
    assert [each.name for each in scores] == [*data.classes, MEAN]
    assert all(each.generated["one_nna_cd"] is not None for each in scores)
    assert len(evaluation.samples) == len(evaluation.interpolations) == PICTURED_CLASSES
    assert sum(each.generated.nbytes for each in evaluation.classes[PICTURED_CLASSES:]) == 0
    logged = metrics(scores)
    assert len({name.split("/")[1] for name in logged if name.count("/") == 2}) == 24
    assert "evaluation/one_nna_cd" in logged
    for picture in (samples_sheet(evaluation, data), interpolation_sheet(evaluation, data)):
        assert picture.shape[0] * picture.shape[1] < sheets.MAX_PIXELS
    sheet = {8: samples_sheet(evaluation, data)}
    page = evaluation_report.write(tmp_path / "report.html", Evaluation("many", [evaluation], sheet), data)
    assert page.stat().st_size < PAGE
    assert "table.json has all" in page.read_text(encoding="utf-8")
    assert len(score_text(evaluation.rows).splitlines()) < 110


def test_each_shape_is_measured_once_and_errors_take_their_share(tmp_path, monkeypatch):
    """What an evaluation costs per class: no shape's features twice, and no replicate on its own but for set scores."""
    data = write_many_classes(tmp_path / "voxels", 3, resolution=4)
    calls = Counter()

    def count(module, name, weight):
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: calls.update({name: weight(*given)}) or function(*given))

    count(comparison, "shape_features", len)
    count(intervals, "distance_scores", lambda *_: 1)
    count(intervals, "set_distances", lambda *_: 1)
    monkeypatch.setattr(protocol, "REPLICATES", protocol.MIN_REPLICATES)
    shapes = np.random.default_rng(0).random((9, 10, 4, 4, 4)) < 0.4
    protocol.evaluate_classes(lambda label, count, seed: shapes[seed], data, 4, count=10, draws=3, divisions=1)
    assert calls["shape_features"] == 3 * (10 + 3 * 10 + 10)  # real, generated and training shapes
    assert calls["distance_scores"] == 3 * 6  # of three draws and their floor
    assert calls["set_distances"] == 3 * 6 * (1 + protocol.MIN_REPLICATES)


def test_the_worst_come_first():
    rows = [
        {"class": name, "kind": kind, "resolution": 8, "one_nna_cd": value}
        for kind in ("generated", "floor")
        for name, value in (("a", 0.6), ("b", 0.9), ("c", None), ("d", 0.7), (MEAN, 0.7))
    ]
    assert [each.name for each in most_telling(class_scores(rows, 8), 2)] == ["b", "d", MEAN]
    assert [each.name for each in most_telling(class_scores(rows, 8), 4)] == ["a", "b", "c", "d", MEAN]


def test_the_data_report(data, tmp_path):
    assert data_report.write(data.folder, tmp_path / "report.html").stat().st_size < PAGE


def test_the_card_and_the_tags(data, evaluation):
    model = {"name": "gan3d", "version": 1, "resolution": 8, "latent": 4, "parameters": 9, "threshold": 0.5, "up": "y"}
    model["classes"] = data.classes
    text = card(model, data_facts(data, 8, "here"), [], evaluation.rows, {"gan3d": "1"})
    assert "80 classes:" in text
    assert "32 more classes" in text
    assert len(text) < 40_000
    names = [f"class {i}" for i in range(1200)]
    assert len(classes_tag(names)) < 100
    assert classes_tag(names) != classes_tag(names[::-1])
    assert json.loads(classes_tag(names[:3])) == names[:3]


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (9, 8), (800, 8), (800, 1)])
def test_a_sheet_never_grows_beyond_its_limit(count, columns, monkeypatch):
    monkeypatch.setattr(sheets, "render", lambda shape, size, *_: np.zeros((size, size, 3), np.uint8))
    monkeypatch.setattr(sheets, "MAX_PIXELS", 400_000)
    shapes = [np.ones((4, 4, 4), bool)] * count
    picture = sheets.sheet(shapes, columns, titles=["x" * 300] * count)
    assert picture.shape[0] * picture.shape[1] <= sheets.MAX_PIXELS
