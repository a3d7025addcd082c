"""Inversion over HTTP: files to latents, parts to whole shapes, directions, the nearest training shape."""

import base64
import json

import numpy as np
import pytest
import trimesh
from box_dataset import write_boxes
from loopback import serving
from small_inverter import crisp

from gan3d import model_file
from gan3d.serving.inversion_routes import bits, grid_of
from gan3d.serving.models import ModelHolder
from gan3d.shape_io import meshing


@pytest.fixture(scope="module")
def holder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "r08"
    model_file.save(path, crisp())
    return ModelHolder(str(path), tmp_path_factory.mktemp("mlruns")).load()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    sizes = {"chair": {"train": 40, "test": 2}, "table": {"test": 1}}
    return write_boxes(tmp_path_factory.mktemp("boxes") / "voxels", sizes).folder


@pytest.fixture(scope="module")
def server(holder, data):
    with serving(holder, data=data, max_upload=300_000) as running:
        yield running


@pytest.fixture(scope="module")
def shape(holder):
    return holder.current.sampler.shapes(0, 1, 5)[0]


def floats(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


def invert(server, content, name, query=""):
    headers = {"Content-Type": "application/octet-stream"}
    return server.ask("POST", f"/invert?filename={name}{query}", content, headers)


def post(server, path, **fields):
    fields = {"class" if name == "class_" else name: value for name, value in fields.items()}
    return server.ask("POST", path, json.dumps(fields).encode())


def test_a_mesh_becomes_a_latent(server, holder, shape):
    content = meshing.blocks(shape).export(file_type="stl")
    answer = json.loads(invert(server, content, "my%20chair.stl", "&class=chair").body)
    assert set(answer) == {
        *("latent", "class", "iou", "chamfer_x1e3", "nearest", "known", "message", "voxels", "input"),
    }
    assert answer["class"] == "chair"
    assert answer["iou"] > 0.4  # a mesh is scaled to the grid, which the shape did not fill
    sampler, vector = holder.current.sampler, floats(answer["latent"])
    drawn = sampler.binary(sampler.occupancy(vector[None], np.array([0])))[0]
    np.testing.assert_array_equal(grid_of("voxels", answer["voxels"], 8), drawn)
    target = grid_of("input", answer["input"], 8)
    assert (drawn & target).sum() / (drawn | target).sum() == pytest.approx(answer["iou"])
    assert answer["nearest"]["name"].startswith("chair_train_")
    assert answer["message"].endswith(".")


def test_a_grid_stays_as_it_lies_and_the_class_is_found(server, shape, tmp_path):
    np.save(tmp_path / "a.npy", shape)
    answer = json.loads(invert(server, (tmp_path / "a.npy").read_bytes(), "a.npy", "&turn=false").body)
    np.testing.assert_array_equal(grid_of("input", answer["input"], 8), shape)
    assert answer["iou"] > 0.7


@pytest.mark.parametrize(
    ("content", "name", "query", "status", "words"),
    [
        (b"", "a.stl", "", 400, "the body is empty"),
        (b"no mesh at all", "a.stl", "", 400, "cannot be read as STL"),
        (b"solid", "a.exe", "", 400, "has no extension of a shape"),
        (b"x" * 300_001, "a.stl", "", 413, "larger than the limit"),
        (b"x" * 200_000, "a.stl", "", 400, "cannot be"),
        (b"off", "a.off", "&class=sofa", 400, "is not known to this model"),
        (b"off", "a.off", "&color=red", 400, "'color' is not a known parameter"),
        (b"off", "a.off", "&turn=no", 400, "turn is 'no': send true or false"),
        (trimesh.creation.box().export(file_type="stl")[:200], "../../a.stl", "", 400, "cannot be"),
    ],
)
def test_bad_files_are_one_sentence(server, content, name, query, status, words):
    reply = invert(server, content, name, query)
    assert reply.status == status
    assert words in reply.detail
    assert "/tmp" not in reply.detail


def test_a_part_is_completed(server, holder, shape):
    mask = np.zeros((8, 8, 8), bool)
    mask[:4] = True
    reply = post(server, "/complete", voxels=bits(shape & mask), mask=bits(mask), class_="chair", count=2, seed=3)
    answer = json.loads(reply.body)
    assert len(answer["latents"]) == len(answer["voxels"]) == 2
    for text in answer["voxels"]:
        np.testing.assert_array_equal(grid_of("voxels", text, 8)[mask], shape[mask])
    assert floats(answer["latents"][0]).shape == (8,)
    assert json.loads(post(server, "/models/tiny/complete", voxels=bits(shape), mask=bits(mask), count=1).body)[
        "latents"
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "mask is missing"),
        ({"voxels": "!", "mask": bits(np.ones((8, 8, 8), bool))}, "voxels is not base64"),
        ({"voxels": "AAAA", "mask": "AAAA"}, "voxels has 3 bytes: a grid of 8³ has 64"),
        ({"count": 17}, "count has the wrong type"),
        ({"colour": "red"}, "'colour' is not a known field: use voxels, mask, class, count, seed"),
    ],
)
def test_bad_parts_are_one_sentence(server, fields, words):
    whole = bits(np.ones((8, 8, 8), bool))
    given = {"voxels": whole, "mask": whole} | fields if fields else {"voxels": whole}
    reply = post(server, "/complete", **given)
    assert reply.status == 400
    assert words in reply.detail


def test_parts_without_voxels_are_said(server):
    whole, nothing = (bits(np.full((8, 8, 8), value)) for value in (True, False))
    for path, fields in (("/complete", {"voxels": whole, "mask": nothing}), ("/nearest", {"voxels": nothing})):
        reply = post(server, path, class_="chair", **fields)
        assert reply.status == 409
        assert "nothing of the shape is given" in reply.detail or "voxels is empty" in reply.detail


def test_directions_have_names_and_vectors(server, holder):
    answer = json.loads(server.ask("GET", "/directions?class=table").body)
    assert floats(answer["mean"]).shape == (8,)
    assert len({each["name"] for each in answer["directions"]}) == len(answer["directions"]) == 8
    for each in answer["directions"]:
        assert floats(each["vector"]).shape == (8,)
        assert each["low"] < 0 < each["high"]
    assert server.ask("GET", "/directions").status == 400  # there are two classes
    assert json.loads(server.ask("GET", "/models/tiny/directions?class=table").body) == answer


def test_the_nearest_training_shape(server, data, shape):
    answer = json.loads(post(server, "/nearest", voxels=bits(shape), class_="chair").body)
    assert set(answer) == {"name", "iou", "chamfer_x1e3", "voxels"}
    near = grid_of("voxels", answer["voxels"], 8)
    assert (near & shape).sum() / (near | shape).sum() == pytest.approx(answer["iou"])
    assert post(server, "/nearest", voxels=bits(shape), class_="table").status == 404  # no table is for training


def test_without_data_and_gradients_it_says_so(holder, shape):
    with serving(holder) as plain:
        reply = post(plain, "/nearest", voxels=bits(shape), class_="chair")
        assert reply.status == 404
        assert "--data" in reply.detail
        answer = json.loads(invert(plain, meshing.blocks(shape).export(file_type="stl"), "a.stl").body)
        assert answer["nearest"] is None
    other = ModelHolder(holder.address, holder.mlruns, engine="onnx").load()
    with serving(other) as drawing:
        reply = invert(drawing, b"solid", "a.stl")
        assert reply.status == 501
        assert "--engine keras" in reply.detail
        assert drawing.ask("GET", "/directions?class=chair").status == 200
