"""Every import is declared in pyproject.toml, and every declared package is imported or explained here."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

PACKAGES = {  # what is imported under another name than that of its package
    "PIL": "pillow",
    "collada": "pycollada",
    "opentelemetry": "opentelemetry-sdk",
    "ruamel": "ruamel.yaml",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
NOT_IMPORTED = {  # declared, and why no line of the package imports it
    "httptools": "uvicorn's protocol, from which ours derives, parses with it",
    "ipykernel": "papermill starts it",
    "nbconvert": "imported by name, as Jupytext",
    "ipywidgets": "tqdm's bars of MLflow and DVC ask for it in a notebook",
    "jupyterlab": "where people open the notebooks",
    "jupytext": "imported by name, with a sentence where it is missing",
    "networkx": "trimesh reads the scenes of 3DXML with it, and does not ask for it",
    "opentelemetry-exporter-otlp-proto-http": "a part of the package opentelemetry, imported for traces",
    "opentelemetry-instrumentation-asgi": "a part of the package opentelemetry, imported for traces",
    "psycopg": "SQLAlchemy's driver for PostgreSQL",
}
DEVELOPMENT = {  # of the group dev: tools and types, and what tests run without importing it
    "editables": "an editable install offline",
    "hatchling": "the build backend, for offline builds",
    "moto": "tests start its server",
    "mypy": "a tool",
    "pandas-stubs": "types",
    "pre-commit": "a tool",
    "pre-commit-hooks": "a tool",
    "pytest-xdist": "a plugin of pytest",
    "ruff": "a tool",
    "schemathesis": "a tool that tests run",
    "scipy-stubs": "types",
    "types-cachetools": "types",
    "types-psutil": "types",
    "types-pyyaml": "types",
    "types-tqdm": "types",
    "uv": "resolves the lock",
}
OUTSIDE = {
    "skimage": "marching cubes in benchmarks, run where scikit-image is installed",
    "torch": "the twin in benchmarks, run where PyTorch is installed",
}


def names(requirements: Iterable[str]) -> set[str]:
    """`dvc[s3]>=3.67` -> `dvc`."""
    return {re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-") for requirement in requirements}


def imported(*folders: str) -> dict[str, str]:
    """Packages that are imported anywhere in the folders, each with one file that does."""
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    own = {"gan3d", "tests", "benchmarks"} | {path.stem for path in files if not path.is_relative_to(ROOT / "src")}
    found: dict[str, str] = {}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                modules = [node.module]
            else:
                continue
            for module in modules:
                top = module.split(".")[0]
                if top not in sys.stdlib_module_names and top not in own:
                    found[PACKAGES.get(top, top).lower().replace("_", "-")] = str(path.relative_to(ROOT))
    return found


BASE = names(PROJECT["project"]["dependencies"])
EXTRAS = names(line for extra in PROJECT["project"]["optional-dependencies"].values() for line in extra)
DEV = names(line for line in PROJECT["dependency-groups"]["dev"] if isinstance(line, str))  # not included groups


def test_every_import_is_declared():
    missing = {name: path for name, path in imported("src").items() if name not in BASE | EXTRAS}
    assert not missing
    others = imported("tests", "benchmarks")
    assert not {name: path for name, path in others.items() if name not in BASE | EXTRAS | DEV | set(OUTSIDE)}


def test_every_declared_package_is_imported_or_explained():
    used = set(imported("src"))
    assert (BASE | EXTRAS) - used == set(NOT_IMPORTED)
    assert DEV - used - set(imported("tests", "benchmarks")) - EXTRAS == set(DEVELOPMENT)
