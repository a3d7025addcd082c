"""The registered model in an environment with nothing but its logged requirements."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest
from candidates import MODEL, connect, facts
from scoring import environment, post, scoring_server

from gan3d import model_file
from gan3d.registry.log import log_candidate
from gan3d.sampling.sampler import Sampler

MAGIC = {"stl": b"", "obj": b"# ", "ply": b"ply", "glb": b"glTF", "png": b"\x89PNG"}  # how a file begins

ABSENT = "import importlib.util, sys; sys.exit(importlib.util.find_spec('gan3d') is not None)"


def run(*command, **options) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, done.stdout


@pytest.mark.full  # it installs a backend, which takes minutes
def test_its_requirements_are_complete(new_store, folder, tmp_path):
    mlruns = new_store("moved")
    client = connect(mlruns)
    version = log_candidate(client, MODEL, folder, facts())
    client.set_registered_model_alias(MODEL, "champion", str(version))
    (requirements,) = (mlruns / "artifacts" / "models").glob("*/artifacts/requirements.txt")
    uri = f"sqlite:///{mlruns / 'mlflow.db'}"
    elsewhere = {"cwd": tmp_path, "env": environment(uri)}
    python = str(tmp_path / "venv" / "bin" / "python")
    run(sys.executable, "-m", "venv", tmp_path / "venv", **elsewhere)
    run(python, "-m", "pip", "install", "--quiet", "--requirement", requirements, **elsewhere)
    run(python, "-c", ABSENT, **elsewhere)
    asked = {"dataframe_records": [{"class": "chair", "count": 2, "seed": 7}]}
    expected = Sampler(model_file.load(folder)).shapes(0, 2, 7)
    with scoring_server(python, uri, tmp_path) as port:
        status, answer = post(port, json.dumps(asked).encode())
        assert status == 200, answer
        np.testing.assert_array_equal(np.array(answer["predictions"]), expected)
        for output, magic in MAGIC.items():
            status, answer = post(port, json.dumps(asked | {"params": {"output": output}}).encode())
            assert status == 200, answer
            content = [base64.b64decode(row["data"]) for row in answer["predictions"]]
            assert len(content) == (1 if output == "png" else 2)
            assert all(part.startswith(magic) and len(part) > 100 for part in content)
        status, answer = post(port, json.dumps({"dataframe_records": [{"class": "sofa"}]}).encode())
        assert (status, "choose one of chair, table" in answer["message"]) == (400, True)
