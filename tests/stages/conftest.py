"""A small project: a clone of this repository, small parameters, sixty meshes, run by `dvc repro`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from paths import REPOSITORY

from gan3d.synthetic import furniture

BIN = Path(sys.executable).parent


class Clone:
    """A project in a folder of its own, with the commands that people type."""

    def __init__(self, root: Path):
        self.root = root
        self.env = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith("MLFLOW_") and k not in ("DVC_ROOT", "KERAS_BACKEND")
        }
        self.env |= {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.env |= {"GIT_CONFIG_GLOBAL": os.devnull, "CUDA_VISIBLE_DEVICES": ""}

    def run(self, *command, check=True, **env):
        done = subprocess.run(command, cwd=self.root, env=self.env | env, capture_output=True, text=True, timeout=600)
        if check and done.returncode:
            raise AssertionError(f"{command} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done

    def edit(self, change):
        path = self.root / "params.yaml"
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(tree)
        path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def small(tree):
    tree["data"] |= {"source": "shapes", "resolution": 8}
    tree["gan"] |= {"latent": 8, "penalty_every": 2, "ema": 0.5}
    stage = {"batch": 8, "lr_g": 0.005, "lr_d": 0.005, "stabilise": 96}
    tree["train"]["stages"] = {
        "r04": {"prev": "scratch", "width": 8, "fade_in": 0, **stage},
        "r08": {"prev": "r04", "width": 6, "fade_in": 32, **stage},
    }
    tree["logging"] = {
        "metrics_every": 16,
        "samples_every": 48,
        "checkpoint_every": 32,
        "samples_per_class": 3,
    }
    tree["evaluate"] = {"count": 12, "draws": 2}


def clone_into(root: Path) -> Clone:
    """Copy what git tracks, as `git clone` would, uncommitted edits included."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        source = REPOSITORY / name
        if name and source.is_file() and not name.endswith("dvc.lock"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, root / name)
    clone = Clone(root)
    clone.edit(small)
    furniture.write(root / "shapes", chairs=30, tables=30, test=12)
    clone.run("git", "init", "-q")
    clone.run("git", "add", "-A")
    clone.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "start")
    return clone


@pytest.fixture
def fresh_clone(tmp_path):
    """The small project before its first command."""
    return clone_into(tmp_path / "project")


@pytest.fixture(scope="session")
def new_clone():
    """Makes small projects, of which nothing ran yet, in a folder."""
    return clone_into


@pytest.fixture(scope="session")
def repro(tmp_path_factory):
    """The small project after its first `dvc repro`; tests that change it restore nothing and come last."""
    clone = clone_into(tmp_path_factory.mktemp("project"))
    clone.first = clone.run("dvc", "repro")
    return clone
