"""The map of the modules, kept true: who may import whom, and what the core does without."""

import os
import subprocess
import sys

import numpy as np
import pytest
from import_closure import FILES, imports, within
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

LONGEST = 350  # lines per file
VAGUE = {"utils", "util", "helpers", "common", "misc"}

# unit of the package -> what of the package it may import, besides itself; a dot names one module of a unit
MAY_IMPORT = {
    "addresses": (),
    "errors": ("addresses",),
    "backend_choice": ("errors",),
    "outputs": ("errors",),
    "array_archive": ("errors",),
    "voxels": ("errors",),
    "dataset": ("errors", "voxels"),
    "backend": ("errors",),
    "networks": ("dataset", "voxels", "backend"),
    "model_schema": ("errors", "voxels", "dataset", "array_archive", "networks"),
    "model_file": ("errors", "array_archive", "model_schema", "networks"),
    "sampling": ("errors", "backend", "dataset", "model_file"),
    "metrics": ("errors", "dataset", "voxels", "networks", "model_file", "sampling"),
    "training": ("errors", "array_archive", "backend", "dataset", "voxels", "networks", "model_file", "sampling"),
    "inversion": (
        *("errors", "array_archive", "backend", "dataset", "voxels", "networks", "model_schema", "model_file"),
        *("sampling", "metrics.chamfer", "training.optimizer", "training.recipe", "training.step"),
    ),
    "monitoring": (
        *("errors", "dataset", "voxels", "networks", "model_file", "sampling", "metrics", "training"),
        "rendering.sheets",
    ),
    "synthetic": ("errors",),
    "data": ("addresses", "errors", "dataset", "voxels"),
    "rendering": ("errors", "voxels"),
    "shape_io": ("errors", "voxels", "data", "rendering", "sampling"),
    "config": ("errors", "dataset", "voxels", "training.recipe"),
    "reports": ("errors", "dataset", "voxels", "data.pipeline.statistics", "metrics", "rendering"),
    "tracking": ("addresses", "errors", "metrics.names", "rendering", "training.callback"),
    "registry": (
        *("addresses", "errors", "dataset", "model_file", "sampling", "metrics", "rendering", "shape_io"),
        *("inversion.encoder_file", "config.project", "tracking", "monitoring.progress", "networks.architecture"),
    ),
    "comparison": (
        *("errors", "dataset", "model_file", "sampling", "metrics", "rendering", "config.project", "tracking"),
        *("registry", "serving.onnx_engine"),
    ),
    "serving": (
        *("errors", "dataset", "voxels", "model_file", "sampling", "inversion", "shape_io", "registry"),
        *("rendering.pages", "rendering.scripts", "rendering.voxels"),
        *("networks.architecture", "data.formats.extensions"),
    ),
}
CORE = (
    "addresses",
    "errors",
    "outputs",
    "voxels",
    "dataset",
    "backend",
    "networks",
    "array_archive",
    "model_schema",
    "model_file",
    "sampling",
    "metrics",
    "training",
    "inversion",
)
CORE += tuple(
    f"monitoring.{m}" for m in ("remote", "monitor", "diagnostics", "advice", "fixed_samples", "validation", "cost")
)
OUTSIDE_CORE = (  # what needs scikit-learn: a training scores without them
    "metrics.linear_probe",
    "metrics.tell",
    "metrics.comparison",
    "metrics.sets",
    "metrics.excess_scorer",
    "metrics.protocol",
    "metrics.evaluation",
)
CORE_LIBRARIES = {"numpy", "scipy", "keras"}
BACKEND_LIBRARIES = {"tensorflow": "gan3d.backend.tensorflow", "jax": "gan3d.backend.jax"}
OUTSIDE = (
    "mlflow",
    "dvc",
    "optuna",
    "trimesh",
    "pydantic",
    "matplotlib",
    "click",
    "tqdm",
    "pandas",
    "skimage",
    "sklearn",
    "PIL",
)

