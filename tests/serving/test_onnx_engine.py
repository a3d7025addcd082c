"""ONNX Runtime draws what Keras draws, in a process without Keras."""

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from candidates import tiny, tiny_with_all_parts
from loopback import serving
from paths import REPOSITORY

from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler
from gan3d.serving.models import ModelHolder, open_onnx
from gan3d.serving.onnx_engine import OnnxSampler, build_graph

TOLERANCE = 1e-4
OTHER_VOXELS = 1e-5  # largest share of voxels on the other side of the threshold


@pytest.fixture(
    scope="module",
    params=[
        (tiny, ("chair", "table"), {}),
        (tiny, ("shape",), {}),
        (tiny, ("chair", "table", "lamp"), {"mirror": (1, 3, 0), "symmetric": (1.0, 0.4, 0.0)}),
        (tiny, ("shape",), {"mirror": (2,), "symmetric": (0.6,)}),
        (tiny_with_all_parts, ("chair", "table"), {"mirror": (1, 0), "symmetric": (0.7, 0.0)}),
        (tiny_with_all_parts, ("shape",), {"widths": (12, 8, 4), "occupancy": (0.3, 0.2, 0.2)}),
    ],
    ids=["two classes", "one class", "symmetric by class", "symmetric", "all parts", "all parts at 16³"],
)
def pair(request):
    build, classes, fields = request.param
    model = build(2, classes, **fields)
    return Sampler(model), OnnxSampler(model)


@pytest.mark.parametrize("truncation", [1.0, 0.3, 0.0])
def test_both_engines_draw_the_same(pair, truncation):
    keras, onnx_runtime = pair
    labels = np.arange(70) % len(keras.classes)
    vectors = draw_latents(7, 70, 8)
    expected = keras.occupancy(vectors, labels, truncation=truncation)
    found = onnx_runtime.occupancy(vectors, labels, truncation=truncation)
    assert (found.shape, found.dtype) == (expected.shape, np.float32)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    threshold = float(np.median(expected))
    assert ((found > threshold) != (expected > threshold)).mean() <= OTHER_VOXELS


def test_alone_and_in_a_batch_a_shape_is_the_same(pair):
    _, sampler = pair
    vectors, labels = draw_latents(3, 64, 8), np.arange(64) % len(sampler.classes)
    expected = sampler.occupancy(vectors, labels)
    for count in (1, 2, 3, 4, 5, 16, 17):
        np.testing.assert_array_equal(sampler.occupancy(vectors[:count], labels[:count]), expected[:count])


def test_the_graph_is_valid():
    onnx.checker.check_model(onnx.load_from_string(build_graph(tiny_with_all_parts())), full_check=True)


def test_the_server_answers_alike_with_both_engines(server, folder):
    holder = ModelHolder(str(folder), open_sampler=open_onnx, engine="onnx").load()
    with serving(holder) as other:
        assert json.loads(other.ask("GET", "/model").body)["engine"] == "onnx"
        for seed in range(5):
            fields = {"class_": "chair", "count": 8, "seed": seed, "output": "bits"}
            one, two = (np.frombuffer(each.shapes(**fields).body, np.uint8) for each in (server, other))
            assert np.unpackbits(one ^ two).mean() <= OTHER_VOXELS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["modelnet10-r32", "furniture64-r64"])
def test_both_engines_draw_the_same_of_pretrained_models(name):
    keras = Sampler.load(REPOSITORY / "pretrained" / name)
    other = OnnxSampler(keras.model)
    vectors, labels = draw_latents(0, 4, keras.model.architecture.latent), np.arange(4) % len(keras.classes)
    expected, found = keras.occupancy(vectors, labels), other.occupancy(vectors, labels)
    np.testing.assert_allclose(found, expected, atol=5 * TOLERANCE)  # rounding of some forty convolutions
    assert (keras.binary(found) != keras.binary(expected)).mean() <= OTHER_VOXELS


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "tensorflow", "jax", "mlflow", "dvc", "optuna"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from gan3d.serving.models import ModelHolder, open_onnx
from loopback import serving

holder = ModelHolder(sys.argv[1], open_sampler=open_onnx, engine="onnx").load()
with serving(holder) as server:
    for output in ("grid", "bits", "glb", "png"):
        reply = server.shapes(class_="chair", output=output)
        assert reply.status == 200, reply.body
print("served")
"""


@pytest.mark.slow
def test_a_folder_is_served_without_keras_and_mlflow(folder):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests" / "support")}
    done = subprocess.run([sys.executable, "-c", WITHOUT, folder], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "served", done.stderr
