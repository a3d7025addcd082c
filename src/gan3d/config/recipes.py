"""Recipes: named differences from the default parameters, applied to params.yaml without losing its comments.

RECIPES/<name>.yaml holds what differs from `defaults.yaml` beside this module, under the same keys; its first comment
describes it. The stages that it names are all stages: the others are removed, and values that a stage leaves out are
those of the default stage of its name. The recipe `default` holds every default.
"""

import copy
import difflib
import subprocess
from collections.abc import Iterator, Mapping
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.tokens import CommentToken

from gan3d.config.loading import explain
from gan3d.config.schema import Params
from gan3d.errors import UserError
from gan3d.outputs import write_bytes

DEFAULT = "default"
Tree = dict[str, Any]


def default_text() -> str:
    """The params.yaml that the repository comes with."""
    return files("gan3d.config").joinpath("defaults.yaml").read_text(encoding="utf-8")


def names(folder: Path) -> list[str]:
    """The default and the recipes of a folder, in order."""
    return [DEFAULT, *sorted(path.stem for path in folder.glob("*.yaml"))]


def text_of(name: str, folder: Path) -> str:
    """The file of a recipe, with the comments that describe it.

    Raises:
        UserError: for an unknown name.
    """
    if name == DEFAULT:
        return default_text()
    if name not in names(folder):
        raise UserError(f"recipe {name!r} does not exist: choose one of {', '.join(names(folder))}.")
    return (folder / f"{name}.yaml").read_text(encoding="utf-8")


def description(name: str, folder: Path) -> str:
    """The first comment of a recipe."""
    first = text_of(name, folder).partition("\n")[0].lstrip("# ")
    return "The default: 4³ to 16³ in ten minutes on two CPU cores." if name == DEFAULT else first


def changed(tree: Tree, name: str, folder: Path) -> Tree:
    """The parameters of a tree, changed as a recipe says.

    Raises:
        UserError: for an unknown recipe, or one that is not valid.
    """
    recipe = yaml.safe_load(text_of(name, folder))
    if not isinstance(recipe, dict):
        raise UserError(f"{folder / name}.yaml holds no keys: write what differs from the defaults.")
    result = _merge(tree, recipe)
    wanted = (recipe.get("train") or {}).get("stages")
    if wanted:
        defaults = yaml.safe_load(default_text())["train"]["stages"]
        result["train"]["stages"] = {stage: {**defaults.get(stage, {}), **own} for stage, own in wanted.items()}
    try:
        Params.model_validate(result)
    except ValidationError as error:
        raise UserError(f"recipe {name}: {explain(error, result)}") from None
    return result


def apply(text: str, name: str, folder: Path) -> str:
    """The text of params.yaml, changed as a recipe says; comments and the order of keys stay.

    Raises:
        UserError: as `changed`.
    """
    target = changed(yaml.safe_load(text), name, folder)
    if target == yaml.safe_load(text):
        return text
    if target == yaml.safe_load(default_text()) and _comments(text) <= _comments(default_text()):
        return default_text()
    document = _round_trip().load(text)
    _set(document, target)
    out = StringIO()
    _round_trip().dump(document, out)
    return out.getvalue()


def write(path: Path, name: str, folder: Path, force: bool = False) -> str:
    """Apply a recipe to params.yaml; returns the unified diff, empty if nothing changes.

    Raises:
        UserError: as `changed`; and without `force`, where the file has edits that Git does not have.
    """
    old = path.read_text(encoding="utf-8")
    new = apply(old, name, folder)
    if new != old:
        if not force and not _is_kept(path, old, folder):
            raise UserError(
                f"{path.name} has edits that are not committed: commit them, or overwrite them with --force."
            )
        write_bytes(path.resolve(), new.encode())
    return difference(old, new, path.name)


def difference(old: str, new: str, name: str) -> str:
    """A unified diff."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, name, name, n=1))


def others(text: str, name: str, folder: Path) -> list[str]:
    """The keys whose values are neither the defaults nor the recipe's, as after an earlier recipe or an edit."""
    here = dict(_leaves(yaml.safe_load(text)))
    wanted = dict(_leaves(changed(yaml.safe_load(default_text()), name, folder)))
    return [key for key in here if here[key] != wanted.get(key)]


