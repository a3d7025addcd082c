"""Write values into params.yaml; nothing but their own characters changes."""

import difflib
from pathlib import Path
from typing import Any

import yaml

from gan3d.errors import UserError
from gan3d.outputs import write_bytes


def replace(text: str, stage: str, values: dict[str, Any]) -> str:
    """Replace some values of train.stages.<stage> in the text of params.yaml; all else stays, byte for byte.

    Raises:
        UserError: if the stage or a value is not in the file, or shared by an anchor.
    """
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    for part in ("train", "stages", stage):
        node = _child(node, part, f"train.stages.{stage}")
    spans = []
    for name, value in values.items():
        found = _child(node, name, f"train.stages.{stage}.{name}")
        if yaml.safe_load(text[found.start_mark.index : found.end_mark.index]) != value:
            start, end = found.start_mark.index, found.end_mark.index
            space = " " if start == end else ""  # an empty value starts at its colon
            spans.append((start, end, space + to_yaml(value)))
    changed = text
    for start, end, new in sorted(spans, reverse=True):
        changed = changed[:start] + new + changed[end:]
    _check(text, changed, stage, values)
    return changed


def _check(text: str, changed: str, stage: str, values: dict[str, Any]) -> None:
    """Raise UserError if anything but the values has changed, as where an alias repeats one of them."""
    expected = yaml.safe_load(text)
    expected["train"]["stages"][stage] = expected["train"]["stages"][stage] | values
    try:
        same = yaml.safe_load(changed) == expected
    except yaml.YAMLError:
        same = False
    if not same:
        raise UserError(
            f"params.yaml shares values of train.stages.{stage} with other keys, by & and *: write them out first."
        )


def to_yaml(value: Any) -> str:
    """A number in YAML's notation: 1.0e-05, since 1e-05 is a string there."""
    return yaml.safe_dump(value).splitlines()[0]


def write(path: Path, stage: str, values: dict[str, Any]) -> str:
    """Change the file; returns the unified diff, empty if nothing changed."""
    with path.open(encoding="utf-8", newline="") as lines:
        old = lines.read()
    new = replace(old, stage, values)
    if new != old:
        write_bytes(path.resolve(), new.encode())  # a person may have linked it
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, path.name, path.name, n=1))


def _child(node: yaml.Node | None, name: str, where: str) -> yaml.Node:
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value == name:
            return value
    raise UserError(f"{where} is missing in params.yaml: add it there.")
