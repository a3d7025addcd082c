"""Metrics get names that MLflow groups and sorts: scores, losses, health; and the digits that are known."""

import pytest

from gan3d.tracking.metric_names import IMAGES, MetricRows, logged_name, of_experiment

ROW = {
    "images": 512,
    "loss_d": 0.62044969,
    "loss_g": 0.7898801565,
    "accuracy_real": 0.75,
    "accuracy_fake": 0.75,
    "validation/score": 0.912345678,
    "scores/train_p50": 1.0,
    "samples/occupancy_of_data": 0.25,
    "alpha": 1.0,
}


def groups(names):
    return list(dict.fromkeys(name.split("/")[0] for name in sorted(names)))


def test_groups_come_in_the_order_in_which_people_look():
    names = [*(logged_name(name) for name in ROW if name != "images"), "system/cpu", "contact sheet/chair"]
    assert groups(names) == ["contact sheet", "evaluation", "loss", "monitoring", "progress", "system"]


def test_equal_and_constant_values_are_logged_once_and_rounded():
    converter = MetricRows()
    first, second = converter.convert(ROW), converter.convert(ROW | {"images": 1024, "accuracy_fake": 0.5})
    assert first["images"] == first[IMAGES] == 512
    assert first["loss/discriminator"] == 0.6204
    assert first["monitoring/accuracy"] == 0.75
    assert not {"monitoring/accuracy_real", "monitoring/accuracy_fake"} & set(first)
    assert second["monitoring/accuracy_fake"] == 0.5
    assert "monitoring/samples/occupancy_of_data" in first
    assert "monitoring/samples/occupancy_of_data" not in second


def test_an_experiment_gets_scores_and_losses():
    (row,) = of_experiment([MetricRows().convert(ROW)])
    assert groups(set(row) - {"images"}) == ["evaluation", "loss", "progress"]
    assert row["evaluation/validation/one_nna_cd"] == pytest.approx(0.9123)
