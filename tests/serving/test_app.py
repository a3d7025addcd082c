"""The server's responses: every output, every rejected request, and the same shapes as elsewhere."""

import io
import json
import re
import zipfile

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner
from PIL import Image

from gan3d import model_file
from gan3d.cli.app import cli
from gan3d.errors import UserError
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.requests import plan_shapes
from gan3d.sampling.sampler import Sampler
from gan3d.serving.models import ServedModel
from gan3d.serving.response import encode_answer, keep_of
from gan3d.serving.schema import ShapesRequest, parse_request
from gan3d.serving.vectors import encode_vector
from gan3d.shape_io import meshing
from gan3d.shape_io.formats import OUTPUTS

MESHES = {"stl": "model/stl", "3mf": "model/3mf", "obj": "model/obj", "ply": "model/ply", "glb": "model/gltf-binary"}


@pytest.fixture(scope="module")
def sampler(folder):
    return Sampler(model_file.load(folder))


def test_a_grid_is_nested_lists(server, sampler):
    reply = server.shapes(class_="table", count=3, seed=11)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.headers["x-shape"] == "3,8,8,8"
    grid = json.loads(reply.body)
    assert grid["classes"] == ["table"] * 3
    np.testing.assert_array_equal(np.array(grid["voxels"], bool), sampler.shapes(1, 3, 11))


def test_bits_are_packed(server, sampler):
    reply = server.shapes(class_="chair", count=5, seed=2, output="bits")
    assert reply.headers["content-type"] == "application/octet-stream"
    shape = [int(n) for n in reply.headers["x-shape"].split(",")]
    voxels = np.unpackbits(np.frombuffer(reply.body, np.uint8)).reshape(shape)
    np.testing.assert_array_equal(voxels, sampler.shapes(0, 5, 2))


@pytest.mark.parametrize("output", MESHES)
def test_a_mesh_is_the_file_itself(server, sampler, output, tmp_path):
    reply = server.shapes(class_="chair", seed=4, output=output, style="blocks")
    assert (reply.status, reply.headers["content-type"].split(";")[0]) == (200, MESHES[output])
    assert reply.headers["content-disposition"] == f'inline; filename="chair.{output}"'
    shape = sampler.shapes(0, 1, 4)[0]
    assert reply.body == meshing.save_shape(tmp_path / f"x.{output}", shape, style="blocks").read_bytes()
    mesh = trimesh.load(io.BytesIO(reply.body), file_type=output, force="mesh")
    assert mesh.volume == pytest.approx(shape.mean())


def test_several_meshes_are_an_archive(server):
    reply = server.shapes(class_="chair", count=3, seed=4, output="glb")
    assert reply.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(reply.body)) as archive:
        assert archive.namelist() == ["chair_000.glb", "chair_001.glb", "chair_002.glb"]
        first = trimesh.load(io.BytesIO(archive.read("chair_000.glb")), file_type="glb", force="mesh")
    alone = server.shapes(class_="chair", seed=4, output="glb").body
    alone = trimesh.load(io.BytesIO(alone), file_type="glb", force="mesh")
    np.testing.assert_array_equal(first.faces, alone.faces)
    np.testing.assert_allclose(first.vertices, alone.vertices, atol=1e-5)


def test_a_picture(server):
    reply = server.shapes(class_="table", count=9, output="png")
    assert reply.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(reply.body)) as picture:
        assert picture.size[0] == 8 * 160
        assert len(picture.getcolors(10**6)) > 20


def test_explicit_latents_and_an_interpolation(server, sampler):
    vectors = draw_latents(5, 2, 8)
    given = server.shapes(class_="chair", latents=vectors.tolist())
    assert given.body == server.shapes(class_="chair", seed=5, count=2).body
    drawn = json.loads(server.ask("GET", "/latents?seed=5&count=2").body)["latents"]
    assert drawn == [encode_vector(vector) for vector in vectors]
    assert server.shapes(class_="chair", latents=drawn).body == given.body
    steps = json.loads(server.shapes(class_="chair", seed=5, to=6, steps=4).body)["voxels"]
    assert len(steps) == 4
    np.testing.assert_array_equal(np.array(steps[-1], bool), sampler.shapes(0, 1, 6)[0])


