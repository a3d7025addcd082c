"""Data-parallel training on JAX: several devices, and several processes, leave what one device leaves."""

import importlib.util
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from paths import SUPPORT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed (extra `jax`)"),
]
SCRIPT = SUPPORT / "steps_process.py"
STAGE = SUPPORT / "stage_process.py"


def start(out, *keep, **env):
    settings = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"} | env
    return subprocess.Popen(
        [sys.executable, SCRIPT, "relativistic", out, *keep], env=settings, stderr=subprocess.PIPE, text=True
    )


def finish(*processes):
    for process in processes:
        _, error = process.communicate(timeout=500)
        assert process.returncode == 0, error[-3000:]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "one.npz"
    finish(start(out))
    return out


def assert_equal(one, other):
    with np.load(one) as a, np.load(other) as b:
        assert a.files == b.files
        for name in ("log/loss_d", "log/loss_g"):
            assert np.allclose(a[name], b[name], rtol=1e-4, atol=0), name
        # the optimiser makes a full step of a gradient that is nothing but rounding
        states = [np.concatenate([x[name].ravel() for name in x.files if name.startswith("state")]) for x in (a, b)]
        difference = np.abs(states[0] - states[1])
        assert np.quantile(difference, 0.9) < 1e-4
        assert difference.max() < 4e-2


def test_four_devices_share_a_batch(alone, tmp_path):
    finish(start(tmp_path / "four.npz", "resident", XLA_FLAGS="--xla_force_host_platform_device_count=4"))
    assert_equal(alone, tmp_path / "four.npz")


def two_processes():
    """What each of two processes that train together needs to know."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    common = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    return [common | {"JAX_PROCESS_ID": str(i)} for i in range(2)]


def test_two_processes_share_a_batch(alone, tmp_path):
    outs = [tmp_path / f"{i}.npz" for i in range(2)]
    finish(*[start(out, "resident", **env) for out, env in zip(outs, two_processes(), strict=True)])
    for out in outs:
        assert_equal(alone, out)


def test_a_batch_that_cannot_be_shared(tmp_path):
    process = start(tmp_path / "x.npz", XLA_FLAGS="--xla_force_host_platform_device_count=3")
    _, error = process.communicate(timeout=500)
    assert process.returncode != 0
    assert "batch 4 cannot be split over 3 devices: make it a multiple of 3." in error


@pytest.mark.parametrize("attempts", [1, pytest.param(2, marks=pytest.mark.full)])
def test_of_two_processes_the_first_alone_writes_and_both_end_with_the_same_model(dataset_folder, tmp_path, attempts):
    """A whole stage, with checkpoints; then again, where the second process has none and goes on from the first's."""
    for attempt in range(1, attempts + 1):
        processes = []
        for i, env in enumerate(two_processes()):
            settings = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"} | env
            folders = tmp_path / f"checkpoints{i}", tmp_path / f"out{i}"
            command = [sys.executable, STAGE, dataset_folder, *folders, "short"]
            processes.append(subprocess.Popen(command, env=settings, stderr=subprocess.PIPE, text=True))
        finish(*processes)
        models = [{path.name: path.read_bytes() for path in (tmp_path / f"out{i}").glob("*.npz")} for i in range(2)]
        assert sorted(models[0]) == ["generator.npz", "training.npz"]
        assert models[0] == models[1]
        saved = sorted((tmp_path / "checkpoints0").iterdir())
        assert [int(path.stem.split("-")[0]) for path in saved] == [32, 64]
        assert not (tmp_path / "checkpoints1").exists()
        if attempt == 1:
            first = models
            saved[-1].unlink()  # as if both had been killed before the end
    assert models == first
