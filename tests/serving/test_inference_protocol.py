"""The Open Inference Protocol: what clients of KServe and Triton send and read."""

import json

import numpy as np
import pytest

from gan3d.sampling.latents import draw_latents


def infer(server, *inputs, path="/v2/models/tiny/infer", **more):
    return server.ask("POST", path, json.dumps({"inputs": inputs, **more}).encode())


def tensor(name, datatype, data, *shape):
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


SEED = tensor("seed", "INT64", [5, 6])
CLASS = tensor("class", "BYTES", ["chair", "table"])


def test_metadata_and_health(server):
    assert json.loads(server.ask("GET", "/v2").body)["name"] == "gan3d"
    assert server.ask("GET", "/v2/health/live").status == 200
    assert server.ask("GET", "/v2/health/ready").status == 200
    assert server.ask("GET", "/v2/models/tiny/ready").status == 200
    assert server.ask("GET", "/v2/models/sofa/ready").status == 503
    about = json.loads(server.ask("GET", "/v2/models/tiny").body)
    assert {each["name"]: each["shape"] for each in about["inputs"]} == {
        "seed": [-1],
        "class": [-1],
        "latents": [-1, 8],
    }
    assert about["outputs"][0] == {"name": "voxels", "datatype": "UINT8", "shape": [-1, 8, 8, 8]}
    version = about["versions"][0]
    assert json.loads(server.ask("GET", f"/v2/models/tiny/versions/{version}").body) == about
    assert "error" in json.loads(server.ask("GET", "/v2/models/tiny/versions/99").body)


def test_seeds_give_the_shapes_of_the_other_interfaces(server, holder):
    reply = json.loads(infer(server, SEED, CLASS, id="42").body)
    assert (reply["model_name"], reply["id"]) == ("tiny", "42")
    (output,) = reply["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("voxels", "UINT8", [2, 8, 8, 8])
    voxels = np.array(output["data"], bool).reshape(output["shape"])
    sampler = holder.current.sampler
    np.testing.assert_array_equal(voxels[0], sampler.shapes(0, 1, 5)[0])
    np.testing.assert_array_equal(voxels[1], sampler.shapes(1, 1, 6)[0])


def test_latents_and_occupancy(server, holder):
    latents = draw_latents(5, 2, 8)
    for data in (latents.tolist(), latents.ravel().tolist()):
        given = tensor("latents", "FP32", data, 2, 8)
        reply = infer(server, given, CLASS, outputs=[{"name": "occupancy"}], parameters={"truncation": 0.5})
        (output,) = json.loads(reply.body)["outputs"]
        found = np.array(output["data"], np.float32).reshape(output["shape"])
        expected = holder.current.sampler.occupancy(latents, np.array([0, 1]), truncation=0.5)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "inputs is wrong"),
        ([CLASS], "either the input `seed` or the input `latents`"),
        ([SEED, SEED], "given twice"),
        ([tensor("seed", "INT64", [1]), CLASS], "different numbers of rows"),
        ([tensor("seed", "FP32", [1, 2]), CLASS], "send INT64"),
        ([tensor("seed", "INT64", [1, 2.5]), CLASS], "another type"),
        ([tensor("seed", "INT64", [1, True]), CLASS], "another type"),
        ([tensor("seed", "INT64", [1, 2], 3), CLASS], "does not fill its shape"),
        ([tensor("latents", "FP32", [0.0] * 8, 2, 4), CLASS], "give 8 numbers"),
        ([tensor("latents", "FP32", [0.0] * 8, -2, -4), CLASS], "does not fill its shape"),
        ([tensor("seed", "INT64", [-1, 2]), CLASS], "out of range"),
        ([SEED, tensor("class", "BYTES", ["chair", "sofa"])], "is not known to this model"),
        ([tensor("other", "INT64", [1])], "inputs.0.name is wrong"),
    ],
)
def test_a_wrong_request_is_one_sentence(server, inputs, words):
    reply = infer(server, *inputs)
    assert reply.status == 400
    assert words in json.loads(reply.body)["error"]
    assert infer(server, SEED, CLASS, path="/v2/models/sofa/infer").status == 404
    assert infer(server, SEED, CLASS, parameters={"treshold": 1}).status == 400
