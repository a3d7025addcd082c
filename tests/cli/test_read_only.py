"""In a project that may not be written: commands that only read work, the others say so in one sentence."""

import os
import shutil
import subprocess
import sys

import pytest
from paths import REPOSITORY
from unprivileged import as_nobody_special, make_read_only, make_writable

READING = {
    "help": ["--help"],
    "list": ["registry", "list"],
    "set": ["data", "export", "--resolution", "8", "--out", "{out}/test.npz"],
    "sample": ["sample", "--model", "model", "--class", "column", "--count", "2", "--out", "{out}/s.npz"],
    "show": ["show", "grid.npy", "--out", "{out}/grid.png"],
    "dry": ["train", "r04", "--dry-run"],
}
WRITING = {
    "prepare": ["prepare"],
    "register": ["register"],
    "sync": ["sync"],
    "synthetic": ["data", "synthetic"],
    "show": ["show", "grid.npy"],
    "check": ["check"],
    "pack": ["pack", "packed"],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory, dataset_folder):
    """A project with data, a model and a registry without versions, all read-only; and a folder that is not."""
    import numpy as np
    from mlflow import MlflowClient

    from gan3d import model_file
    from gan3d.dataset import VoxelDataset
    from gan3d.networks.architecture import Architecture
    from gan3d.training.growth import grow

    root = tmp_path_factory.mktemp("locked") / "project"
    out = tmp_path_factory.mktemp("out")
    root.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, root / name)
    shutil.copytree(dataset_folder, root / "data" / "voxels")
    data = VoxelDataset(dataset_folder)
    np.save(root / "grid.npy", np.ones((4, 4, 4), bool))
    model_file.save(root / "model", grow(None, Architecture(8, tuple(data.classes), (8,), (0.4,)), 0)[2])
    (root / "mlruns").mkdir()
    MlflowClient(f"sqlite:///{root / 'mlruns' / 'mlflow.db'}").search_registered_models()
    make_read_only(root)
    yield root, out
    make_writable(root)


def run(project, arguments):
    root, out = project
    command = as_nobody_special([sys.executable, "-m", "gan3d", *(word.format(out=out) for word in arguments)])
    if command is None:
        pytest.skip("root cannot give up its rights here")
    env = {
        k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_") and k not in ("DVC_ROOT", "KERAS_BACKEND")
    }
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("name", READING)
def test_reading_needs_no_right_to_write(project, name):
    done = run(project, READING[name])
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITING)
def test_writing_is_refused_in_one_sentence(project, name):
    done = run(project, WRITING[name])
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "defect" not in last
    assert any(word in last for word in ("permission", "writ", "missing")), last
