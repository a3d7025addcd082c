"""Files that other programs read: the workflow, pre-commit's hooks, the citation, the image, the locks."""

import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCKERFILE = re.sub(r"\\\n", " ", (REPOSITORY / "Dockerfile").read_text(encoding="utf-8"))
INSTRUCTIONS = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]


def read(name: str) -> dict:
    return yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8"))


def pins(name: str) -> set[str]:
    return set(re.findall(r"^[\w.\-\[\]]+==[^\\\n]+?(?= *\\?$)", (REPOSITORY / name).read_text(), re.MULTILINE))


def test_the_workflow_has_few_rights_and_knows_all_versions_of_python():
    workflow = read(".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    versions = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    classified = [name.rsplit(" ", 1)[-1] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert versions == classified
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    assert "secrets." not in (REPOSITORY / ".github/workflows/ci.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [".github/workflows/ci.yml", ".ci/run"])
def test_what_ci_runs_are_targets_of_make(name):
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    run = re.findall(r"\bmake ([a-z-]+)", (REPOSITORY / name).read_text(encoding="utf-8"))
    assert {"lint", "docs", "test"} <= set(run) <= targets


def test_hooks_of_pre_commit_are_tools_of_the_lock():
    hooks = [hook for repo in read(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert {"ruff-format", "ruff-check", "mypy", "check-yaml"} <= {hook["id"] for hook in hooks}
    assert all(hook["entry"].startswith(".venv/bin/") for hook in hooks)
    locked = {pin.partition("==")[0] for pin in pins("requirements.lock")}
    assert {"ruff", "mypy", "pre-commit", "pre-commit-hooks"} <= locked


def test_the_citation():
    citation = read("CITATION.cff")
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    version = re.search(r'^__version__ = "(.+)"', (REPOSITORY / "src/gan3d/__init__.py").read_text(), re.MULTILINE)
    assert (citation["title"], citation["version"]) == (PROJECT["name"], version[1])
    assert (citation["license"], citation["abstract"]) == (PROJECT["license"], PROJECT["description"])


def test_what_the_image_copies_exists_and_is_not_ignored():
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[1] == "*"
    sources = [source for name, rest in INSTRUCTIONS if name == "COPY" for source in shlex.split(rest)[:-1]]
    assert sources
    for source in sources:
        assert (REPOSITORY / source).exists(), source
        assert any(fnmatch(source.removeprefix("./"), line[1:]) for line in ignored if line.startswith("!")), source


def test_the_image_is_locked_and_runs_as_a_user():
    names = [name for name, _ in INSTRUCTIONS]
    assert names[0] == "FROM"
    assert names.index("USER") < names.index("CMD")
    assert {"HEALTHCHECK", "EXPOSE"} <= set(names)
    installs = [rest for name, rest in INSTRUCTIONS if name == "RUN" and "pip install" in rest]
    assert installs
    assert all("--require-hashes" in rest for rest in installs)
    minor = next(rest for name, rest in INSTRUCTIONS if name == "FROM").removeprefix("python:").removesuffix("-slim")
    assert f"Programming Language :: Python :: {minor}" in PROJECT["classifiers"]


def test_the_images_lock_is_part_of_the_whole():
    image, whole = ({pin.partition(" ;")[0] for pin in pins(f"requirements{part}.lock")} for part in (".runtime", ""))
    assert len(image) > 100
    assert image < whole


def test_the_images_lock_has_every_dependency():
    locked = {re.split(r"[\[=]", pin)[0] for pin in pins("requirements.runtime.lock")}
    declared = {re.split(r"[\[<>=]", line)[0] for line in PROJECT["dependencies"]}
    assert declared <= locked
