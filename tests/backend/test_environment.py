"""What another project leaves in the environment or in Keras' own file changes no result, or is one sentence."""

import json
import os
import subprocess
import sys

import pytest

DRAW = """
import sys
import gan3d
from gan3d.networks.architecture import Architecture
from gan3d.training.growth import grow
from gan3d.training.step import first_state
from gan3d.training.batches import draw
import keras, numpy as np, hashlib
g, d, start = grow(None, Architecture(8, ("a", "b"), (6, 5), (0.4, 0.3)), 0)
z = np.random.default_rng(0).standard_normal((2, 8)).astype(np.float32)
shapes = np.asarray(g(z, np.array([0, 1], np.int32)))
assert shapes.dtype == np.float32, shapes.dtype
scores = np.asarray(d(shapes, np.array([0, 1], np.int32)))
assert keras.config.floatx() == "float32"
print(hashlib.sha256(shapes.tobytes() + scores.tobytes()).hexdigest())
"""


def draw(tmp_path, settings: dict | None = None, **env: str) -> str:
    home = tmp_path / "keras"
    home.mkdir(exist_ok=True)
    (home / "keras.json").write_text(json.dumps(settings or {}))
    clean = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", DRAW], env=clean | {"KERAS_HOME": str(home)} | env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> str:
    return draw(tmp_path_factory.mktemp("plain"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"floatx": "float16"},
        {"floatx": "float64", "epsilon": 0.1},
        {"floatx": "float64", "image_data_format": "channels_first", "backend": "tensorflow"},
    ],
)
def test_keras_json_of_another_project(tmp_path, plain, settings):
    assert draw(tmp_path, settings) == plain


@pytest.mark.slow
def test_variables_of_another_project(tmp_path, plain):
    assert draw(tmp_path, TF_ENABLE_AUTO_MIXED_PRECISION="1", JAX_ENABLE_X64="1", TF_USE_LEGACY_KERAS="1") == plain


@pytest.mark.parametrize("backend", ["torch", "openvino", "Tensorflow", "nonsense"])
def test_a_backend_that_is_not_supported_is_one_sentence(monkeypatch, backend):
    from gan3d.cli.setup import choose_backend
    from gan3d.errors import UserError

    monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(UserError, match=f"KERAS_BACKEND={backend} is not supported: set it to tensorflow or jax"):
        choose_backend()


def test_the_command_line_knows_the_same_backends():
    from gan3d import backend, backend_choice

    assert backend_choice.BACKENDS == backend.BACKENDS
