"""The model card shows what it was given, in every case that the pipeline can produce."""

import pytest
from candidates import rows

from gan3d.metrics.table import GROUPS, SCORES
from gan3d.registry.card import card, short_card, table

MODEL = {
    "name": "furniture",
    "version": 12,
    "classes": ["chair", "table"],
    "resolution": 16,
    "latent": 64,
    "parameters": 123456,
    "threshold": 0.4,
    "up": "z",
}
DATA = {
    "source": "../meshes",
    "counts": {"chair": {"train": 401, "test": 102}, "table": {"train": 403, "test": 104}},
    "test_split": "feedbeef",
}
TRAINING = [{"stage": "r04", "images": 1000, "lr_g": 0.001}, {"stage": "r08", "images": 2000, "loss": "wgan_gp"}]


def lines_of(page: str, start: str) -> list[list[str]]:
    """The cells of the table rows that begin with `start`."""
    return [[c.strip() for c in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith(f"| {start}")]


def test_the_card_shows_everything():
    page = card(MODEL, DATA, TRAINING, rows(0.71234, resolution=16), {"keras": "3.15.1"})
    for text in (
        "furniture, version 12",
        "models:/furniture/12",
        "16³",
        "chair and table",
        "64 numbers",
        "123,456",
        "0.4",
    ):
        assert text in page
    assert "the z axis points up" in page
    assert "(16, 16, 16, 16)" in page
    assert "Source: ../meshes" in page
    assert "`feedbeef`" in page
    assert lines_of(page, "chair") == [["chair", "401", "102"]]
    assert lines_of(page, "r08") == [["r08", "2000", "–", "wgan_gp"]]
    assert "keras 3.15.1" in page
    told = [[*cells[:3], cells[4]] for cells in lines_of(page, "16³")[:6]]
    assert told[::2] == [
        ["16³", "chair", "generated", "0.712 ± 0.010"],
        ["16³", "table", "generated", "0.712 ± 0.010"],
        ["16³", "mean", "generated", "0.712 ± 0.007"],
    ]
    assert told[5] == ["16³", "mean", "real", "0.510 ± 0.007"]
    headings = [cell for line in page.splitlines() if line.startswith("| resolution") for cell in line.split(" | ")[3:]]
    assert [heading.removesuffix(" |") for heading in headings] == [score.heading for score in SCORES]


def test_resolutions_are_in_order_and_a_mean_is_taken_once():
    scores = rows(0.6, resolution=16) + rows(0.9, resolution=4)
    scores.append(dict(scores[0]) | {"class": "mean"})
    page = card(MODEL, DATA, TRAINING, scores, {})
    sizes = [cells[0] for cells in lines_of(page, "4³") + lines_of(page, "16³")]
    assert sizes == ["4³"] * 6 * len(GROUPS) + ["16³"] * 6 * len(GROUPS)
    assert page.index("| 4³") < page.index("| 16³")


def test_one_class_needs_no_mean():
    page = card(MODEL | {"classes": ["chair"]}, DATA, TRAINING, rows(0.6, ("chair",), 16), {})
    assert "mean |" not in page
    assert "(chair)" in page
    assert "and a class" not in page


def test_a_missing_score_is_a_dash_with_its_reason():
    page = card(MODEL, DATA, TRAINING, rows(None, resolution=16), {})
    assert lines_of(page, "16³ | chair | generated")[0][3] == "–"
    assert "- 16³, chair, generated: no scores: 20 generated and 4 real shapes remain." in page
    assert "None" not in page


def test_real_shapes_have_the_scores_of_the_floor_and_the_measures_of_the_test_shapes():
    scores = rows(0.6, ("chair",), 16)
    scores[0] |= {"copied_generated": 0.25, "copied_reference": 0.125, "mmd_cd_x1e3": 2.504, "mmd_cd_x1e3_std": 0.104}
    scores[0] |= {"tell_structure_alone": {"asymmetry": 0.1}}
    page = card(MODEL, DATA, TRAINING, scores, {})
    lines = lines_of(page, "16³")
    told, variety, copying = (lines[2 * i : 2 * i + 2] for i in map(GROUPS.index, ("told apart", "variety", "copying")))
    assert [row[4] for row in copying] == ["0.250", "0.125"]
    assert [row[4] for row in variety] == ["2.50 ± 0.10", "2.50 ± 0.10"]
    assert [row[4] for row in told] == ["0.600 ± 0.010", "0.510 ± 0.010"]
    assert "- 16³, chair: less symmetric than real shapes (0.90)." in page


def test_nothing_scored_nothing_recorded():
    page = card(MODEL, DATA, [], [], {})
    assert "Not scored." in page
    assert "Not recorded." in page


def test_a_bar_in_a_name_does_not_end_the_cell():
    assert table([{"class": "a|b"}]).splitlines()[2] == "| a\\|b |"


def test_the_card_in_short_has_the_main_scores_and_says_where_the_rest_is():
    scores = rows(0.6, resolution=16) + rows(0.9, resolution=4)
    for row in scores:
        row |= {"tell_structure": 0.71, "tell_patterns": 0.72}
    page = short_card(MODEL, DATA, scores)
    assert page.startswith(card(MODEL, DATA, TRAINING, scores, {}).split("\n\n")[0])
    assert lines_of(page, "chair") == [["chair", "0.600 / 0.510", "0.600 / 0.510", "0.710 / 0.710", "0.720 / 0.720"]]
    assert [cells[0] for cells in lines_of(page, "")] == ["class", "---", "chair", "table", "mean"]
    assert "models:/furniture/12" in page
    assert "Trained on 804 shapes of ../meshes." in page
    assert "artifact card.md" in page
    assert len(page) < 1500


@pytest.mark.parametrize("count", [1, 7, 1200])
def test_the_card_in_short_fits_into_mlflow(count):
    names = tuple(f"{i:04d}{'x' * 200}" for i in range(count))
    data = DATA | {"source": "s" * 3000, "counts": {name: {"train": 1} for name in names}}
    page = short_card(MODEL | {"classes": list(names)}, data, rows(None, names, 16))
    assert len(page) < 5000
    assert "no scores" in page
    assert "None" not in page
    assert "Not scored." in short_card(MODEL, DATA, [])
