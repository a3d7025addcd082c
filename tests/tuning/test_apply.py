"""Writing values into params.yaml: they are read back unchanged, and nothing else changes."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import REPOSITORY

from gan3d.errors import UserError
from gan3d.tuning import apply

FILE = REPOSITORY / "params.yaml"
TEXT = FILE.read_text(encoding="utf-8")

rates = st.floats(1e-9, 1.0)


@settings(deadline=None, max_examples=40)  # slow on a busy machine
@given(rates, rates, st.integers(1, 4096))
def test_values_are_read_back_and_nothing_else_changes(lr_g, lr_d, batch):
    new = apply.replace(TEXT, "r08", {"lr_g": lr_g, "lr_d": lr_d, "batch": batch})
    expected = yaml.safe_load(TEXT)
    expected["train"]["stages"]["r08"] |= {"lr_g": lr_g, "lr_d": lr_d, "batch": batch}
    assert yaml.safe_load(new) == expected
    changed = [(a, b) for a, b in zip(TEXT.splitlines(), new.splitlines(), strict=True) if a != b]
    assert len(changed) <= 3
    assert all(line.lstrip().startswith(("lr_g:", "lr_d:", "batch:")) for pair in changed for line in pair)


def test_an_empty_value_and_a_row():
    text = "train:\n  stages:\n    r16:\n      gamma:  # own\n    r32: {gamma: , lr_g: 0.1}\n"
    assert "gamma: 0.5  # own" in apply.replace(text, "r16", {"gamma": 0.5})
    assert "{gamma: 0.5 , lr_g: 0.2}" in apply.replace(text, "r32", {"gamma": 0.5, "lr_g": 0.2})


def test_block_style_with_comments_and_windows_lines():
    text = "train:\r\n  stages:\r\n    r16:  # coarse\r\n      lr_g: 1e-3   # tuned\r\n      batch: 16\r\n"
    new = apply.replace(text, "r16", {"lr_g": 2e-5, "batch": 16})
    assert new == text.replace("1e-3", "2.0e-05")


def test_the_returned_difference(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(TEXT.encode())
    difference = apply.write(path, "r16", {"lr_g": 0.0123})
    assert [line[0] for line in difference.splitlines() if line[0] in "+-"] == ["-", "+", "-", "+"]
    assert "lr_g: 0.0123" in difference
    assert apply.write(path, "r16", {"lr_g": 0.0123}) == ""
    apply.write(path, "r16", {"lr_g": yaml.safe_load(TEXT)["train"]["stages"]["r16"]["lr_g"]})
    assert path.read_bytes() == TEXT.encode()


@pytest.mark.parametrize("values", [{"lr_d": 0.01}, {"lr_g": 0.01}, {"lr_g": 0.01, "lr_d": 0.02, "batch": 8}])
def test_a_shared_value_is_not_overwritten(tmp_path, values):
    path = tmp_path / "params.yaml"
    text = "train:\n  stages:\n    r16: {batch: 4, lr_g: &l 0.003, lr_d: *l}\n    r32: {batch: 4, lr_g: *l, lr_d: *l}\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"shares values of train\.stages\.r16 with other keys"):
        apply.write(path, "r16", values)
    assert path.read_text(encoding="utf-8") == text
    apply.write(path, "r16", {"batch": 8})
    assert "r16: {batch: 8, lr_g: &l 0.003" in path.read_text(encoding="utf-8")


def test_a_stage_or_value_that_is_missing():
    with pytest.raises(UserError, match=r"train\.stages\.r64 is missing"):
        apply.replace(TEXT, "r64", {"lr_g": 0.1})
    with pytest.raises(UserError, match=r"train\.stages\.r08\.gamma is missing"):
        apply.replace(TEXT, "r08", {"gamma": 0.1})
