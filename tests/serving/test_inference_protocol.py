"""The Open Inference Protocol: what clients of KServe and Triton send and read."""

import json
import struct

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


def binary(server, inputs, *contents, path="/v2/models/tiny/infer", length=None, **more):
    """Ask with tensors behind the JSON, as the extension for binary tensor data says."""
    head = json.dumps({"inputs": inputs, **more}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head) if length is None else length)}
    return server.ask("POST", path, b"".join([head, *contents]), headers)


def behind(name, datatype, content, *shape):
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(content)}}


def texts(*words):
    return b"".join(struct.pack("<I", len(word.encode())) + word.encode() for word in words)


def test_binary_tensors_give_what_json_gives(server, holder):
    latents, classes = draw_latents(5, 2, 8), texts("chair", "table")
    inputs = [behind("latents", "FP32", latents.tobytes(), 2, 8), behind("class", "BYTES", classes, 2)]
    outputs = [{"name": "voxels", "parameters": {"binary_data": True}}, {"name": "occupancy"}]
    reply = binary(server, inputs, latents.tobytes(), classes, outputs=outputs, id="7")
    assert reply.status == 200
    length = int(reply.headers["inference-header-content-length"])
    answer, tail = json.loads(reply.body[:length]), reply.body[length:]
    voxels, occupancy = answer["outputs"]
    assert (answer["id"], voxels["parameters"], "data" in voxels) == ("7", {"binary_data_size": 2 * 8**3}, False)
    assert reply.headers["content-type"] == "application/octet-stream"
    drawn = np.frombuffer(tail, np.uint8).reshape(voxels["shape"]).astype(bool)
    expected = holder.current.sampler.occupancy(latents, np.array([0, 1]))
    np.testing.assert_array_equal(drawn, holder.current.sampler.binary(expected))
    np.testing.assert_allclose(np.reshape(occupancy["data"], occupancy["shape"]), expected, atol=1e-5)


def test_all_outputs_are_binary_if_the_request_says_so(server, holder):
    seeds = np.array([5, 6], "<i8").tobytes()
    inputs = [behind("seed", "INT64", seeds, 2), CLASS]
    reply = binary(server, inputs, seeds, parameters={"binary_data_output": True})
    length = int(reply.headers["inference-header-content-length"])
    drawn = np.frombuffer(reply.body[length:], np.uint8).reshape(2, 8, 8, 8)
    np.testing.assert_array_equal(drawn[1], holder.current.sampler.shapes(1, 1, 6)[0])
    assert json.loads(server.ask("GET", "/v2").body)["extensions"] == ["binary_tensor_data"]


ONE = np.array([5], "<i8").tobytes()


@pytest.mark.parametrize(
    ("inputs", "contents", "length", "words"),
    [
        ([behind("seed", "INT64", ONE, 1)], [], None, "0 bytes follow the JSON, where `binary_data_size` adds up to 8"),
        ([behind("seed", "INT64", ONE, 1)], [ONE, b"x"], None, "9 bytes follow the JSON"),
        ([behind("seed", "INT64", ONE[:7], 1)], [ONE[:7]], None, "are no whole INT64"),
        ([behind("seed", "FLOAT", ONE, 1)], [ONE], None, "seed has the datatype 'FLOAT'"),
        ([SEED, behind("class", "BYTES", b"\5\0\0\0cha", 1)], [b"\5\0\0\0cha"], None, "class ends within an element"),
        ([SEED, behind("class", "BYTES", b"\5\0", 1)], [b"\5\0"], None, "class ends within an element"),
        ([{"name": "seed", "datatype": "INT64", "shape": [1]}], [], None, "seed needs its data"),
        ([SEED | {"parameters": {"binary_data_size": 0}}], [], None, "seed needs its data"),
        ([SEED | {"parameters": {"shared_memory_region": "x"}}], [], None, "shared_memory_region is wrong"),
        ([SEED], [], 10**6, "the header Inference-Header-Content-Length is '1000000'"),
        ([SEED], [], "-1", "the header Inference-Header-Content-Length is '-1'"),
        (
            [behind("latents", "FP32", np.full(8, np.nan, "<f4").tobytes(), 1, 8), tensor("class", "BYTES", ["chair"])],
            [np.full(8, np.nan, "<f4").tobytes()],
            None,
            "not finite",
        ),
    ],
)
def test_wrong_binary_tensors_are_one_sentence(server, inputs, contents, length, words):
    reply = binary(server, inputs, *contents, length=length)
    assert reply.status == 400
    assert words in json.loads(reply.body)["error"]
