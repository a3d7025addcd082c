"""DVC with a real S3 server over HTTP on loopback: import-url, push, empty cache, pull, and failures."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import boto3
import numpy as np
import pytest
import yaml
from paths import REPOSITORY
from s3_server import s3_server

from gan3d.data.sources import download
from gan3d.errors import UserError

BIN = Path(sys.executable).parent
pytestmark = pytest.mark.slow


class Proxy:
    """A connection to the server that is cut after `budget` bytes of answers."""

    def __init__(self, target: int):
        self.target, self.budget = target, 1 << 60
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listening.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            threading.Thread(target=self._pass, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, True), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        try:
            while block := source.recv(1 << 16):
                if counted:
                    self.budget -= len(block)
                    if self.budget < 0:
                        break
                sink.sendall(block)
        except OSError:
            pass
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def server():
    with s3_server() as port:
        yield port


class Project:
    """A DVC project with a prepare stage like that of this repository."""

    def __init__(self, root: Path, endpoint: str):
        self.root, self.endpoint = root, endpoint
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DVC_"))}
        self.env |= {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(root),
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        self.env |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1"}

    def run(self, *command: str, check: bool = True, **env: str) -> subprocess.CompletedProcess:
        done = subprocess.run(command, cwd=self.root, env=self.env | env, capture_output=True, text=True, timeout=300)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done


KEYS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "Xq7topKey"}


@pytest.fixture
def bucket(server, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{server}", region_name="us-east-1")
    name = f"bucket{time.time_ns()}"
    client.create_bucket(Bucket=name)
    return client, name


@pytest.fixture
def project(tmp_path, server):
    made = Project(tmp_path / "project", f"http://127.0.0.1:{server}")
    made.root.mkdir()
    tree = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    tree["data"] |= {"source": "data/raw/data.zip", "resolution": 16}
    (made.root / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    stage = {
        "cmd": "gan3d prepare",
        "deps": ["${data.source}"],
        "params": ["seed", "data"],
        "outs": ["data/voxels", "data/voxels-report.html"],
    }
    (made.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"prepare": stage}}), encoding="utf-8")
    made.run("git", "init", "-q")
    made.run("dvc", "init", "-q")
    return made


def source_zip(path: Path, seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("cup", "pot"):
            for index in range(6):
                with archive.open(f"{name}/{index}.npy", "w") as stream:
                    np.save(stream, random.random((16,) * 3) < 0.3)
    return path


def test_import_prepare_push_and_pull(project, bucket, tmp_path):
    client, name = bucket
    client.upload_file(str(source_zip(tmp_path / "a.zip")), name, "data.zip")
    remote = ["dvc", "remote"]
    project.run(*remote, "add", "-d", "store", f"s3://{name}/gan3d")
    project.run(*remote, "modify", "store", "endpointurl", project.endpoint)
    project.run(*remote, "modify", "--local", "store", "access_key_id", KEYS["AWS_ACCESS_KEY_ID"])
    project.run(*remote, "modify", "--local", "store", "secret_access_key", KEYS["AWS_SECRET_ACCESS_KEY"])
    project.run("dvc", "remote", "add", "bucket", f"s3://{name}")
    project.run("dvc", "remote", "modify", "bucket", "endpointurl", project.endpoint)
    for key, value in (("access_key_id", "someone"), ("secret_access_key", KEYS["AWS_SECRET_ACCESS_KEY"])):
        project.run("dvc", "remote", "modify", "--local", "bucket", key, value)
    (project.root / "data/raw").mkdir(parents=True)
    project.run("dvc", "import-url", "remote://bucket/data.zip", "data/raw/data.zip")
    project.run("dvc", "repro")
    voxels = {path.name: path.read_bytes() for path in (project.root / "data/voxels").iterdir()}
    assert "r16.npy" in voxels
    project.run("git", "add", "-A")
    tracked = project.run("git", "grep", "-l", "-e", KEYS["AWS_SECRET_ACCESS_KEY"], "--cached", check=False).stdout
    assert KEYS["AWS_SECRET_ACCESS_KEY"] in (project.root / ".dvc/config.local").read_text()
    assert tracked == ""
    project.run("dvc", "push")
    shutil.rmtree(project.root / ".dvc/cache")
    shutil.rmtree(project.root / "data/voxels")
    (project.root / "data/raw/data.zip").unlink()
    project.run("dvc", "pull")
    assert {path.name: path.read_bytes() for path in (project.root / "data/voxels").iterdir()} == voxels
    assert "didn't change" in project.run("dvc", "repro").stdout
    client.upload_file(str(source_zip(tmp_path / "b.zip", 1)), name, "data.zip")  # the owner publishes a new version
    project.run("dvc", "update", "data/raw/data.zip.dvc")
    project.run("dvc", "repro")
    assert (project.root / "data/voxels/r16.npy").read_bytes() != voxels["r16.npy"]


def test_an_interrupted_pull_is_reported_and_the_next_one_completes(project, bucket, server):
    _, name = bucket
    proxy = Proxy(server)
    (project.root / "big.bin").write_bytes(np.random.default_rng(0).bytes(6 * 2**20))
    project.run("dvc", "add", "big.bin")
    project.run("dvc", "remote", "add", "-d", "store", f"s3://{name}/gan3d")
    project.run("dvc", "remote", "modify", "store", "endpointurl", f"http://127.0.0.1:{proxy.port}")
    project.run("dvc", "push", **KEYS)
    content = (project.root / "big.bin").read_bytes()
    (project.root / "big.bin").unlink()
    shutil.rmtree(project.root / ".dvc/cache")
    proxy.budget = 2 * 2**20
    failed = project.run("dvc", "pull", "big.bin.dvc", check=False, **KEYS)
    assert failed.returncode != 0
    assert not (project.root / "big.bin").exists()
    proxy.budget = 1 << 60
    project.run("dvc", "pull", "big.bin.dvc", **KEYS)
    assert (project.root / "big.bin").read_bytes() == content


def test_an_interrupted_fetch_resumes(bucket, server, tmp_path, monkeypatch):
    client, name = bucket
    content = np.random.default_rng(0).bytes(6 * 2**20)
    client.put_object(Bucket=name, Key="big.bin", Body=content)
    proxy = Proxy(server)
    monkeypatch.setattr(download, "BLOCK", 2**20)
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    proxy.budget = int(3.5 * 2**20)
    address, endpoint = f"s3://{name}/big.bin", f"http://127.0.0.1:{proxy.port}"
    with pytest.raises(UserError, match="the download resumes"):
        download.fetch(address, tmp_path, endpoint=endpoint)
    proxy.budget = int(4.5 * 2**20)  # enough for the rest, not for all
    assert download.fetch(address, tmp_path, endpoint=endpoint).read_bytes() == content


def test_wrong_credentials_are_reported(tmp_path_factory):
    """A server that checks them: without any keys, and with keys that it does not know."""
    with s3_server(INITIAL_NO_AUTH_ACTION_COUNT="1") as port:
        client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
            aws_access_key_id="someone", aws_secret_access_key="Xq7topKey",
        )  # fmt: skip
        client.create_bucket(Bucket="closed")
        project = Project(tmp_path_factory.mktemp("wrong"), f"http://127.0.0.1:{port}")
        fetch = ("gan3d", "data", "fetch", "s3://closed/a.zip", "--out", "a.zip", "--endpoint", project.endpoint)
        done = project.run(*fetch, check=False, AWS_ACCESS_KEY_ID="nobody", AWS_SECRET_ACCESS_KEY="wrong")
        assert done.returncode == 1
        assert "check the credentials" in done.stderr
        assert "Traceback" not in done.stderr
        done = project.run(*fetch, check=False)
        assert "check the credentials" in done.stderr
        (project.root / "shape.bin").write_bytes(b"shape")
        for command in (
            "git init -q",
            "dvc init -q",
            "dvc remote add -d store s3://closed/gan3d",
            "dvc add -q shape.bin",
        ):
            project.run(*command.split())
        project.run("dvc", "remote", "modify", "store", "endpointurl", project.endpoint)
        for command in ("push", "import-url s3://closed/a.zip"):
            keys = {
                "AWS_ACCESS_KEY_ID": "nobody",
                "AWS_SECRET_ACCESS_KEY": "wrong",
                "AWS_ENDPOINT_URL": project.endpoint,
            }
            done = project.run("dvc", *command.split(), check=False, **keys)
            assert done.returncode != 0
            assert "Forbidden" in done.stderr or "Access Key Id" in done.stderr or "credentials" in done.stderr
