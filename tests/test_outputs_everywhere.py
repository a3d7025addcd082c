"""Every output of the package reaches its place through `gan3d.outputs`: no other module writes to a path by itself."""

import ast
from collections.abc import Iterator

import pytest
from import_closure import FILES

# calls that write to a path: as methods of it, or with the path among the arguments
METHODS = {"write_text", "write_bytes", "touch", "symlink_to", "hardlink_to"}
FUNCTIONS = {
    *("save", "savez", "savez_compressed", "savetxt", "savefig", "imsave", "imwrite", "save_weights"),
    *("dump", "to_csv", "to_json", "to_parquet", "to_excel", "export", "copy", "copy2", "copyfile", "copytree", "move"),
    *("write_html", "write_image", "extractall", "File", "ZipFile"),
}
# what gives a path or a stream that is no output yet: it is moved into place whole, or not at all
FRESH = {"new_file", "new_folder", "TemporaryDirectory", "TemporaryFile", "atomic_replace", "_replacing", "BytesIO"}
OURS = {"model_file", "checkpoint"}  # modules of this package whose `save` is checked here by itself

# (module, function): why it writes by itself
ALLOWED = {
    ("api.shapes", "save"): "by Shapes.save",
    ("synthetic.parts", "write_obj"): "into the temporary folder of furniture.write",
    ("data.pipeline.writer", "_start_file"): "into the temporary folder of atomic_replace",
    ("data.pipeline.writer", "write_csv"): "into the temporary folder of atomic_replace",
    ("data.pipeline.journal", "__init__"): "an ignore file in the folder of an unfinished run",
    ("data.pipeline.journal", "open"): "the results of an unfinished run, which a checksum guards",
    ("data.sources.archives", "ensure_seekable"): "into a scratch folder, moved when whole",
    ("data.sources.download", "_fetch_locked"): "into the download cache, moved when whole",
    ("registry.export", "saved_model"): "into the temporary folder of export.write",
    ("registry.export", "onnx_file"): "into the temporary file of export.write",
    ("registry.fetch", "_local_artifacts"): "into the download cache, moved when whole",
    ("tracking.store", "_lock"): "an empty file to lock",
    ("training.checkpoint", "sole_writer"): "an empty file to lock",
    ("training.checkpoint", "save"): "a replacement of its own: its name depends on the content",
}


# whole modules that keep files of their own, which no command hands out
OWN_FILES = {
    "tracking.entries": "entries that wait for the server, renamed when whole",
    "tracking.outbox": "files of entries, which count once the entry is there",
}


def root(node: ast.AST) -> str:
    """The name that an expression starts from: `scratch` of `(Path(scratch) / "new").with_suffix(".x")`."""
    while True:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.BinOp):
            node = node.left
        elif isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                node = node.func.value
            elif node.args:
                node = node.args[0]
            else:
                node = node.func
        else:
            return ""


def called(node: ast.AST) -> str:
    """The last name of what an expression calls; empty if it calls nothing."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def fresh_names(function: ast.AST) -> set[str]:
    """Names in a function that stand for something FRESH, or a path inside it."""
    names: set[str] = set()
    for _ in range(3):  # a path of a path of a path
        for node in ast.walk(function):
            bound: list[tuple[ast.AST, ast.AST]] = []
            if isinstance(node, (ast.With, ast.AsyncWith)):
                bound = [(item.optional_vars, item.context_expr) for item in node.items if item.optional_vars]
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    both = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                    bound += zip(target.elts, node.value.elts, strict=True) if both else [(target, node.value)]
            for target, value in bound:
                if isinstance(target, ast.Name) and (called(value) in FRESH or root(value) in names):
                    names.add(target.id)
    return names


def writes(call: ast.Call) -> bool:
    """Whether a call looks like one that writes to a path."""
    name = called(call)
    if name in METHODS:
        return isinstance(call.func, ast.Attribute)  # not the functions of gan3d.outputs
    if name == "open":
        modes = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
        values = [node.value for node in modes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        return any(set(value) <= set("rwaxbt+") and set(value) & set("wax+") for value in values)
    if name not in FUNCTIONS or not call.args:
        return False
    owner = root(call.func) if isinstance(call.func, ast.Attribute) else ""
    if name in ("copy", "move", "copy2", "copyfile", "copytree"):
        return owner == "shutil"
    if name in ("dump", "File", "ZipFile"):
        return owner in ("json", "yaml", "pickle") or (name != "dump" and mode(call, "w"))
    return owner not in OURS


def mode(call: ast.Call, letter: str) -> bool:
    values = [*call.args[1:], *(keyword.value for keyword in call.keywords)]
    return any(isinstance(node, ast.Constant) and node.value == letter for node in values)


def faults(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Function and line of every call that writes to a path which is not FRESH."""

    def walk(node: ast.AST, function: str, fresh: set[str]) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from walk(child, child.name, fresh | fresh_names(child))
                continue
            if isinstance(child, ast.Call) and writes(child):
                involved = {root(argument) for argument in child.args}
                if isinstance(child.func, ast.Attribute):
                    involved.add(root(child.func.value))
                if not involved & fresh:
                    yield function, child.lineno
            yield from walk(child, function, fresh)

    yield from walk(tree, "", set())


FOUND = {
    (module.removeprefix("gan3d."), function): line
    for module, path in FILES.items()
    if module != "gan3d.outputs" and module.removeprefix("gan3d.") not in OWN_FILES
    for function, line in faults(ast.parse(path.read_text(encoding="utf-8")))
}


def test_every_output_goes_through_gan3d_outputs():
    wrong = {place: line for place, line in FOUND.items() if place not in ALLOWED}
    assert not wrong, "write these by gan3d.outputs, or say here why they need not"


def test_the_list_of_exceptions_is_not_longer_than_needed():
    assert not set(ALLOWED) - set(FOUND)


@pytest.mark.parametrize(
    "line",
    [
        'path.write_text("x")',
        '(folder / "x").write_bytes(b"")',
        'open(path, "w")',
        'path.open("wb")',
        'path.open(mode="a")',
        "np.savez(path, a=a)",
        "np.save(path, a)",
        "json.dump(tree, stream)",
        "frame.to_csv(path)",
        "shutil.copy(a, b)",
        "shutil.copytree(a, b)",
        "image.save(path)",
        "figure.savefig(path)",
        "mesh.export(path)",
        "model.save(path)",
        'h5py.File(path, "w")',
    ],
)
def test_the_search_finds(line):
    assert list(faults(ast.parse(f"def f(path, folder):\n    {line}\n")))


@pytest.mark.parametrize(
    "body",
    [
        'with new_file(path) as new: new.write_text("x")',
        "with new_folder(path) as new:\n        inner = new / 'a'\n        shutil.copy(a, inner / 'b')",
        "with TemporaryDirectory() as d: np.save(Path(d) / 'x.npy', a)",
        "stream = BytesIO()\n    image.save(stream)",
        "write_text(path, 'x')",
        "path.open()",
        "path.open('rb')",
        "content = mesh.export(file_type='stl')",
        "values.copy()",
    ],
)
def test_the_search_lets_pass(body):
    assert not list(faults(ast.parse(f"def f(path):\n    {body}\n")))
