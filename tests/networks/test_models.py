"""Generator and discriminator: classes, shapes, precision, and saving in Keras' own format."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from gan3d.networks.architecture import Architecture
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.networks.layers import EqualizedConv3D, EqualizedDense
from gan3d.networks.weights import initialise_weights


def make(network: type[keras.Model], architecture: Architecture, seed: int = 4) -> keras.Model:
    model = network(architecture)
    initialise_weights(model, seed)
    return model


def inputs(network: type[keras.Model], architecture: Architecture, count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    side = architecture.resolution
    shape = (count, architecture.latent) if network is Generator else (count, side, side, side, 1)
    return rng.random(shape, np.float32), np.arange(count) % len(architecture.classes)


@pytest.mark.parametrize("resolution", [4, 8, 16])
@pytest.mark.parametrize("classes", [("chair",), ("chair", "sofa", "table")])
def test_shapes_types_and_ranges(architecture, resolution, classes):
    a = architecture(resolution, classes)
    drawn = make(Generator, a)(*inputs(Generator, a, 5))
    assert tuple(drawn.shape) == (5, resolution, resolution, resolution, 1)
    assert keras.backend.standardize_dtype(drawn.dtype) == "float32"
    values = ops.convert_to_numpy(drawn)
    assert values.min() > 0
    assert values.max() < 1
    scores = make(Discriminator, a)(*inputs(Discriminator, a, 5))
    assert tuple(scores.shape) == (5,)
    assert np.isfinite(ops.convert_to_numpy(scores)).all()


def test_the_class_changes_what_is_drawn(architecture):
    a = architecture(8)
    model, (latents, _) = make(Generator, a), inputs(Generator, a)
    columns, slabs = (ops.convert_to_numpy(model(latents, np.full(4, label))) for label in (0, 1))
    assert np.abs(columns - slabs).mean() > 0.01


def test_one_class_needs_no_condition(architecture):
    assert make(Generator, architecture(4, ("chair",))).first.kernel.shape[0] == 8
    assert make(Generator, architecture(4)).first.kernel.shape[0] == 8 + 2


def test_a_score_is_the_output_of_the_own_class_alone(architecture):
    a = architecture(8)
    model, (voxels, labels) = make(Discriminator, a), inputs(Discriminator, a, 8)
    before = ops.convert_to_numpy(model(voxels, labels))
    bias = ops.convert_to_numpy(model.score.bias)
    model.score.bias.assign(bias + np.array([0, 10], np.float32))
    np.testing.assert_allclose(ops.convert_to_numpy(model(voxels, labels)) - before, 10.0 * labels, atol=1e-4)


def test_half_precision_computes_in_bfloat16_and_keeps_float32_weights(architecture):
    for network in (Generator, Discriminator):
        full, half = (make(network, architecture(4, precision=p)) for p in ("float32", "bfloat16"))
        assert {v.dtype for v in half.trainable_variables} == {"float32"}
        assert half.compute_dtype == "bfloat16"
        given = inputs(network, full.architecture)
        outputs = [ops.convert_to_numpy(model(*given)) for model in (full, half)]
        assert outputs[1].dtype == np.float32
        assert not np.array_equal(*outputs)
        np.testing.assert_allclose(*outputs, atol=0.05)


def test_an_architecture_survives_json(architecture):
    a = architecture(16, precision="bfloat16")
    assert Architecture.from_json(json.loads(json.dumps(a.to_json()))) == a
    assert Architecture.from_json(a) is a
    assert a.resolution == 16
    assert a.resolutions == (4, 8, 16)
    assert a.policy == "mixed_bfloat16"


@pytest.mark.parametrize("resolution", [4, 16])
@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_a_model_saved_loads_in_safe_mode(network, resolution, architecture, tmp_path):
    a = architecture(resolution)
    model, given = make(network, a), inputs(network, a)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(again) is network
    assert again.architecture == a
    for alpha in (0.3, 1.0):
        expected = ops.convert_to_numpy(model(*given, alpha=alpha))
        assert np.array_equal(ops.convert_to_numpy(again(*given, alpha=alpha)), expected)


def test_layers_saved_alone_load_in_safe_mode(tmp_path):
    stack = [
        EqualizedConv3D(3, resample="up", bias=0.5),
        EqualizedConv3D(2, resample="down", gain=1.0),
        EqualizedConv3D(2, 1),
        keras.layers.Flatten(),
        EqualizedDense(5, gain=0.3),
    ]
    model = keras.Sequential([keras.Input((4, 4, 4, 2), batch_size=4), *stack])
    model.save(tmp_path / "stack.keras")
    again = keras.saving.load_model(tmp_path / "stack.keras", safe_mode=True)
    x = np.random.default_rng(0).random((4, 4, 4, 4, 2), np.float32)
    assert np.array_equal(ops.convert_to_numpy(again(x)), ops.convert_to_numpy(model(x)))
    for old, new in zip(model.layers, again.layers, strict=True):
        assert old.get_config() == new.get_config()


FRESH = """
import sys
import numpy as np
import keras
import gan3d.networks.generator, gan3d.networks.discriminator  # registers the classes; nothing else is known here

with np.load(sys.argv[1]) as given:
    model = keras.saving.load_model(sys.argv[2], safe_mode=True)
    np.save(sys.argv[3], keras.ops.convert_to_numpy(model(given["first"], given["labels"], alpha=0.3)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_a_model_saved_loads_in_a_fresh_process(network, architecture, tmp_path):
    a = architecture(8)
    model, (first, labels) = make(network, a), inputs(network, a)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "given.npz", first=first, labels=labels)
    files = [str(tmp_path / name) for name in ("given.npz", "model.keras", "out.npy")]
    done = subprocess.run([sys.executable, "-c", FRESH, *files], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    expected = ops.convert_to_numpy(model(first, labels, alpha=0.3))
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-6, atol=1e-7)
