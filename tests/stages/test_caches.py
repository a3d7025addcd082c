"""DVC's dependencies and the checkpoint fingerprint follow the code: what can change an output, and nothing else."""

import ast
from collections.abc import Iterator

import pytest
import yaml
from import_closure import FILES, closure, imports
from paths import REPOSITORY

from gan3d.training.fingerprint import CODE

# stage -> where the computation of its outputs begins
ENTRIES = {
    "synthetic": ("gan3d.synthetic.furniture",),
    "source": (),
    "prepare": ("gan3d.data.pipeline.prepare", "gan3d.reports.data_report"),
    "train": (
        "gan3d.training.stage",
        "gan3d.training.loop",
        "gan3d.training.fingerprint",
        "gan3d.monitoring.monitor",
        "gan3d.monitoring.validation",
    ),
    "evaluate": ("gan3d.stages.evaluate",),
    "output": ("gan3d.stages.output",),
    "register": ("gan3d.stages.register", "gan3d.registry.served"),
}

# imported, but unable to change an output: why
HARMLESS = {
    "addresses": "what people do not see of an address",
    "array_archive": "which files are refused",
    "errors": "sentences for people",
    "model_schema": "which models are refused",
    "outputs": "how a file reaches its place",
    "config": "its values reach a stage as parameters",
    "monitoring.advice": "sentences for people",
    "monitoring.progress": "a bar on the terminal",
    "stages.experiment": "tells MLflow what a stage belongs to",
    "tracking": "copies to MLflow what is on disk",
    "comparison": "a page beside the outputs, of what the registry holds at the time",
    "data.sandbox": "limits of time and memory, which are parameters",
    "data.pipeline.dask_cluster": "where blocks are converted",
    "data.pipeline.journal": "where results wait until the data set is whole",
}
# what register writes is a version's number and why it is champion or not
REGISTER = ("backend", "dataset", "metrics", "model_file", "networks", "rendering", "reports", "sampling", "shape_io")
HARMLESS_IN = {"register": (*REGISTER, "inversion", "voxels", "training", "monitoring")}


def stages() -> dict[str, dict]:
    tree = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {name: stage.get("do", stage) for name, stage in tree.items()}


def modules_of(deps: list[str]) -> set[str]:
    """The modules behind a stage's dependencies."""
    places = [REPOSITORY / dep for dep in deps if dep.startswith("src/")]
    return {module for module, path in FILES.items() if any(path == p or p in path.parents for p in places)}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_stage_depends_on_all_that_can_change_its_outputs_and_on_nothing_else(name):
    needed = closure(ENTRIES[name], (*HARMLESS, *HARMLESS_IN.get(name, ())))
    needed = {module for module in needed if has_code(module)}
    declared = {module for module in modules_of(stages()[name]["deps"]) if has_code(module)}
    loaded_by_name = {"gan3d.backend.jax", "gan3d.backend.tensorflow"} if "gan3d.backend" in needed else set()
    missing, extra = (needed | loaded_by_name) - declared, declared - needed - loaded_by_name
    assert (sorted(missing), sorted(extra)) == ([], [])


def has_code(module: str) -> bool:
    """Whether a module is more than a docstring."""
    body = ast.parse(FILES[module].read_text(encoding="utf-8")).body
    return not all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


def test_every_stage_has_an_entry():
    assert set(ENTRIES) == set(stages())


def test_what_is_harmless_is_imported_at_all():
    everything = closure(tuple(entry for entries in ENTRIES.values() for entry in entries))
    for unit in HARMLESS:
        assert any(module == f"gan3d.{unit}" or module.startswith(f"gan3d.{unit}.") for module in everything), unit


def test_the_fingerprint_hashes_what_determines_weights_and_nothing_that_watches():
    hashed = {module for module in FILES if module.split(".")[1:2] and module.split(".")[1] in CODE}
    assert closure(("gan3d.training.loop", "gan3d.training.growth"), ("addresses", "errors", "outputs")) - hashed <= {
        "gan3d.array_archive",  # refuses files, and changes none
        "gan3d.model_schema",
        "gan3d.dataset",  # hashed by content: the data's own fingerprint
        "gan3d.voxels",
        "gan3d.model_file",  # the first weights are hashed themselves
    }
    for module in hashed:
        watching = {name for name in imports(module) if name.startswith(("gan3d.monitoring", "gan3d.tracking"))}
        assert not watching, f"{module} imports {watching}"


def parameters(function: ast.AST) -> Iterator[str]:
    """What a piece of code reads of `params`, as `evaluate.count`."""
    inside: set[ast.AST] = set()  # the `params.evaluate` of a `params.evaluate.count`
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute):
            inside.add(node.value)
        if node in inside:
            continue
        chain, inner = [], node
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        if chain and isinstance(inner, ast.Name) and inner.id == "params":
            yield ".".join(reversed(chain))


# methods and properties of Params -> the parameters they read
READS = {
    "recipe": ("gan", "train.stages", "seed"),
    "widths": ("train.stages",),
    "final": ("train.stages",),
    "train.chain": ("train.stages",),
}


@pytest.mark.parametrize("name", ["train", "evaluate", "register"])
def test_a_stage_declares_every_parameter_that_it_reads(name):
    tree = ast.parse(FILES[f"gan3d.stages.{name}"].read_text(encoding="utf-8"))
    read = {key for found in parameters(tree) for key in READS.get(found, READS.get(found.split(".")[0], (found,)))}
    declared = [key.replace(".${key}", "") for key in stages()[name]["params"]]
    free = ("logging", "name") if name == "train" else ()  # how often to log, and where copies for people go
    for key in read:
        top = ".".join(key.split(".")[:2])
        assert any(top == d or top.startswith(f"{d}.") or d == top.split(".")[0] for d in (*declared, *free)), (
            f"{name} reads {key}, which dvc.yaml does not declare"
        )