def test_command_line_and_server_draw_the_same(server, folder, tmp_path):
    how = {"class": "chair", "count": 2, "seed": 9, "truncation": 0.6, "threshold": 0.4}
    options = [part for name, value in how.items() for part in (f"--{name}", str(value))]
    outs = ["--out", str(tmp_path / "s.npy"), "--out", str(tmp_path / "s.glb"), "--out", str(tmp_path / "s.png")]
    done = CliRunner().invoke(cli, ["sample", "--model", str(folder), *options, *outs])
    assert done.exit_code == 0, done.output
    grid = json.loads(server.ask("POST", "/shapes", json.dumps(how).encode()).body)
    np.testing.assert_array_equal(np.array(grid["voxels"], bool), np.load(tmp_path / "s.npy"))
    meshes = server.ask("POST", "/shapes", json.dumps(how | {"output": "glb"}).encode())
    with zipfile.ZipFile(io.BytesIO(meshes.body)) as archive:
        assert archive.read("chair_001.glb") == (tmp_path / "s_001.glb").read_bytes()
    picture = server.ask("POST", "/shapes", json.dumps(how | {"output": "png"}).encode())
    assert picture.body == (tmp_path / "s.png").read_bytes()


def test_truncation_narrows_towards_one_shape(server):
    def spread(truncation):
        drawn = json.loads(server.shapes(class_="chair", count=16, truncation=truncation).body)["voxels"]
        return np.array(drawn, float).var(0).mean()

    assert spread(0) == 0
    assert 0 < spread(0.3) < spread(1)


INVALID = [
    ({"class": "sofa"}, "class 'sofa' is not known to this model: choose one of chair, table."),
    ({}, "class is missing: choose one of chair, table."),
    ({"class": 5}, "class has the wrong type: input should be a valid string."),
    ({"class": "chair", "count": "3"}, "count has the wrong type: input should be a valid integer."),
    ({"class": "chair", "count": 2.5}, "count has the wrong type"),
    ({"class": "chair", "count": True}, "count has the wrong type"),
    ({"class": "chair", "count": 0}, "count 0 is out of range: request at least 1 shape."),
    ({"class": "chair", "count": 1025}, "1025 shapes are too many for one request: request at most 1024."),
    ({"class": "chair", "count": 65, "output": "png"}, "request at most 64"),
    ({"class": "chair", "count": 10**300}, "too many for one request"),
    ({"class": "chair", "seed": -1}, "seed -1 is out of range"),
    ({"class": "chair", "seed": 2**63}, "seed 9223372036854775808 is out of range"),
    ({"class": "chair", "seed": 10**300}, "seed of many digits is out of range"),
    ({"class": "chair", "latents": [[1.0, 2.0]]}, "a latent vector of 2 numbers does not fit this model: give 8"),
    ({"class": "chair", "latents": []}, "latents is empty"),
    ({"class": "chair", "latents": [["a"] * 8]}, "latents[0][0] has the wrong type"),
    ({"class": "chair", "latents": [[1e300] * 8]}, "not finite or too large"),
    ({"class": "chair", "latents": ["!"]}, "latents[0] is not base64."),
    ({"class": "chair", "latents": ["AAAA"]}, "latents[0] is not base64 of whole float32 numbers."),
    ({"class": "chair", "latents": ["AAAAAA=="]}, "a latent vector of 1 numbers does not fit"),
    ({"class": "chair", "latents": ["AACAfwAAgH8AAIB/AACAfwAAgH8AAIB/AACAfwAAgH8="]}, "not finite"),
    ({"class": "chair", "latents": [[0.0] * 8], "seed": 1}, "give only one of them"),
    ({"class": "chair", "steps": 5}, "set `to` to the seed of the last shape"),
    ({"class": "chair", "path": "linear"}, "set `to` to the seed of the last shape"),
    ({"class": "chair", "to": 5, "path": "curved"}, "path has the wrong type"),
    ({"class": "chair", "to": 5, "steps": 1}, "at least 2 shapes"),
    ({"class": "chair", "to": 5, "steps": 10**6}, "1000000 shapes are too many"),
    ({"class": "chair", "truncation": 1.5}, "truncation 1.5 is out of range: give a number from 0 to 1."),
    ({"class": "chair", "threshold": float("nan")}, "threshold nan is out of range"),
    ({"class": "chair", "output": "fbx"}, "output has the wrong type"),
    ({"class": "chair", "latents": [[0.0] * 8], "count": 1}, "leave count out"),
    ({"class": "chair", "treshold": 1}, "'treshold' is not a known field: use class, count, seed"),
    ([{"class": "chair"}], "the body is not a JSON object"),
    ("chair", "the body is not a JSON object"),
]


@pytest.mark.parametrize(("body", "words"), INVALID)
def test_an_invalid_request_is_rejected_in_one_sentence(server, body, words):
    reply = server.ask("POST", "/shapes", json.dumps(body).encode())
    assert reply.status == 400
    assert words in reply.detail
    assert reply.detail.endswith(".")
    assert "\n" not in reply.detail


def test_an_empty_shape_has_no_mesh(server):
    reply = server.shapes(class_="chair", output="stl", threshold=1)
    assert (reply.status, reply.detail) == (
        409,
        "the shape is empty and has no mesh: choose another seed or threshold.",
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not a JSON object"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b'{"class": "chair", "seed": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"[" * 2000, "not valid JSON"),
        (b"[" * 50_000, "more than 2100 lists"),
    ],
)
def test_a_body_that_is_not_json_is_rejected(server, body, words):
    reply = server.ask("POST", "/shapes", body)
    assert reply.status == 400
    assert words in reply.detail


