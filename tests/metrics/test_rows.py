"""Rows of scores: written, read, selected, paired and summarised."""

import json

import pytest

from gan3d.errors import UserError
from gan3d.metrics import rows as score_rows
from gan3d.metrics.rows import class_mean, class_scores, read_rows, rounded, select, summary, without_mean, write_json


def row(kind: str, name: str, resolution: int, value: float) -> dict:
    return {"kind": kind, "class": name, "resolution": resolution, "one_nna_cd": value}


ROWS = [
    row(kind, name, resolution, value)
    for resolution, offset in ((4, 0.0), (8, 0.1))
    for name in ("chair", "mean")
    for kind, value in (("generated", 0.8 + offset), ("floor", 0.5 + offset))
]


def test_rows_survive_the_file(tmp_path):
    path = tmp_path / "evaluation" / "table.json"
    write_json(path, ROWS)
    assert read_rows(path) == ROWS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps({"r04": {"mean": {"one_nna_cd": 0.8, "floor": {}}}}), "layout of an older version"),
        ("[{", "is damaged"),
    ],
)
def test_a_file_of_an_older_version_or_a_damaged_one_says_what_to_do(tmp_path, text, words):
    path = tmp_path / "table.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"table\.json .*{words}.*run `gan3d evaluate` again"):
        read_rows(path)


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"table\.json is missing: run `gan3d evaluate` first"):
        read_rows(tmp_path / "table.json")


def test_rows_are_selected_and_paired():
    assert list(score_rows.resolutions(ROWS)) == [4, 8]
    assert [found["class"] for found in select(ROWS, kind="floor", resolution=8)] == ["chair", "mean"]
    assert {found["class"] for found in without_mean(ROWS)} == {"chair"}
    chair, mean = class_scores(ROWS, 8)
    assert (chair.name, chair.resolution) == ("chair", 8)
    assert (chair.generated["one_nna_cd"], chair.floor["one_nna_cd"]) == (0.9, 0.6)
    assert class_mean(ROWS, 8) == mean


def test_rounding_keeps_six_digits_and_everything_but_floats():
    assert rounded({"a": 0.123456789, "b": 1234567.8, "n": 7, "none": None, "note": "few"}) == {
        **{"a": 0.123457, "b": 1.23457e6},
        **{"n": 7, "none": None, "note": "few"},
    }


def test_the_summary_has_few_scores_whose_names_say_which_way_is_better():
    generated = row("generated", "mean", 8, 0.654321) | {"copied_generated": 0.0, "copied_reference": 0.25}
    found = summary(score_rows.ClassScores(generated, row("floor", "mean", 8, 0.5)))
    assert (found["one_nna_cd↓"], found["one_nna_cd_floor"]) == (0.6543, 0.5)
    assert found["tell_structure↓"] is None
    assert not [name for name in found if name.startswith(("copied", "tell_structure_floor"))]
