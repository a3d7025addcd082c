"""No command asks for a host beyond this machine, unless the user turns MLflow's telemetry on."""

import os
import socket

import pytest
from paths import REPOSITORY

RESOLVER = """
import os, socket

found = socket.getaddrinfo

def getaddrinfo(host, *arguments, **named):
    if host not in (None, "", b"", "localhost", "127.0.0.1", "::1", "0.0.0.0", socket.gethostname()):
        with open(os.environ["LOOKED_UP"], "a") as out:
            print(host, file=out)
        raise socket.gaierror(socket.EAI_NONAME, "no name is resolved here")
    return found(host, *arguments, **named)

socket.getaddrinfo = getaddrinfo
"""
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")  # CI and pytest switch telemetry off themselves


@pytest.fixture(scope="module")
def project(new_clone, tmp_path_factory):
    clone = new_clone(tmp_path_factory.mktemp("quiet"))
    (clone.root / "site").mkdir()
    (clone.root / "site" / "sitecustomize.py").write_text(RESOLVER, encoding="utf-8")
    path = os.pathsep.join(filter(None, (str(clone.root / "site"), os.environ.get("PYTHONPATH"))))
    kept = (*KEPT, "TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES", "GIT_CONFIG_GLOBAL")
    clone.env = {name: value for name, value in clone.env.items() if name in kept}
    clone.env |= {"PYTHONPATH": path, "LOOKED_UP": str(clone.root / "looked-up.txt")}

    def one_stage(tree):
        tree["train"]["stages"] = {"r04": tree["train"]["stages"]["r04"]}

    clone.edit(one_stage)
    return clone


def looked_up(project):
    path = project.root / "looked-up.txt"
    return path.read_text(encoding="utf-8").split() if path.exists() else []


@pytest.mark.full
def test_the_pipeline_looks_up_no_name(project):
    for command in (("prepare",), ("train",), ("evaluate",), ("register",), ("sync",), ("registry", "list")):
        project.run("gan3d", *command)
        assert looked_up(project) == [], command


@pytest.mark.full
def test_the_resolver_would_have_noticed(project):
    project.run("gan3d", "train", MLFLOW_DISABLE_TELEMETRY="false")
    assert looked_up(project) != []
    assert socket.gethostname() not in looked_up(project)


def test_the_ui_is_quiet_too():
    assert "export MLFLOW_DISABLE_TELEMETRY ?= true" in (REPOSITORY / "Makefile").read_text(encoding="utf-8")