def overrides(text: str, name: str, folder: Path) -> list[str]:
    """What turns the parameters of a text into those of a recipe, as `dvc exp run -S` takes it."""
    tree = yaml.safe_load(text)
    target = changed(tree, name, folder)
    before, after = dict(_leaves(tree)), dict(_leaves(target))
    gone = [f"~train.stages.{stage}" for stage in tree["train"]["stages"] if stage not in target["train"]["stages"]]
    return [*(f"++{key}={_flow(value)}" for key, value in after.items() if before.get(key, "") != value), *gone]


def _merge(tree: Tree, changes: Mapping[str, Any]) -> Tree:
    result = copy.deepcopy(tree)
    for key, value in changes.items():
        inner = isinstance(value, dict) and isinstance(result.get(key), dict) and key not in ("stages", "space")
        result[key] = _merge(result[key], value) if inner else copy.deepcopy(value)
    return result


def _leaves(tree: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """All values by key, as train.stages.r16.batch; a list is one value."""
    if not isinstance(tree, dict):
        yield ".".join(path), tree
        return
    for key, value in tree.items():
        yield from _leaves(value, *path, str(key))


def _comments(text: str) -> set[str]:
    return {line.partition("#")[2].strip() for line in text.splitlines()}


def _flow(value: Any) -> str:
    """A value as Hydra reads it on the command line, without a space."""
    if isinstance(value, list):
        return f"[{','.join(map(_flow, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _round_trip() -> YAML:
    """As DVC reads and writes params.yaml."""
    parser = YAML()
    parser.preserve_quotes = True
    parser.width = 4096
    parser.representer.add_representer(
        type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "")
    )
    return parser


def _set(document: CommentedMap, target: Tree) -> None:
    """Change the values of a document to those of a tree with the same keys."""
    for key, value in target.items():
        if key == "stages":
            if dict(_leaves(document[key])) != dict(_leaves(value)) or list(document[key]) != list(value):
                document[key] = _stages(document[key], value)
        elif isinstance(value, dict) and isinstance(document.get(key), dict):
            _set(document[key], value)
        elif document.get(key) != value:
            document[key] = _block(value)


def _block(value: Any) -> Any:
    return CommentedSeq(value) if isinstance(value, list) else value


def _stages(old: CommentedMap, target: Tree) -> CommentedMap:
    """Other stages in the place of `old`: the first one has the comments, the last one what follows the section."""
    first, last = next(iter(old.values())), list(old.values())[-1]
    notes = {key: _comment(first, key).partition("\n")[0] for key in first}
    tail = _comment(last, list(last)[-1]).partition("\n")[2]
    result = CommentedMap()
    for number, (stage, values) in enumerate(target.items()):
        row = CommentedMap((key, _block(value)) for key, value in values.items())
        for key, note in notes.items():
            if number == 0 and note and key in row and not isinstance(row[key], list):
                row.yaml_add_eol_comment(note, key, column=24)
        result[stage] = row
    ends = list(row)[-1]
    note = _comment(row, ends).rstrip("\n")
    row.ca.items[ends] = [None, None, CommentToken(f"{note}\n{tail}", CommentMark(24)), None]
    return result


def _comment(row: CommentedMap, key: str) -> str:
    """What follows a value up to the next one: its comment, and blank lines."""
    token = (row.ca.items.get(key) or [None] * 3)[2]
    return "" if token is None else token.value


def _is_kept(path: Path, text: str, folder: Path) -> bool:
    """Whether no edit is lost with the values of a text: each one is committed in Git, a default, or a recipe's."""
    done = subprocess.run(
        ["git", "show", f"HEAD:./{path.name}"], cwd=path.parent, capture_output=True, text=True, check=False
    )
    defaults = yaml.safe_load(default_text())
    trees = [defaults, *(changed(defaults, name, folder) for name in names(folder))]
    if done.returncode == 0:
        trees.append(yaml.safe_load(done.stdout))
    known = [dict(_leaves(tree)) for tree in trees]
    return all(
        any(key in each and each[key] == value for each in known) for key, value in _leaves(yaml.safe_load(text))
    )
