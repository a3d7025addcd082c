"""The report of an evaluation, the pictures beside it, and the text for a terminal."""

import re

import numpy as np
import pytest
from box_dataset import FULL, random_boxes, write_boxes

from gan3d.metrics.evaluation import PICTURED, ModelEvaluation
from gan3d.metrics.protocol import evaluate_classes
from gan3d.metrics.rows import ClassScores
from gan3d.metrics.table import GROUPS, SCORES, grouped
from gan3d.reports import evaluation_report
from gan3d.reports.evaluation_report import Evaluation
from gan3d.reports.evaluation_sheets import interpolation_sheet, samples_sheet
from gan3d.reports.score_sections import sentence
from gan3d.reports.score_text import score_text


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_boxes(tmp_path_factory.mktemp("boxes") / "set", {"chair": FULL, "<table>": FULL})


@pytest.fixture(scope="module")
def evaluation(data):
    def sample(label: int, count: int, seed: int) -> np.ndarray:
        return random_boxes(count, 100 + seed)

    pictured = {name: random_boxes(PICTURED, 5) for name in data.classes}
    return ModelEvaluation(8, evaluate_classes(sample, data, 8, count=20, draws=2), pictured, pictured)


def write(path, evaluation, data):
    sheets = {8: samples_sheet(evaluation, data)}
    return evaluation_report.write(path, Evaluation("furniture", [evaluation], sheets), data).read_text("utf-8")


def test_the_report_has_every_score_of_every_class(evaluation, data, tmp_path):
    page = write(tmp_path / "report.html", evaluation, data)
    for score in SCORES:
        assert f"<th class=n>{score.heading}</th>" in page
        assert f"<dt>{score.heading}</dt>" in page
    rows = re.findall(r"<tr[^>]*><td>([^<]*)</td><td>([^<]*)</td>", page.split("<h2>Random")[0])
    assert rows == len(GROUPS) * [
        ("chair", "generated"), ("", "real (the floor)"),
        ("&lt;table&gt;", "generated"), ("", "real (the floor)"),
        ("mean", "generated"), ("", "real (the floor)"),
    ]  # fmt: skip
    mean = next(row for row in evaluation.rows if row["class"] == "mean" and row["kind"] == "generated")
    assert f"<td class=n>{mean['cov_cd']:.3f} <small>± " in page
    assert "<table>:" not in page
    assert not re.findall(r'(?:src|href)="http', page)


def test_equal_evaluations_give_equal_reports(evaluation, data, tmp_path):
    assert write(tmp_path / "one.html", evaluation, data) == write(tmp_path / "two.html", evaluation, data)


def test_without_training_shapes_nothing_is_said_about_copies(tmp_path):
    few = write_boxes(tmp_path / "set", {"chair": FULL | {"train": 5}})
    pictured = {"chair": random_boxes(PICTURED, 5)}
    classes = evaluate_classes(lambda label, count, seed: random_boxes(count, seed), few, 8, count=20, draws=1)
    page = write(tmp_path / "report.html", ModelEvaluation(8, classes, pictured, pictured), few)
    assert "Does it copy?" not in page
    assert "no novelty: 5 training shapes remain, and 10 are needed" in page


@pytest.mark.parametrize(
    ("excess", "copied", "words"),
    [
        (0.02, 0.1, "cannot be told from real ones. 10% equal a training shape, no more than"),
        (0.30, 0.1, "can be told from real ones: they are 0.30 ± 0.20 by distance above the floor"),
        (0.02, 0.9, "90% equal a training shape, more than among held-out real shapes (10%)"),
    ],
)
def test_the_scores_in_words(excess, copied, words):
    row = {"one_nna_cd": 0.5 + excess, "one_nna_cd_excess": excess, "one_nna_cd_excess_se": 0.1}
    row |= {"copied_generated": copied, "copied_reference": 0.1}
    assert words in sentence(ClassScores(row, {"one_nna_cd": 0.5}))


def test_missing_scores_in_words():
    assert sentence(ClassScores({"one_nna_cd": None, "note": "no scores: 3 remain"}, {})) == ("No scores: 3 remain.")


def test_the_sheets_have_a_row_per_class(evaluation, data):
    samples, paths = samples_sheet(evaluation, data), interpolation_sheet(evaluation, data)
    assert samples.shape[0] == 2 * paths.shape[0]  # generated and real
    assert samples.std() > 0


def test_the_text_has_a_row_of_real_shapes_below_each(evaluation):
    tables = score_text(evaluation.rows).split("\n\n")[: len(GROUPS)]
    lines, described = tables[0].splitlines(), tables[GROUPS.index("single shapes")].splitlines()
    assert [line.split("  ")[0].strip() for line in lines[1:7]] == [
        "r08 chair generated", "r08 chair real",
        "r08 <table> generated", "r08 <table> real",
        "r08 mean generated", "r08 mean real",
    ]  # fmt: skip
    assert len({len(line) for line in lines[:7]}) == 1
    mean = next(row for row in evaluation.rows if row["class"] == "mean" and row["kind"] == "generated")
    assert f"{mean['one_nna_cd']:.3f} ±{1.96 * mean['one_nna_cd_se']:.3f}" in lines[5]
    assert f"{mean['largest_piece_reference']:.3f} ±" in described[6]
    assert all(score.heading in text for text, group in zip(tables, grouped().values(), strict=True) for score in group)
