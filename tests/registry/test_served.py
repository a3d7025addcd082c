"""The served model: its responses, rejected requests, and that it is self-contained."""

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import trimesh
from candidates import MODEL, connect, facts, tiny
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModelContext
from paths import REPOSITORY
from PIL import Image
from scoring import environment, post, scoring_server

from gan3d import model_file
from gan3d.registry.log import log_candidate
from gan3d.registry.served import ServedGenerator
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler
from gan3d.shape_io import meshing

REQUESTS = [
    {"class": "table", "count": 3, "seed": 11},
    {"class": "chair", "count": 2, "seed": 11},
    {"class": "chair", "count": 1, "seed": 2**63 - 1},
]


def load(folder) -> tuple[ServedGenerator, PythonModelContext]:
    context = PythonModelContext({"snapshot": str(folder)}, {"backend": "tensorflow"})
    served = ServedGenerator()
    served.load_context(context)
    return served, context


@pytest.fixture(scope="module")
def ask(folder):
    served, context = load(folder)
    return lambda rows, **params: served.predict(context, pd.DataFrame(rows), params)


@pytest.fixture(scope="module")
def expected(folder):
    """What the same requests give in this process."""
    sampler = Sampler(model_file.load(folder))
    return np.concatenate([sampler.shapes(sampler.label(r["class"]), r["count"], r["seed"]) for r in REQUESTS])


def test_rows_are_sampled_in_order_by_class_and_seed(ask, expected):
    voxels = ask(REQUESTS)
    assert voxels.dtype == np.uint8
    assert voxels.shape == (6, 8, 8, 8)
    np.testing.assert_array_equal(voxels, expected)
    assert len({shape.tobytes() for shape in voxels}) == 6


def test_other_rows_do_not_change_a_result(ask, expected):
    np.testing.assert_array_equal(ask(REQUESTS[1:2]), expected[3:5])


def test_the_threshold_moves(ask):
    sizes = [int(ask(REQUESTS, threshold=t).sum()) for t in (0.0, 0.2, 0.5, 1.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 6 * 8**3
    assert sizes[-1] == 0


def test_an_interpolation_between_two_seeds(ask, folder):
    steps = ask([{"class": "chair", "seed": 3, "to": 9, "steps": 4}])
    sampler = Sampler(model_file.load(folder))
    ends = [sampler.shapes(0, 1, seed)[0] for seed in (3, 9)]
    assert len(steps) == 4
    np.testing.assert_array_equal(steps[[0, -1]], ends)
    assert len(ask([{"class": "chair", "to": 9}])) == 9


def test_explicit_latents_give_what_their_seed_gives(ask):
    rows = [{"class": "table", "latents": vector.tolist()} for vector in draw_latents(11, 3, 8)]
    np.testing.assert_array_equal(ask(rows), ask(REQUESTS[:1]))


def test_truncation_0_gives_one_shape_per_class(ask):
    sizes = [len({s.tobytes() for s in ask(REQUESTS[:2], truncation=t)}) for t in (0.0, 1.0)]
    assert sizes == [2, 5]
    np.testing.assert_array_equal(ask(REQUESTS, truncation=1.0), ask(REQUESTS))


def test_bits_are_the_packed_grid(ask):
    table = ask(REQUESTS, output="bits")
    assert list(table["class"]) == ["table"] * 3 + ["chair"] * 3
    bits = np.stack([np.frombuffer(base64.b64decode(data), np.uint8) for data in table["data"]])
    np.testing.assert_array_equal(np.unpackbits(bits, axis=1).reshape(6, 8, 8, 8), ask(REQUESTS))


@pytest.mark.parametrize("output", ["stl", "obj", "ply", "glb"])
def test_meshes_equal_the_files_of_gan3d_sample(ask, folder, output, tmp_path):
    table = ask(REQUESTS[:2], output=output, style="blocks")
    assert len(table) == 5
    shape = Sampler(model_file.load(folder)).shapes(1, 3, 11)[2]
    saved = meshing.save_shape(tmp_path / f"shape.{output}", shape, style="blocks")
    data = base64.b64decode(table["data"][2])
    assert data == saved.read_bytes()
    mesh = trimesh.load(io.BytesIO(data), file_type=output, force="mesh")
    assert mesh.volume == pytest.approx(shape.mean())


def test_a_picture_holds_all_shapes(ask):
    table = ask(REQUESTS, output="png")
    assert table.iloc[0, :2].tolist() == ["table, chair", "image/png"]
    with Image.open(io.BytesIO(base64.b64decode(table["data"][0]))) as picture:
        assert picture.width == 6 * 160


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"output": "fbx"}, "output 'fbx' does not exist: choose one of grid, bits, binvox, stl, 3mf,"),
        ({"output": "glb", "style": "round"}, "style 'round' does not exist: choose one of smooth, blocks."),
        ({"output": "stl", "threshold": 1.0}, "shape 1 of 6 is empty and has no mesh"),
        ({"truncation": 1.5}, "truncation 1.5 is out of range: give a number from 0 to 1."),
    ],
)
def test_invalid_parameters_are_rejected(ask, params, words):
    with pytest.raises(MlflowException) as error:
        ask(REQUESTS, **params)
    assert words in error.value.message
    assert error.value.get_http_status_code() == 400


