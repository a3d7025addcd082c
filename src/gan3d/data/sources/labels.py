"""Class, split and group of a shape, from its path or from a table.

Class. Folders that name a split (train, test, val, valid, validation) or a rotation count (one to three digits) say
nothing about the class; the class is the first other folder under the source: `chair/30/train/x.mat` is a chair. One
exception: a lone top folder that holds classes is a wrapper and is passed over (`ModelNet10/chair/train/x.off` in an
archive is a chair, too). It is taken for a wrapper when at least half of the folders in it look like classes: they
have a split folder above or below them, or hold at least two entries (folders with shapes, or shapes of one format).
So `chair/<id>/model.obj`, one folder a shape, stays a chair. Without any class folder, the class is the name of the
source. An archive inside the source counts as a folder of its name. Where all folders are splits or numbers, and the
numbers differ (`0/a.off`, `1/b.off`), they are the classes.

Group. Rotations and copies of one shape share a group: names that end in `_<1 or 2 digits>` after `_<6 or more
digits>` (`chair_000000587_7`), and .mat files under a rotation count; so do `x.obj`, `x.solid.binvox` and
`x.surface.binvox` (ShapeNet).
"""

import csv
import re
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gan3d.data.formats.extensions import ARCHIVES, SETS, stem, suffix
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
    """What a table says of a file; an empty split is none."""

    class_name: str
    split: str | None


def read_table(path: Path) -> dict[str, Label]:
    """A CSV with the columns `file` and `class`, perhaps `split` -> a label by file.

    A file is given by its path relative to the source, by its name, or by its name without extension.

    Raises:
        UserError: when the table cannot be read, lacks a column, or names a split that does not exist.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"data.labels: {path} cannot be read as a CSV ({error}): check the path and the file."
        ) from None
    if not rows or not {"file", "class"} <= set(rows[0]):
        raise UserError(f"data.labels: {path} needs the columns `file` and `class`, perhaps `split`: add them.")
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


def look_up(table: dict[str, Label], name: str) -> Label | None:
    """The label of a file: by its path, else by its name, else by its name without extension."""
    last = name.rsplit("/", 1)[-1]
    return next((table[known] for known in (name, last, stem(last)) if known in table), None)


def is_structural(folder: str) -> bool:
    """Does a folder's name state a split or a rotation count, not a class?"""
    return folder.lower() in SPLIT_FOLDERS or re.fullmatch(r"\d{1,3}", folder) is not None


def own_name(path: Path) -> str:
    """The class that a source without class folders states: its name, passing over `train` and the like."""
    path = path.resolve()
    names = [path.name if path.is_dir() else stem(path.name), *(parent.name for parent in path.parents)]
    return next((name for name in names if name and not is_structural(name)), "shape")


def stated_split(name: str) -> str | None:
    """The first split that the folders of a path state."""
    folders = (part.lower() for part in _folders(name))
    return next((SPLIT_FOLDERS[folder] for folder in folders if folder in SPLIT_FOLDERS), None)


def _folders(name: str) -> list[str]:
    """The folders of a path; an archive is one by its stem."""
    return [stem(part) if suffix(part) in ARCHIVES else part for part in name.split("/")[:-1]]


def class_names(names: list[str], own: str) -> dict[str, str | None]:
    """The class of each path by the module's rule; None for a file that lies beside class folders.

    A set of grids that lies directly in the source has its stem as its class.
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
        elif suffix(name) in SETS:
            result[name] = stem(name)
        else:
            result[name] = None if nested else own
    return result


def _is_wrapper(folders: dict[str, tuple[str, ...]]) -> bool:
    """Is there one top folder, and do the folders in it look like classes?"""
    if len({parts[:1] for parts in folders.values()}) != 1 or any(len(parts) < 2 for parts in folders.values()):
        return False
    entries: dict[str, Counter] = defaultdict(Counter)
    stated = set()
    seen = set()
    for name, parts in folders.items():
        child = parts[1]
        if stated_split(name):
            stated.add(child)
        if len(parts) == 2:
            entries[child][suffix(name)] += 1
        elif parts[:3] not in seen:
            seen.add(parts[:3])
            entries[child]["/"] += 1
    like_classes = {child for child, counts in entries.items() if max(counts.values()) > 1} | stated
    return 2 * len(like_classes) >= len(entries)


def group_name(name: str) -> str:
    """The group of a file: its path without extension, and without a rotation's number."""
    path = PurePosixPath(name)
    own = _VARIANT.sub("", stem(name))
    match = _ROTATION.fullmatch(own)
    if match is None and suffix(name) == ".mat" and any(re.fullmatch(r"\d{1,3}", part) for part in path.parts):
        match = _LAST_NUMBER.fullmatch(own)
    if match is None:
        return path.with_name(own).as_posix()
    folders = [part for part in path.parts[:-1] if not is_structural(part)]
    return "/".join([*folders, match[1]])
