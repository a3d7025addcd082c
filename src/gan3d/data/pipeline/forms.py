"""Forms of one shape: files that hold the same object in several formats, which must stay in one split.

Files are forms of one shape if they share a folder of their own (`IKEA_1/model.obj`, `IKEA_1/voxel.mat`), or a stem
(`obj/chair_1.obj`, `binvox/chair_1.binvox`).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from gan3d.data.formats.extensions import suffix
from gan3d.data.formats.names import nfc
from gan3d.data.pipeline import splits
from gan3d.data.sources.labels import FORMAT_FOLDERS, base_of, is_one_object, is_split
from gan3d.data.sources.walk import SourceItem

MAX_FORMS = 16  # files of one shape


def join_forms(items: list[SourceItem]) -> list[SourceItem]:
    """Give the forms of one shape one group; all other groups stay as they are."""
    files = {(item.class_name, item.file): item for item in items if item.row is None or item.row == 0}
    rows = Counter((item.class_name, item.file) for item in items)
    single = {key: item for key, item in files.items() if rows[key] == 1}
    if not single:
        return items
    keys = list(single)
    folders, stems = _by_folder(keys), _by_stem(keys)
    if not folders and not stems:
        return items
    labels = splits.components(
        [(name, single[name, file].group) for name, file in keys],
        [folders.get(key, key) for key in keys],
        [stems.get(key, key) for key in keys],
    ).tolist()
    groups: dict[int, set[str]] = defaultdict(set)
    for label, key in zip(labels, keys, strict=True):
        groups[label].add(single[key].group)
    joined = {key: min(groups[label]) for label, key in zip(labels, keys, strict=True) if len(groups[label]) > 1}
    if not joined:
        return items
    return [
        replace(item, group=joined[key]) if (key := (item.class_name, item.file)) in joined else item for item in items
    ]


def _by_folder(files: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple]:
    """The folder of one shape that a file lies in, the outermost one."""
    inside: dict[tuple, set[str]] = defaultdict(set)  # files below each folder of a class, relative to it
    for name, file in files:
        parts = nfc(file).split("/")
        for depth in range(_first_depth(name, parts), len(parts)):
            if len(inside[(name, *parts[:depth])]) <= MAX_FORMS:  # more are no forms of one shape
                inside[(name, *parts[:depth])].add("/".join(parts[depth:]))
    recurring = _recurring(inside)
    found = {}
    for name, file in files:
        parts = nfc(file).split("/")
        for depth in range(_first_depth(name, parts), len(parts)):
            key = (name, *parts[:depth])
            if 1 < len(inside[key]) <= MAX_FORMS and (is_one_object(inside[key]) or key in recurring):
                found[name, file] = key
                break
    return found


def _first_depth(class_name: str, parts: list[str]) -> int:
    """The number of folders down to the first that may be that of one shape: not a class, nor a split at its end."""
    depth = parts.index(class_name) + 2 if class_name in parts[:-1] else 1
    while depth < len(parts) and is_split(parts[depth - 1]):
        depth += 1
    return depth


def _recurring(inside: dict[tuple, set[str]]) -> set[tuple]:
    """Folders side by side that hold the same few files, and are more than these: `<id>/low.obj`, `<id>/high.obj`."""
    beside: dict[tuple, dict[frozenset, list[tuple]]] = defaultdict(lambda: defaultdict(list))
    for folder, files in inside.items():
        if 1 < len(files) <= MAX_FORMS:
            beside[folder[:-1]][frozenset(files)].append(folder)
    return {
        folder
        for by_files in beside.values()
        for files, folders in by_files.items()
        if len(folders) >= 3 and len(folders) > len(files)
        for folder in folders
    }


def _by_stem(files: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple]:
    """What files of one shape in folders of formats share: their path without these, or a stem of their own."""
    if len({suffix(file) for _, file in files}) == 1:
        return {}
    by_path: dict[tuple, list[tuple[str, str]]] = defaultdict(list)
    by_base: dict[tuple, list[tuple[str, str]]] = defaultdict(list)
    for name, file in files:
        path = PurePosixPath(nfc(file))
        folders = tuple(part for part in path.parts[:-1] if part.casefold() not in FORMAT_FOLDERS)
        by_path[(name, *folders, base_of(file))].append((name, file))
        by_base[name, base_of(file)].append((name, file))
    found: dict[tuple[str, str], tuple] = {}
    for groups in (by_base, by_path):
        for key, members in groups.items():
            kinds = [suffix(file) for _, file in members]
            if 1 < len(members) <= MAX_FORMS and (len(set(kinds)) == len(kinds)):
                found |= dict.fromkeys(members, key)
    return found
