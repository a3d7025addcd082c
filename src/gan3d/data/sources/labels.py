"""Class, split and group of a shape, from its path or from a table of labels.

Class: the first folder that is neither a split (train, test, val, valid, validation) nor a rotation count (one to three
digits), so `chair/30/train/x.mat` is a chair. A single top folder that holds class folders is a wrapper and is skipped:
`ModelNet10/chair/train/x.off` in an archive is a chair, too. It is a wrapper if at least half of its subfolders look
like classes, that is, have a split folder above or below them, or hold at least two entries (folders with shapes, or
shapes of one format); so `chair/<id>/model.obj`, with one folder per shape, stays a chair. Without class folders, the
class is the name of the source. An archive inside the source counts as a folder. If all folders are splits or
numbers, and the numbers differ (`0/a.off`, `1/b.off`), the numbers are the classes.

Group: shapes that must stay in one split. Rotations and copies of a shape share a group: names that end in `_<1 or 2
digits>` after `_<6 or more digits>` (`chair_000000587_7`), .mat files below a rotation count, and `x.obj`,
`x.solid.binvox` and `x.surface.binvox` (ShapeNet).
"""

import csv
import re
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gan3d.data.formats.extensions import ARCHIVES, ARRAY_SETS, stem, suffix
from gan3d.errors import UserError

SPLIT_FOLDERS = {
    "train": "train",
    "test": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
_ROTATION = re.compile(r"(.*_\d{6,})_\d{1,2}")
_VARIANT = re.compile(r"\.(solid|surface)$")
_LAST_NUMBER = re.compile(r"(.+)_\d{1,3}")


class Label(NamedTuple):
    """The class of a file, and its split if the source states one."""

    class_name: str
    split: str | None


def read_table(path: Path) -> dict[str, Label]:
    """Read a CSV with the columns `file`, `class` and, optionally, `split`.

    Returns:
        Labels by file, which is a path relative to the source, a file name, or a file name without extension.

    Raises:
        UserError: if the table cannot be read, lacks a column, or names an unknown split.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"data.labels: {path} cannot be read as a CSV ({error}): check the path and the file."
        ) from None
    if not rows or not {"file", "class"} <= set(rows[0]):
        raise UserError(f"data.labels: {path} needs the columns `file` and `class`, and may have `split`: add them.")
    table = {}
    for number, row in enumerate(rows, 2):
        split, class_name = (row.get("split") or "").strip().lower(), (row["class"] or "").strip()
        if split and split not in SPLIT_FOLDERS:
            raise UserError(
                f"data.labels: line {number} of {path} has the split {split!r}: use train, validation or test."
            )
        if not class_name or not row["file"]:
            raise UserError(f"data.labels: line {number} of {path} names no file or no class: fill it in.")
        table[row["file"].strip().replace("\\", "/")] = Label(class_name, SPLIT_FOLDERS.get(split))
    return table


def find_label(table: dict[str, Label], name: str) -> Label | None:
    """The label of a file by its path, else by its name, else by its name without extension."""
    last = name.rsplit("/", 1)[-1]
    return next((table[key] for key in (name, last, stem(last)) if key in table), None)


def is_structural(folder: str) -> bool:
    """Whether a folder's name is a split or a rotation count, not a class."""
    return folder.lower() in SPLIT_FOLDERS or re.fullmatch(r"\d{1,3}", folder) is not None


def default_class(path: Path) -> str:
    """The class of a source without class folders: its name, or that of a parent if it is `train` or the like."""
    path = path.resolve()
    names = [path.name if path.is_dir() else stem(path.name), *(parent.name for parent in path.parents)]
    return next((name for name in names if name and not is_structural(name)), "shape")


def split_of_path(name: str) -> str | None:
    """The split named by the first split folder of a path."""
    folders = (part.lower() for part in _folders(name))
    return next((SPLIT_FOLDERS[folder] for folder in folders if folder in SPLIT_FOLDERS), None)


def _folders(name: str) -> list[str]:
    """The folders of a path; an archive counts by its stem."""
    return [stem(part) if suffix(part) in ARCHIVES else part for part in name.split("/")[:-1]]


def classes_of_paths(names: list[str], default: str) -> dict[str, str | None]:
    """The class of each path by the rule above; None for a file next to class folders.

    An array set that lies directly in the source gives its stem as the class.

    Args:
        names: paths relative to the source.
        default: the class if there are no class folders.
    """
    folders = {name: tuple(part for part in _folders(name) if not is_structural(part)) for name in names}
    if not any(folders.values()):
        numbers = {name: tuple(part for part in _folders(name) if part.lower() not in SPLIT_FOLDERS) for name in names}
        if all(numbers.values()) and len({parts[0] for parts in numbers.values()}) > 1:
            folders = numbers
    while _is_wrapper(folders):
        folders = {name: parts[1:] for name, parts in folders.items()}
    nested = any(folders.values())
    result: dict[str, str | None] = {}
    for name, parts in folders.items():
        if parts:
            result[name] = parts[0]
        elif suffix(name) in ARRAY_SETS:
            result[name] = stem(name)
        else:
            result[name] = None if nested else default
    return result


def _is_wrapper(folders: dict[str, tuple[str, ...]]) -> bool:
    """Whether there is a single top folder whose subfolders look like classes."""
    if len({parts[:1] for parts in folders.values()}) != 1 or any(len(parts) < 2 for parts in folders.values()):
        return False
    entries: dict[str, Counter] = defaultdict(Counter)
    with_split = set()
    seen = set()
    for name, parts in folders.items():
        child = parts[1]
        if split_of_path(name):
            with_split.add(child)
        if len(parts) == 2:
            entries[child][suffix(name)] += 1
        elif parts[:3] not in seen:
            seen.add(parts[:3])
            entries[child]["/"] += 1
    class_like = {child for child, counts in entries.items() if max(counts.values()) > 1} | with_split
    return 2 * len(class_like) >= len(entries)


def group_of_path(name: str) -> str:
    """The group of a file: its path without the extension and the rotation number."""
    path = PurePosixPath(name)
    base = _VARIANT.sub("", stem(name))
    match = _ROTATION.fullmatch(base)
    if match is None and suffix(name) == ".mat" and any(re.fullmatch(r"\d{1,3}", part) for part in path.parts):
        match = _LAST_NUMBER.fullmatch(base)
    if match is None:
        return path.with_name(base).as_posix()
    folders = [part for part in path.parts[:-1] if not is_structural(part)]
    return "/".join([*folders, match[1]])