def test_the_limit_for_meshes_is_lower_than_for_grids(ask):
    many = [REQUESTS[0] | {"count": 65}]
    assert len(ask(many)) == 65
    with pytest.raises(MlflowException, match="65 shapes are too many for one request: request at most 64"):
        ask(many, output="stl")


def test_a_single_class_is_optional(tmp_path):
    model = tiny(classes=("chair",))
    model_file.save(tmp_path, model)
    served, context = load(tmp_path)
    shapes = Sampler(model).shapes(0, 2, 5)
    for rows in ([{"count": 2, "seed": 5}], [{"class": None, "count": 2, "seed": 5}]):
        np.testing.assert_array_equal(served.predict(context, pd.DataFrame(rows), {}), shapes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"class": "sofa"}, "class 'sofa' is not known to this model: choose one of chair, table."),
        ({"class": None}, "class is missing: choose one of chair, table."),
        ({"count": 0}, "count 0 is out of range: request at least 1 shape."),
        ({"count": -3}, "count -3 is out of range: request at least 1 shape."),
        ({"count": 1022}, "1025 shapes are too many for one request: request at most 1024."),
        ({"count": 2**62}, "too many for one request"),
        ({"seed": -1}, "seed -1 is out of range: give a seed from 0 to 2⁶³ - 1."),
        ({"steps": 4}, "steps is given without `to`: set `to` to the seed of the last shape."),
        ({"to": -2}, "to -2 is out of range"),
        ({"count": 3, "to": 1, "steps": 4}, "count 3 contradicts the 4 steps: leave count out."),
        ({"to": 1, "steps": 1, "count": None}, "steps 1 is out of range: an interpolation has at least 2 shapes."),
        ({"latents": [0.5] * 6}, "latents and a seed are both given"),
        ({"seed": None, "latents": [0.5] * 6}, "count 2 contradicts the 1 latents"),
        ({"seed": None, "count": None, "latents": [0.5] * 5}, "of 5 numbers does not fit this model: give 8 numbers"),
        ({"seed": None, "count": None, "latents": [float("nan")] * 8}, "not finite"),
    ],
)
def test_an_invalid_row_is_rejected_in_one_sentence(ask, change, words):
    with pytest.raises(MlflowException) as error:
        ask([REQUESTS[0], REQUESTS[1] | change])
    assert words in error.value.message
    assert error.value.message.count("\n") == 0
    assert error.value.get_http_status_code() == 400


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_an_invalid_threshold_is_rejected(ask, threshold):
    with pytest.raises(MlflowException, match="from 0 to 1") as error:
        ask(REQUESTS, threshold=threshold)
    assert error.value.get_http_status_code() == 400


@pytest.fixture(scope="module")
def champion(new_store, folder):
    """The URI of a store whose champion is the model."""
    mlruns = new_store("served")
    client = connect(mlruns)
    client.set_registered_model_alias(MODEL, "champion", str(log_candidate(client, MODEL, folder, facts())))
    os.environ.pop("MLFLOW_TRACKING_URI")
    return f"sqlite:///{mlruns / 'mlflow.db'}"


FRESH = """
import json, os, sys

sys.path[:] = [folder for folder in sys.path if not os.path.isdir(os.path.join(folder, "gan3d"))]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
try:
    import gan3d
    raise SystemExit("gan3d is still installed")
except ModuleNotFoundError:
    pass

import mlflow, numpy, pandas
model = mlflow.pyfunc.load_model("models:/furniture@champion")
requests, invalid = json.loads(sys.argv[1])
numpy.save("voxels.npy", model.predict(pandas.DataFrame(requests)))
errors = []
for rows, params in invalid:
    try:
        model.predict(pandas.DataFrame(rows), params=params)
        errors.append(None)
    except mlflow.MlflowException as error:
        errors.append([error.get_http_status_code(), error.message])
import gan3d
json.dump({
    "home": gan3d.__file__,
    "modules": sorted(name for name in sys.modules if name.split(".")[0] == "gan3d"),
    "foreign": [name for name in ("trimesh", "dvc", "optuna", "skimage") if name in sys.modules],
    "backend": os.environ["KERAS_BACKEND"],
    "errors": errors,
}, open("report.json", "w"))
"""

