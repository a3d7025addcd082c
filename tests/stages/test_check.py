"""`gan3d check` finds what would stop the pipeline, and says what to do, before DVC does in its own words."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from paths import REPOSITORY

from gan3d.cli.app import cli
from gan3d.config.project import find_project
from gan3d.errors import UserError
from gan3d.stages import check as checking

OLD_AWS = [name for name in os.environ if name.startswith("AWS_")]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project with a folder of shapes, and an environment without keys."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / "shapes" / "chair").mkdir(parents=True)
    for name in (*OLD_AWS, "KERAS_BACKEND", "DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checking.shutil, "which", lambda name: f"/bin/{name}")
    return tmp_path


def edit(root: Path, change) -> None:
    tree = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    change(tree)
    (root / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def source(root: Path, name: str, **others) -> list[checking.Finding]:
    edit(root, lambda tree: tree["data"].update(source=name, **others))
    return checking.check(find_project(root))


def only(findings: list[checking.Finding]) -> str:
    assert len(findings) == 1, findings
    assert findings[0].sentence.endswith((".", "?", ".)"))
    assert "\n" not in findings[0].sentence
    return findings[0].sentence


def test_a_ready_project_has_no_findings(root):
    assert checking.check(find_project(root)) == []
    assert source(root, "shapes") == []
    assert source(root, str(root / "shapes")) == []


@pytest.mark.parametrize("name", ["data", "./data", "data/", ".", "data/voxels", "models", "evaluation", ".."])
def test_a_source_that_overlaps_with_the_outputs(root, name):
    (root / "data" / "voxels").mkdir(parents=True)
    (root / "models" / "r16").mkdir(parents=True)
    (root / "evaluation" / "pictures").mkdir(parents=True)
    if name == "models":
        edit(root, lambda tree: None)
        (root / "dvc.yaml").write_text("stages: {train: {cmd: x, outs: [models/r16]}}\n")
    assert "which the pipeline writes: move the shapes into data/raw" in only(source(root, name))


def test_raw_data_beside_the_outputs_is_fine(root):
    (root / "data" / "raw" / "chair").mkdir(parents=True)
    assert source(root, "data/raw") == []


def test_missing_and_empty_sources(root):
    assert "shapes/chairs does not exist, but shapes does: correct the path" in only(source(root, "shapes/chairs"))
    assert "/no/where does not exist: correct the path" in only(source(root, "/no/where"))
    (root / "nothing").mkdir()
    assert "is an empty folder" in only(source(root, "nothing"))
    (root / "a.zip").touch()
    assert "is an empty file" in only(source(root, "a.zip"))
    os.mkfifo(root / "pipe")
    assert "neither a folder nor a file" in only(source(root, "pipe"))
    assert "is empty" in only(source(root, " "))
    assert "labels.csv does not exist" in only(source(root, "shapes", labels="labels.csv"))
    assert "data.labels.chairs: {'split': 'test'} is invalid" in only(
        source(root, "shapes", labels={"chairs": {"split": "test"}})
    )
    assert source(root, "shapes", labels={"chairs": "chair"}) == []


def test_home_is_expanded(root):
    assert "~/mine does not exist" in only(source(root, "~/mine"))
    (root / "home" / "mine" / "chair").mkdir(parents=True)
    assert source(root, "~/mine") == []


def test_a_source_that_may_not_be_read(root, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "shapes")
    assert "cannot be read: change its permissions" in only(source(root, "shapes"))


def test_addresses(root, monkeypatch):
    assert "names no server" in only(source(root, "https:///file.zip"))
    assert source(root, "https://example.org/file.zip") == []
    assert source(root, "3d_gans") == []
    finding = source(root, "s3://bucket/x.zip")
    assert "no credentials for S3" in only(finding)
    assert not finding[0].fatal
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    assert "no credentials" in only(source(root, "s3://bucket/x.zip"))  # half a pair
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert source(root, "s3://bucket/x.zip") == []
    assert "data.endpoint is no address" in only(source(root, "s3://bucket/x.zip", endpoint="127.0.0.1:9000"))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("credentials", "[default]\naws_access_key_id = a\naws_secret_access_key = b\n"),
        ("config", "[default]\nsso_session = mine\n"),
        ("config", "[default]\ncredential_process = x\n"),
    ],
)
def test_credentials_in_files(root, file, text):
    (root / "home" / ".aws").mkdir(parents=True)
    (root / "home" / ".aws" / file).write_text(text)
    assert source(root, "s3://bucket/x.zip") == []


def test_parameters_come_first(root):
    edit(root, lambda tree: tree["train"]["stages"]["r08"].update(prev="r16"))
    assert "r08.prev is 'r16': use one of scratch, r04" in only(checking.check(find_project(root)))


def test_the_backend(root, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert "KERAS_BACKEND is torch, but train.backend is tensorflow" in only(checking.check(find_project(root)))
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setattr(checking, "find_spec", lambda name: None)
    assert "package tensorflow is not installed" in only(checking.check(find_project(root)))


def test_commands_disk_and_permissions(root, monkeypatch):
    monkeypatch.setattr(checking.shutil, "which", lambda name: None if name == "gan3d" else name)
    assert "run `source .venv/bin/activate` first" in only(checking.check(find_project(root)))
    monkeypatch.setattr(checking.shutil, "which", lambda name: name)
    monkeypatch.setattr(checking.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12, 10**8))
    finding = checking.check(find_project(root))
    assert "has 95 MiB left: free some space" in only(finding)
    assert finding[0].fatal
    monkeypatch.setattr(checking.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 0, 10**12))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be written: change the permissions" in only(checking.check(find_project(root)))


def test_the_command_prints_a_sentence_per_finding_and_fails(root):
    done = CliRunner().invoke(cli, ["check"])
    assert (done.exit_code, done.output) == (0, "params.yaml, the data source and this machine are ready\n")
    edit(root, lambda tree: tree["data"].update(source="missing", labels="none.csv"))
    done = CliRunner().invoke(cli, ["check"])
    assert done.exit_code == 1
    assert done.output.count("error: ") == 2
    edit(root, lambda tree: tree["data"].update(source="s3://a/b", labels=None))
    done = CliRunner().invoke(cli, ["check"])
    assert (done.exit_code, done.output.count("warning: ")) == (0, 1)


def test_make_repro_checks_first():
    lines = (REPOSITORY / "Makefile").read_text(encoding="utf-8").splitlines()
    at = lines.index("repro: setup ## run the pipeline: data, training, evaluation, registry")
    assert [line.strip("\t@") for line in lines[at + 1 : at + 3]] == ["gan3d check", "dvc repro"]


@pytest.mark.parametrize(("name", "words"), [("data", "move the shapes into data/raw"), ("gone", "does not exist")])
def test_plain_dvc_gets_the_same_sentence_from_its_first_stage(root, name, words):
    (root / "data" / "voxels").mkdir(parents=True)
    edit(root, lambda tree: tree["data"].update(source=name))
    done = CliRunner().invoke(cli, ["data", "source"])
    assert isinstance(done.exception, UserError)
    assert words in str(done.exception)
    assert not (root / "data" / "source.json").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("~nobody-of-that-name/shapes", "does not exist"),
        ("http://[::1", "names no server"),
        ("http://host:99999/a.zip", "names no server"),
        ("https://", "names no server"),
    ],
)
def test_a_source_that_cannot_be_meant_is_one_sentence(root, name, words):
    (found,) = source(root, name)
    assert found.fatal
    assert words in found.sentence


@pytest.mark.parametrize("uri", ["nonsense://x", "mlruns", "file:///somewhere", "http://[::1"])
def test_a_store_that_mlflow_cannot_use_is_told_before_the_work(root, monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert f"MLFLOW_TRACKING_URI is {uri}, which MLflow cannot use" in only(checking.check(find_project(root)))
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        CliRunner().invoke(cli, ["train", "r04"], catch_exceptions=False)
