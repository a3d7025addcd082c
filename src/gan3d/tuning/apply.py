"""The best values into params.yaml: only the values' own characters change."""

import difflib
from pathlib import Path
from typing import Any

import yaml

from gan3d.errors import UserError


def replace(text: str, stage: str, values: dict[str, Any]) -> str:
    """The text of a parameter file with some values of train.stages.<stage> replaced; all else stays, byte for byte.

    Raises:
        UserError: when the file does not have a stage or one of its values, or shares one by an anchor.
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
            spans.append((start, end, space + plain(value)))
    changed = text
    for start, end, new in sorted(spans, reverse=True):
        changed = changed[:start] + new + changed[end:]
    _check(text, changed, stage, values)
    return changed


def _check(text: str, changed: str, stage: str, values: dict[str, Any]) -> None:
    """Raise UserError unless the values have changed and nothing else, as where an alias stands for another value."""
    wanted = yaml.safe_load(text)
    wanted["train"]["stages"][stage] = wanted["train"]["stages"][stage] | values
    try:
        same = yaml.safe_load(changed) == wanted
    except yaml.YAMLError:
        same = False
    if not same:
        raise UserError(
            f"params.yaml shares values of train.stages.{stage} with others, by & and *: write them out there first."
        )


def plain(value: Any) -> str:
    """A number as YAML reads it back: 1.0e-05, since 1e-05 would be a text."""
    return yaml.safe_dump(value).splitlines()[0]


def write(path: Path, stage: str, values: dict[str, Any]) -> str:
    """Change the file; returns the difference as unified diff, empty when nothing changed."""
    with path.open(encoding="utf-8", newline="") as lines:
        old = lines.read()
    new = replace(old, stage, values)
    if new != old:
        with path.open("w", encoding="utf-8", newline="") as out:
            out.write(new)
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, path.name, path.name, n=1))


def _child(node: yaml.Node | None, name: str, where: str) -> yaml.Node:
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value == name:
            return value
    raise UserError(f"{where} is not written out in params.yaml: add it there.")