@pytest.mark.parametrize("latents", [[[1] * 10 + ["x"] * 100_000], [1] * 100_000])
def test_a_million_invalid_numbers_are_one_error(latents):
    with pytest.raises(UserError, match=r"latents.* has the wrong type"):
        parse_request(json.dumps({"latents": latents}).encode())


def test_what_a_message_repeats_is_cut(server):
    reply = server.shapes(class_="x" * 90_000)
    assert (reply.status, reply.detail.count("x")) == (400, 40)
    assert len(server.ask("POST", "/shapes", json.dumps({"y" * 90_000: 1}).encode()).detail) < 300
    assert len(server.ask("GET", "/" + "z" * 5000).detail) < 100


def test_a_model_in_a_folder_of_any_name(sampler):
    model = ServedModel("models/Łódź/r08", sampler)
    asked = ShapesRequest.model_validate({"class": sampler.classes[0], "count": 2})
    plan = plan_shapes(sampler, [asked.to_request()])
    drawn = sampler.finite_occupancy(plan.vectors, plan.labels)
    answer = encode_answer(model, asked, plan, False, [keep_of("grid", plan.threshold)(drawn)])
    assert answer.headers["X-Model"].encode("latin-1") == b"models/%C5%81%C3%B3d%C5%BA/r08"
    assert json.loads(answer.content)["classes"] == [sampler.classes[0]] * 2


def test_unknown_path_and_method(server):
    assert server.ask("GET", "/nothing").status == 404
    assert server.ask("PUT", "/shapes", b"{}").status == 405


def test_health_readiness_and_model(server, folder):
    for path in ("/healthz", "/livez"):
        assert json.loads(server.ask("GET", path).body) == {"status": "alive"}
    assert json.loads(server.ask("GET", "/readyz").body) == {"status": "ready", "model": str(folder)}
    model = json.loads(server.ask("GET", "/model").body)
    assert model["classes"] == ["chair", "table"]
    assert (model["resolution"], model["latent"], model["threshold"], model["up"]) == (8, 8, 0.5, "y")


def metric(server, name: str) -> float:
    text = server.ask("GET", "/metrics").body.decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_metrics_count(server):
    names = ('gan3d_requests_total{route="/shapes",status="200"}', 'gan3d_requests_total{route="/shapes",status="400"}')
    names += ('gan3d_shapes_total{model="tiny",output="bits"}', 'gan3d_request_duration_seconds_count{route="/shapes"}')
    before = [metric(server, name) for name in names]
    server.shapes(class_="chair", count=7, output="bits")
    server.shapes(class_="sofa")
    assert [metric(server, name) - old for name, old in zip(names, before, strict=True)] == [1, 1, 7, 2]
    assert metric(server, "gan3d_queue_capacity_voxels") == 2**26
    assert metric(server, "gan3d_queue_depth") == 0
    assert metric(server, 'gan3d_model_reloads_total{model="tiny"}') == 0
    assert metric(server, f'gan3d_model_info{{model="tiny",version="{server.holder.current.version}"}}') == 1
    assert metric(server, "gan3d_slice_shapes_sum") >= 7


def test_unknown_paths_create_no_metrics(server):
    for i in range(3):
        server.ask("GET", f"/unknown{i}")
    text = server.ask("GET", "/metrics").body.decode()
    assert "unknown" not in text
    assert metric(server, 'gan3d_requests_total{route="other",status="404"}') >= 3


def test_the_page_works_offline(server):
    reply = server.ask("GET", "/docs")
    assert reply.headers["content-type"].startswith("text/html")
    assert not re.findall(rb'(?:src|href)="(?:https?:)?//', reply.body)
    assert b'<script type="module">' in server.ask("GET", "/").body
    api = json.loads(server.ask("GET", "/openapi.json").body)
    asked = api["paths"]["/shapes"]["post"]
    assert set(asked["responses"]) == {"200", "304", "400", "401", "408", "409", "413", "415", "429", "503"}
    assert set(asked["responses"]["200"]["content"]) == {
        *(each.media_type for each in OUTPUTS.values()),
        "application/zip",
    }
    schema = asked["requestBody"]["content"]["application/json"]["schema"]
    fields = schema["properties"]
    names = {"class", "count", "seed", "latents", "to", "steps", "path", "truncation", "threshold"}
    names |= {"output", "style"}
    assert set(fields) == names
    assert all(field["description"] for field in fields.values())
    example = schema["examples"][0]
    assert server.ask("POST", "/shapes", json.dumps(example).encode()).status == 200
