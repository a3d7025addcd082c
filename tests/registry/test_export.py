"""Exported generators give the shapes that Keras gives."""

import json
import subprocess
import sys

import numpy as np
import pytest
from candidates import tiny_with_all_parts
from click.testing import CliRunner

from gan3d import model_file
from gan3d.cli.app import cli
from gan3d.errors import UserError
from gan3d.registry import export
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


@pytest.fixture(scope="module")
def sampler(folder):
    return Sampler(model_file.load(folder))


@pytest.fixture(scope="module")
def onnx_file(sampler, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "new" / "generator.onnx"
    assert export.write(sampler, path) <= export.TOLERANCE
    return path


@pytest.mark.parametrize("count", [1, 3, 64])
def test_onnx_gives_the_same_shapes(onnx_file, sampler, count):
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    vectors, labels = draw_latents(4, count, 8), np.arange(count, dtype=np.int32) % 2
    drawn = session.run(["occupancy"], {"latents": vectors, "labels": labels})[0]
    assert drawn.shape == (count, 8, 8, 8)
    np.testing.assert_allclose(drawn, sampler.occupancy(vectors, labels), atol=1e-4)
    assert drawn.std() > 0.01


def test_all_parts_are_exported(tmp_path):
    assert export.write(Sampler(tiny_with_all_parts()), tmp_path / "generator.onnx") <= export.TOLERANCE


def test_the_file_has_metadata(onnx_file):
    metadata = onnxruntime.InferenceSession(onnx_file).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == ["chair", "table"]
    assert (metadata["up"], metadata["threshold"], metadata["resolution"], metadata["latent"]) == ("y", "0.5", "8", "8")


def test_a_file_that_differs_from_keras_is_not_kept(sampler, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "deviation", lambda *_: 2e-4)
    with pytest.raises(UserError, match=r"differs from Keras' by 0\.0002, more than 0\.0001"):
        export.write(sampler, tmp_path / "different.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_deviation_is_measured(sampler):
    assert export.deviation(sampler, sampler.occupancy) == 0
    assert export.deviation(sampler, lambda z, y: sampler.occupancy(z, y) + 0.25) == pytest.approx(0.25)
    assert export.deviation(sampler, lambda z, y: sampler.occupancy(z, 1 - y)) > 0.01


ALONE = """
import sys
import numpy, tensorflow
draw = tensorflow.saved_model.load(sys.argv[1]).signatures["serving_default"]
z, y = numpy.load("z.npy"), numpy.load("y.npy")
numpy.save("drawn.npy", draw(latents=tensorflow.constant(z), labels=tensorflow.constant(y))["occupancy"].numpy())
assert "gan3d" not in sys.modules
"""


@pytest.mark.slow
def test_a_saved_model_needs_tensorflow_alone(sampler, folder, tmp_path):
    done = CliRunner().invoke(cli, ["export", "--model", str(folder), "--out", str(tmp_path / "saved")])
    assert done.exit_code == 0, done.output
    vectors, labels = draw_latents(4, 5, 8), np.arange(5, dtype=np.int32) % 2
    np.save(tmp_path / "z.npy", vectors)
    np.save(tmp_path / "y.npy", labels)
    alone = [sys.executable, "-I", "-c", ALONE, "saved"]
    done = subprocess.run(alone, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "drawn.npy"), sampler.occupancy(vectors, labels), atol=1e-5)
    assert json.loads((tmp_path / "saved" / "gan3d.json").read_text())["classes"] == ["chair", "table"]


def test_only_exports_are_replaced(sampler, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    (tmp_path / "file").touch()
    (tmp_path / "folder.onnx").mkdir()
    for name in ("mine", "file", "folder.onnx"):
        with pytest.raises(UserError, match="exists and is not an export"):
            export.write(sampler, tmp_path / name)
    assert (tmp_path / "mine" / "thesis.txt").exists()