INVALID = [  # rows, parameters, part of the message
    ([{"class": "chair", "count": "3", "seed": 1}], {}, "column count"),
    ([{"class": "chair", "count": 2.5, "seed": 1}], {}, "column count"),
    ([{"class": 5, "count": 2, "seed": 1}], {}, "column class"),
    ([{"count": 2, "seed": 1}], {}, "missing inputs ['class']"),
    ([{"class": "chair", "count": 2, "seed": 1}], {"threshold": "x"}, "threshold"),
    ([{"class": "sofa", "count": 2, "seed": 1}], {}, "choose one of chair, table"),
    ([{"class": "chair", "count": 1025, "seed": 1}], {}, "at most 1024"),
]


@pytest.mark.slow
def test_it_loads_where_gan3d_is_not_installed(champion, tmp_path, expected):
    asked = json.dumps([REQUESTS, [(rows, params) for rows, params, _ in INVALID]])
    command = [sys.executable, "-I", "-c", FRESH, asked]
    done = subprocess.run(command, cwd=tmp_path, env=environment(champion), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    mlruns = Path(champion.removeprefix("sqlite:///")).parent
    assert Path(report["home"]).is_relative_to(mlruns / "artifacts")
    np.testing.assert_array_equal(np.load(tmp_path / "voxels.npy", allow_pickle=False), expected)
    packages = {name.split(".")[1] for name in report["modules"] if "." in name}
    core = {"addresses", "array_archive", "dataset", "errors", "model_file", "model_schema", "outputs", "voxels"}
    assert packages == core | {"backend", "networks", "sampling", "shape_io"}
    assert "gan3d.shape_io.meshing" not in report["modules"]  # until a mesh is asked for
    assert report["foreign"] == []
    assert report["backend"] == "tensorflow"
    for (_, _, words), (status, sentence) in zip(INVALID, report["errors"], strict=True):
        assert status == 400
        assert words in sentence


INSTALLED = """
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/furniture@champion")
model.predict(pandas.DataFrame([{"class": "chair"}]))
import gan3d
print(gan3d.__file__)
"""


@pytest.mark.slow
def test_an_installed_gan3d_is_not_shadowed(champion, tmp_path):
    """Although it was not imported before the model was loaded."""
    command = [sys.executable, "-c", INSTALLED]
    done = subprocess.run(command, cwd=tmp_path, env=environment(champion), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.split()[-1]) == REPOSITORY / "src/gan3d/__init__.py"


def test_the_path_of_an_interpolation(ask):
    walks = [ask([{"class": "chair", "seed": 3, "to": 9, "steps": 5, "path": path}]) for path in ("slerp", "linear")]
    assert len(walks[0]) == len(walks[1]) == 5
    np.testing.assert_array_equal(walks[0][[0, -1]], walks[1][[0, -1]])


@pytest.fixture
def server(champion, tmp_path):
    """The port of MLflow's scoring server with the champion."""
    with scoring_server(sys.executable, champion, tmp_path) as port:
        yield port


@pytest.mark.slow
def test_it_serves_http_and_survives_invalid_requests(server, expected):
    body = json.dumps({"dataframe_records": REQUESTS[:2]}).encode()
    status, answer = post(server, body)
    assert status == 200
    np.testing.assert_array_equal(np.array(answer["predictions"]), expected[:5])
    asked = {"dataframe_records": REQUESTS[:2], "params": {"output": "glb", "style": "blocks"}}
    status, answer = post(server, json.dumps(asked).encode())
    assert status == 200
    assert [row["media_type"] for row in answer["predictions"]] == ["model/gltf-binary"] * 5
    content = io.BytesIO(base64.b64decode(answer["predictions"][3]["data"]))
    mesh = trimesh.load(content, file_type="glb", force="mesh")
    assert mesh.volume == pytest.approx(expected[3].mean())
    vector = {"dataframe_records": [{"class": "table", "latents": draw_latents(11, 1, 8)[0].tolist()}]}
    status, answer = post(server, json.dumps(vector).encode())
    assert status == 200
    np.testing.assert_array_equal(np.array(answer["predictions"]), expected[:1])
    for invalid, words in (
        (b"no JSON", "JSON"),
        (body.replace(b'"table"', b'"sofa"'), "choose one of chair, table"),
        (body.replace(b"3", b'"many"'), "count"),
        (body.replace(b"3", b"0"), "request at least 1 shape"),
        (body.replace(b"3", b"10000"), "are too many for one request: request at most 1024."),
        (b'{"dataframe_records": [{"class": "chair", "latents": [1, 2.5]}]}', "a latent vector of 2 numbers"),
        (body[:-1] + b', "params": {"treshold": 0.5}}', "params has unknown names: 'treshold'."),
    ):
        status, answer = post(server, invalid)
        assert status == 400
        assert words in answer["message"]
    assert post(server, body)[0] == 200
