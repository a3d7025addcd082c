"""The index of pretrained models: true for what is in the repository, and the road to what is elsewhere."""

import hashlib
import http.server
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from candidates import tiny
from click.testing import CliRunner
from paths import REPOSITORY

from gan3d import model_file, pretrained
from gan3d.cli.app import cli
from gan3d.errors import UserError

FOLDER = REPOSITORY / "pretrained"
LARGEST = 30e6  # bytes of all models in the repository


def test_the_index_is_true_for_every_model_of_the_repository():
    index = pretrained.read_index(FOLDER)
    present = {path.parent.name for path in FOLDER.glob("*/config.json")}
    assert {name for name, entry in index.models.items() if entry.where == "repository"} == present
    for name in present:
        assert pretrained.get(name, FOLDER) == FOLDER / name
    assert sum(entry.size for entry in index.models.values() if entry.where == "repository") < LARGEST
    assert all((FOLDER / entry.card).is_file() for entry in index.models.values())


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host(tmp_path):
    """A server with one model, and a folder with an index that names it."""
    model_file.save(tmp_path / "host/tiny-r08", tiny())
    (tmp_path / "host/tiny-r08/training.npz").unlink()
    handler = lambda *given: Quiet(*given, directory=str(tmp_path / "host"))  # noqa: E731
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        write_index(tmp_path, f"http://127.0.0.1:{server.server_address[1]}", "address")
        yield tmp_path
        server.shutdown()


def write_index(root: Path, address: str | None, where: str) -> Path:
    files = {
        path.name: {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in (root / "host/tiny-r08").iterdir()
    }
    entry = {"shapes": "noise, 8³", "licence": "none", "card": "README.md", "where": where, "files": files}
    (root / "pretrained").mkdir(exist_ok=True)
    index = root / "pretrained/index.yaml"
    index.write_text(yaml.safe_dump({"address": address, "models": {"tiny-r08": entry}}), encoding="utf-8")
    return index


def test_a_model_comes_from_the_address_and_is_verified(host, monkeypatch):
    monkeypatch.setenv("GAN3D_CACHE", str(host / "cache"))
    seen = []
    folder = pretrained.get("tiny-r08", host / "pretrained", lambda done, total: seen.append((done, total)))
    assert model_file.load(folder).architecture.classes == ("chair", "table")
    assert seen
    (folder / "generator.npz").write_bytes(b"another")
    with pytest.raises(UserError, match="not that of the index: remove it"):
        pretrained.get("tiny-r08", host / "pretrained")
    shutil.rmtree(folder)
    (host / "host/tiny-r08/generator.npz").write_bytes(b"changed on the server")
    shutil.rmtree(host / "cache")
    with pytest.raises(UserError, match="has the hash"):
        pretrained.get("tiny-r08", host / "pretrained")
    assert not folder.exists()


def test_what_is_missing_is_said_in_one_sentence(host):
    with pytest.raises(UserError, match="pretrained model 'huge' does not exist: choose one of tiny-r08"):
        pretrained.get("huge", host / "pretrained")
    index = write_index(host, None, "address")
    with pytest.raises(UserError, match="names no address"):
        pretrained.get("tiny-r08", host / "pretrained")
    write_index(host, "http://127.0.0.1:9/models", "address")
    with pytest.raises(UserError, match="cannot be downloaded"):
        pretrained.get("tiny-r08", host / "pretrained")
    index.write_text("models: {a: {}}", encoding="utf-8")
    with pytest.raises(UserError, match=r"index\.yaml: .* is wrong"):
        pretrained.read_index(host / "pretrained")


@pytest.mark.slow
def test_a_model_comes_from_a_dvc_remote(host):
    write_index(host, None, "dvc")
    folder = host / "pretrained"
    shutil.copytree(host / "host/tiny-r08", folder / "tiny-r08")
    for command in (
        ["init", "-q", "--no-scm"],
        ["remote", "add", "-q", "-d", "local", str(host / "remote")],
        ["add", "-q", "pretrained/tiny-r08"],
        ["push", "-q"],
    ):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=host, check=True)
    shutil.rmtree(folder / "tiny-r08")
    shutil.rmtree(host / ".dvc/cache")
    assert model_file.load(pretrained.get("tiny-r08", folder)).architecture.resolution == 8


@pytest.mark.slow
def test_register_adds_a_version_and_leaves_the_champion(tmp_path, monkeypatch):
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    shutil.copytree(FOLDER, tmp_path / "pretrained")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    first = CliRunner().invoke(cli, ["pretrained", "register", "modelnet10-chairs-r32"], catch_exceptions=False)
    assert first.output.startswith("modelnet10-chairs-r32 version 1; promote it with")
    listed = CliRunner().invoke(cli, ["registry", "list", "modelnet10-chairs-r32"], catch_exceptions=False).output
    assert "32³" in listed
    assert "champion" not in listed
    assert "here" in CliRunner().invoke(cli, ["pretrained", "list"]).output
