"""The OpenAPI document says exactly what the server accepts."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from loopback import serving

from gan3d.inversion.inverter import EVALUATIONS
from gan3d.sampling.requests import SEED_LIMIT
from gan3d.serving.openapi import request_schema

# no schema says which bytes are a file of a shape
CONFIG = """
[[operations]]
include-name = "POST /invert"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400]
"""


@pytest.mark.parametrize(
    "examples", [pytest.param(10, marks=pytest.mark.slow), pytest.param(300, marks=pytest.mark.full)]
)
def test_schemathesis_finds_nothing(holder, examples, tmp_path, monkeypatch):
    monkeypatch.setitem(EVALUATIONS, 8, 2)  # of an inversion: what is found does not matter here
    (tmp_path / "schemathesis.toml").write_text(CONFIG, encoding="utf-8")
    with serving(holder) as server:
        address = f"http://127.0.0.1:{server.port}/openapi.json"
        command = [Path(sys.executable).with_name("schemathesis"), "run", address, "--checks", "all", "--seed", "1"]
        done = subprocess.run(
            [*command, "--max-examples", str(examples), "--no-color"], cwd=tmp_path, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout


ACCEPTED = [
    {"class": "chair"},
    {"class": "chair", "count": 1024, "seed": SEED_LIMIT - 1, "truncation": 0, "threshold": 1},
    {"class": "chair", "count": 64, "output": "glb", "style": "blocks", "threshold": 0.1},
    {"class": "table", "latents": [[0.5] * 8]},
    {"class": "table", "latents": ["AAAAPwAAAD8AAAA/AAAAPwAAAD8AAAA/AAAAPwAAAD8="]},
    {"class": "chair", "to": 3, "steps": 2, "seed": None, "path": "linear"},
    {"class": "chair", "count": 2.0},
    {"class": "chair", "output": "3mf", "threshold": 0.1, "printable": {"size": 120, "base": True}},
]
REFUSED = [
    {},
    {"class": None},
    {"class": "sofa"},
    {"class": "chair", "count": 0},
    {"class": "chair", "count": 1025},
    {"class": "chair", "count": 65, "output": "png"},
    {"class": "chair", "seed": SEED_LIMIT},
    {"class": "chair", "latents": []},
    {"class": "chair", "latents": [[0.5] * 7]},
    {"class": "chair", "latents": [[1e15] * 8]},
    {"class": "chair", "latents": [[0.5] * 8], "seed": 1},
    {"class": "chair", "latents": [[0.5] * 8], "count": 1},
    {"class": "chair", "to": 1, "count": 9},
    {"class": "chair", "steps": 4},
    {"class": "chair", "path": "linear"},
    {"class": "chair", "to": 1, "steps": 1},
    {"class": "chair", "truncation": 1.01},
    {"class": "chair", "output": "fbx"},
    {"class": "chair", "colour": "red"},
    {"class": "chair", "count": 2.5},
    {"class": "chair", "count": True},
    {"class": "chair", "output": "glb", "printable": {"size": 120}},
    {"class": "chair", "output": "stl", "printable": {"size": 0.5}},
    {"class": "chair", "output": "stl", "printable": {"hollow": 0.1}},
]


@pytest.mark.parametrize("fields", ACCEPTED + REFUSED)
def test_the_document_and_the_server_agree(server, holder, fields):
    valid = jsonschema.Draft202012Validator(request_schema(holder.current)).is_valid(fields)
    assert valid == (fields in ACCEPTED)
    assert server.ask("POST", "/shapes", json.dumps(fields).encode()).status == (200 if valid else 400)


def test_the_routes_of_inversion_are_described(holder, server):
    jsonschema.Draft202012Validator.check_schema(request_schema(holder.current))
    document = json.loads(server.ask("GET", "/openapi.json").body)
    for path, method in {"/invert": "post", "/complete": "post", "/directions": "get", "/nearest": "post"}.items():
        assert set(document["paths"][path]) == {method}
        assert {"200", "400", "503"} <= set(document["paths"][path][method]["responses"])
    answer = json.loads(server.ask("GET", "/directions?class=chair").body)
    schema = document["paths"]["/directions"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(answer, schema)


def test_every_field_is_described(holder):
    schema = request_schema(holder.current)
    assert all(field["description"] for field in schema["properties"].values())
    assert all(set(form["properties"]) == set(schema["properties"]) for form in schema["anyOf"])
