"""TensorFlow and JAX take the same 20 steps from the same weights, shapes and latents; JAX keeps the shapes itself."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from paths import SUPPORT

SCRIPT = SUPPORT / "steps_process.py"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed"),
]


def steps(backend: str, loss: str, folder: Path) -> dict[str, np.ndarray]:
    """The state and the logs after a few steps, by name."""
    out = folder / f"{backend}.npz"
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    # oneDNN sums in another order, and Adam makes a full step of a gradient that is nothing but rounding
    environment["TF_ENABLE_ONEDNN_OPTS"] = "0"
    keep = ["resident"] if backend == "jax" else []
    done = subprocess.run(
        [sys.executable, str(SCRIPT), loss, str(out), *keep], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    with np.load(out) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.mark.parametrize(
    "loss",
    [
        "relativistic",
        *(pytest.param(name, marks=pytest.mark.full) for name in ("non_saturating", "wgan_gp", "bce_gated")),
    ],
)
def test_both_backends_take_the_same_steps(tmp_path, loss):
    ours, theirs = steps("tensorflow", loss, tmp_path), steps("jax", loss, tmp_path)
    assert (str(ours.pop("backend")), str(theirs.pop("backend"))) == ("tensorflow", "jax")
    assert sorted(ours) == sorted(theirs)
    for name, value in ours.items():
        assert theirs[name].shape == value.shape, name
        if name.startswith("state"):
            assert theirs[name].dtype == value.dtype, name
    np.testing.assert_allclose(ours["occupancy"], theirs["occupancy"], atol=1e-6)
    for name in ("log/loss_d", "log/loss_g"):
        assert len(ours[name]) == 20
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, atol=1e-6, err_msg=name)
    for name in ours:
        if name.startswith("log/"):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-5, err_msg=name)
    # the optimiser makes a full step of a gradient that is nothing but rounding, so that single weights may differ
    states = [
        np.concatenate([v.ravel() for k, v in sorted(found.items()) if k.startswith("state")])
        for found in (ours, theirs)
    ]
    difference = np.abs(states[0] - states[1])
    assert np.quantile(difference, 0.9) < 1e-4
    assert difference.max() < 4e-2  # 20 steps of 1e-3 in opposite directions
