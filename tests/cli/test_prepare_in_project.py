"""In a project, `gan3d prepare` with other options than params.yaml does not replace data/voxels unasked."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from paths import REPOSITORY

from gan3d.cli.app import cli
from gan3d.errors import UserError
from gan3d.stages import prepare as stage


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """A project, and what `prepare` is asked for there: the data section and the folder."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / "data" / "voxels").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found: list = []
    monkeypatch.setattr(stage, "run", lambda data, seed, out, *rest: found.append((data, out)) or {})
    monkeypatch.setattr(stage, "log", lambda *_: None)
    monkeypatch.setattr(stage, "describe", lambda *_: "")
    return found


def prepare(*options: str):
    done = CliRunner().invoke(cli, ["prepare", *options])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.mark.parametrize("options", [("--source", "mine"), ("--resolution", "32"), ("--up", "z"), ("--classes", "a,b")])
def test_other_options_need_a_place_or_a_word(calls, tmp_path, options):
    with pytest.raises(
        UserError, match=rf"{options[0]} differs from data\.\w+ in params\.yaml, and .* --out, .* --replace"
    ):
        prepare(*options)
    assert calls == []
    prepare(*options, "--out", "elsewhere")
    prepare(*options, "--replace")
    assert [out for _, out in calls] == [Path("elsewhere"), tmp_path / "data" / "voxels"]


def test_the_same_options_and_a_first_time_need_nothing(calls, tmp_path):
    prepare()
    prepare("--source", "synthetic", "--resolution", "16")
    (tmp_path / "data" / "voxels").rmdir()
    prepare("--source", "mine")
    assert len(calls) == 3


def test_home_is_expanded(calls, tmp_path):
    prepare("--source", "~/shapes", "--out=~/voxels")
    assert calls[0][1] == tmp_path / "home" / "voxels"
    assert stage.local_source("~/shapes", tmp_path) == tmp_path / "home" / "shapes"
    assert (
        stage.options_of(calls[0][0].model_copy(update={"labels": "~/l.csv"}), 0).labels == tmp_path / "home" / "l.csv"
    )
