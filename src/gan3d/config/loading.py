"""Read and check params.yaml; every error is one sentence."""

import difflib
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from gan3d.config.schema import NAME_PATTERN, SHA256_PATTERN, Params, Range, Section, Stage
from gan3d.errors import UserError

S = TypeVar("S", bound=Section)
ALTERNATIVE = re.compile(r"^(str|int|float|bool|none|dict\[|tuple\[|literal\[|function-|constrained-|Range$)")
PATTERNS = {
    NAME_PATTERN: "use letters, digits, '.', '_' and '-', at most 100, and begin with a letter or digit",
    SHA256_PATTERN: "write the 64 hexadecimal digits that `sha256sum` prints",
}

# keys of 0.1 and their names today; 0.2 still reads the old ones
RENAMED = {
    "track.log": "logging.metrics_every",
    "track.picture": "logging.samples_every",
    "track.checkpoint": "logging.checkpoint_every",
    "track.pictured": "logging.samples_per_class",
    "data.seconds": "data.timeout",
    "data.memory": "data.memory_limit",
}


class _Loader(yaml.SafeLoader):
    """YAML in which a key that occurs twice is an error, as in DVC, and not silently the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, where in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<" and keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} occurs twice", where.start_mark
                )
        return super().construct_mapping(node, deep)


def load_params(path: Path) -> Params:
    """Read and validate a parameter file.

    Raises:
        UserError: naming the file, the key and what is allowed.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: copy params.yaml from the repository.") from None
    except RecursionError:
        raise UserError(f"{path} is not valid YAML (its lists are nested too deeply): fix it.") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} is not valid YAML ({' '.join(str(error).split())}): fix it.") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path} holds no keys: copy params.yaml from the repository.")
    if old := rename_keys(tree):
        new = ", ".join(f"{key} is now {RENAMED[key]}" for key in old)
        logging.getLogger(__name__).warning("%s has old keys: %s; rename them.", path, new)
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, tree)}") from None


def rename_keys(tree: dict[str, Any]) -> list[str]:
    """Move the values of renamed keys to their new names, in place; returns the old keys found."""
    found = []
    for old, new in RENAMED.items():
        (section, key), (new_section, new_key) = old.split("."), new.split(".")
        if isinstance(tree.get(section), dict) and key in tree[section]:
            tree.setdefault(new_section, {}).setdefault(new_key, tree[section].pop(key))
            found.append(old)
    if tree.get("track") == {}:
        del tree["track"]
    return found


def override_section(defaults: S, given: dict[str, Any]) -> S:
    """A section with some values replaced, as by command line options.

    Raises:
        UserError: naming the invalid option.
    """
    try:
        return type(defaults).model_validate(defaults.model_dump() | given)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        allowed = dict.fromkeys(_allowed(each) for each in error.errors() if each["loc"][0] == first["loc"][0])
        raise UserError(f"--{option} {first['input']!r} is invalid: {' or '.join(allowed)}.") from None


def explain(error: ValidationError, tree: dict[str, Any]) -> str:
    """The first error in one sentence: its key, what is wrong and what is allowed; and the number of errors."""
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")  # before the key that it misses
    where = _path(first["loc"], tree)
    choices = [each for each in error.errors() if _path(each["loc"], tree) == where]
    if first["type"] == "extra_forbidden":
        section: Any = Params
        for part in first["loc"][:-1]:
            section = _inside(section, part)
        near = difflib.get_close_matches(str(first["loc"][-1]).lower(), section.model_fields, 1, 0.5)
        known = f"did you mean {near[0]}?" if near else f"use one of {', '.join(section.model_fields)}."
        text = f"{where} is not a known key; {known}"
    elif first["type"] == "missing":
        text = f"{where} is missing; add it as in the repository's params.yaml."
    else:
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] != "value_error":
            message = f"{_shown(first['input'])} is invalid: {' or '.join(_allowed(each) for each in choices)}"
        text = f"{where + ': ' if where else ''}{message[0].lower() if where else message[0]}{message[1:]}."
    more = error.error_count() - len(choices)
    return text + (f" ({more} more after this one.)" if more else "")


def _allowed(error: Mapping[str, Any]) -> str:
    """What a value may be, by one of pydantic's errors."""
    if error["type"] == "string_pattern_mismatch":
        return PATTERNS[error["ctx"]["pattern"]]
    return error["msg"].removeprefix("Value error, ")


def _shown(value: Any) -> str:
    """A value as YAML would have it, in short."""
    if value is None:
        return "an empty value"
    text = repr(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _path(location: tuple[int | str, ...], tree: Any) -> str:
    """The keys of an error as written in the file; pydantic adds the alternatives of a union to them."""
    keys = []
    for i, part in enumerate(location):
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            missing = i == len(location) - 1 and (isinstance(tree, dict) or isinstance(part, int))
            if not missing and isinstance(tree, dict) and i < len(location) - 1:
                continue  # pydantic's name of a union's alternative
            if not missing or ALTERNATIVE.search(str(part)):
                break
        keys.append(str(part))
    return ".".join(keys)


def _inside(section: Any, part: Any) -> Any:
    """The model class behind a key."""
    if isinstance(section, type) and issubclass(section, BaseModel) and part in section.model_fields:
        inside = {"stages": Stage, "space": Range}  # dictionaries of sections
        return inside[part] if part in inside else section.model_fields[part].annotation
    return section