MAY_IMPORT["pretrained"] = ("errors", "model_file", "data.sources.download", "registry.log", "tracking")
MAY_IMPORT["notebooks"] = ("errors", "config.project", "tracking")

# everything but the commands, and the commands: everything
MAY_IMPORT["stages"] = (*MAY_IMPORT, "stages")
MAY_IMPORT["tuning"] = (*MAY_IMPORT, "tuning")
MAY_IMPORT["api"] = (*MAY_IMPORT, "api")
MAY_IMPORT["cli"] = (*MAY_IMPORT, "cli")
MAY_IMPORT["__main__"] = ("cli",)


def unit(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def own(module: str) -> frozenset[str]:
    """What a module imports from this package."""
    return frozenset(name for name in imports(module) if name.split(".")[0] == "gan3d")


def test_the_walker_sees_imports_of_every_kind():
    assert "gan3d.networks.weights" in imports("gan3d.model_file")  # from gan3d.networks.weights import …
    assert "gan3d.errors" in imports("gan3d.dataset")  # from gan3d.errors import UserError
    assert "nibabel" in imports("gan3d.data.formats.nifti")  # inside a function
    assert "keras" in imports("gan3d.training.step")  # import keras


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_only_what_its_place_allows(module):
    if module == "gan3d":
        assert not own(module), "gan3d/__init__.py imports nothing, so that every module can be used alone"
        return
    assert unit(module) in MAY_IMPORT, f"{module} has no place in the map: add it to this table and to the docs"
    allowed = (unit(module), "outputs", *MAY_IMPORT[unit(module)])
    wrong = [name for name in own(module) if name != "gan3d" and not within(name, allowed)]
    assert not wrong, f"{module} may not import {', '.join(wrong)}"


@pytest.mark.parametrize(
    "module", [module for module in FILES if within(module, CORE) and not within(module, OUTSIDE_CORE)]
)
def test_the_core_needs_only_numpy_scipy_keras_and_its_backend(module):
    libraries = {name.split(".")[0] for name in imports(module)} - sys.stdlib_module_names - {"gan3d"}
    allowed = CORE_LIBRARIES | {library for library, place in BACKEND_LIBRARIES.items() if place == module}
    assert libraries <= allowed, f"{module} imports {', '.join(libraries - allowed)}"


def test_nothing_but_the_seam_knows_the_backends():
    for module in FILES:
        for library, place in BACKEND_LIBRARIES.items():
            used = any(name.split(".")[0] == library for name in imports(module))
            assert not used or module == place, f"{module} imports {library}: that belongs into {place}"


def test_no_module_imports_itself_in_a_circle():
    index = {module: i for i, module in enumerate(FILES)}
    edges = [(index[a], index[b]) for a in FILES for b in own(a) if b in index and a != b]
    graph = csr_array((np.ones(len(edges)), tuple(np.array(edges).T)), (len(index), len(index)))
    count, labels = connected_components(graph, directed=True, connection="strong")
    circles = [[module for module in FILES if labels[index[module]] == i] for i in range(count)]
    assert all(len(circle) == 1 for circle in circles), [circle for circle in circles if len(circle) > 1]


@pytest.mark.parametrize("module", FILES)
def test_a_file_is_one_concept(module):
    assert not VAGUE & set(module.split(".")), "name the concept"
    lines = len(FILES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{lines} lines"


BARE_MACHINE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in OUTSIDE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

OUTSIDE = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Absent())
import importlib

for module in sys.argv[2].split(","):
    importlib.import_module(module)
present = OUTSIDE & {name.split(".")[0] for name in sys.modules}
assert not present, present
print("imported")
"""


@pytest.mark.slow
def test_the_core_runs_on_a_bare_machine():
    core = [m for m in FILES if within(m, CORE) and not within(m, (*OUTSIDE_CORE, "backend.jax"))]
    done = subprocess.run(
        [sys.executable, "-c", BARE_MACHINE, ",".join(OUTSIDE), ",".join(core)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("imported")
