"""Class, split and group of a shape, from its path or from a table of labels.

Class: the first folder that is neither a split (train, test, val and the other names in `gan3d.data.formats.names`) nor
a rotation count (one to three digits), so `chair/30/train/x.mat` is a chair. A single top folder that holds class
folders is a wrapper and is skipped: `ModelNet10/chair/train/x.off` in an archive is a chair, too. It is a wrapper if at
least half of its subfolders look like classes, that is, have a split folder above or below them, or hold at least two
entries (folders with shapes, or shapes of one format); so `chair/<id>/model.obj`, with one folder per shape, stays a
chair. Folders named after formats (`obj/…` beside `binvox/…`) are skipped, and so are folders of one shape each
(`Item_1/model.off`, `Item_2/model.off`, …). Without class folders, the class is the name of the source. An archive
inside the source counts as a folder. If all folders are splits or numbers, and the numbers differ (`0/a.off`,
`1/b.off`), the numbers are the classes.

Split: a folder or set of arrays that names one, alone (`training`, `X_test.npy`) or, if others of the same kind name
other splits, beside a class (`chair_train.npz`, `chair_test.npz`).

Group: shapes that must stay in one split. Rotations and copies of a shape share a group: names that end in `_<1 or 2
digits>` after `_<6 or more digits>` (`chair_000000587_7`), .mat files below a rotation count, and `x.obj`,
`x.solid.binvox` and `x.surface.binvox` (ShapeNet).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gan3d.data.formats.extensions import ARCHIVES, ARRAY_SETS, stem, suffix
from gan3d.data.formats.names import cut_split, nfc, parse_name, split_of_word, words_of

_ROTATION = re.compile(r"(.*_\d{6,})_\d{1,2}")
_VARIANT = re.compile(r"\.(solid|surface|presolid|filled)$")
_LAST_NUMBER = re.compile(r"(.+)_\d{1,3}")
FORMAT_FOLDERS = {
    *("off", "obj", "ply", "stl", "glb", "gltf", "3mf", "dae", "binvox", "mat", "npy", "npz", "h5", "hdf5"),
    *("vox", "nii", "mesh", "meshes", "voxel", "voxels", "grid", "grids", "volumes"),
}  # fmt: skip
MIN_OBJECT_FOLDERS = 3  # fewer folders of one shape each are classes


class Label(NamedTuple):
    """The class of a file, and its split if the source states one."""

    class_name: str
    split: str | None


class Place(NamedTuple):
    """What the path of a file tells.

    Attributes:
        split: the split that it states, if any.
        folders: its folders, without those that name only a split.
        stem: of the file, without a split that it names.
    """

    split: str | None
    folders: tuple[str, ...]
    stem: str


def find_label(table: dict[str, Label], name: str) -> Label | None:
    """The label of a file by its path, name, name without extension, or its innermost folder in the table."""
    name = nfc(name)
    last = name.rsplit("/", 1)[-1]
    folders = [parent.as_posix() for parent in PurePosixPath(name).parents]
    return next((table[key] for key in (name, last, stem(last), *folders) if key in table), None)


def is_structural(folder: str) -> bool:
    """Whether a folder's name is a split or a rotation count, not a class."""
    return is_split(folder) or _is_count(folder)


def is_split(folder: str) -> bool:
    """Whether a folder's name is that of a split, and of nothing else."""
    found = cut_split(folder)
    return found is not None and not found[1]


def _is_count(folder: str) -> bool:
    return re.fullmatch(r"\d{1,3}", folder) is not None


def default_class(path: Path) -> str:
    """The class of a source without class folders: its name, or that of a parent if it is `train` or the like."""
    path = path.resolve()
    names = [path.name if path.is_dir() else stem(path.name), *(parent.name for parent in path.parents)]
    return nfc(next((name for name in names if name and not is_structural(name)), "shape"))


def split_of_path(name: str) -> str | None:
    """The split named by the first split folder of a path."""
    return next((found[0] for part in _folders(name) if (found := cut_split(part)) and not found[1]), None)


def _folders(name: str) -> list[str]:
    """The folders of a path in NFC; an archive counts by its stem."""
    parts = nfc(name).split("/")[:-1]
    return [stem(part) if suffix(part) in ARCHIVES else part for part in parts]


def find_places(names: Iterable[str], sets: Collection[str] | None = None) -> dict[str, Place]:
    """What the paths of a source tell, together: whether a name means a split depends on those beside it.

    Args:
        names: paths relative to the source.
        sets: those that hold many grids; by default all with the extension of a set.
    """
    names = list(names)
    sets = {name for name in names if suffix(name) in ARRAY_SETS} if sets is None else set(sets)
    parts = {name: (*_folders(name), nfc(stem(name))) for name in names}
    beside: dict[tuple, set[str]] = defaultdict(set)  # folders, and sets of arrays, in each folder
    files: dict[tuple, set[str]] = defaultdict(set)  # other files
    for name, path in parts.items():
        for depth, part in enumerate(path[:-1]):
            beside[path[:depth]].add(part)
        (beside if name in sets else files)[path[:-1]].add(path[-1])
    told = {parent: _splits_among(children) for parent, children in beside.items()}
    told_files = {parent: _splits_of_files(children) for parent, children in files.items()}
    result = {}
    for name, path in parts.items():
        split, folders = None, []
        for depth, part in enumerate(path[:-1]):
            found = told[path[:depth]].get(part)
            split = split or (found[0] if found else None)
            folders += [part] if found is None else [found[1]] if found[1] else []
        last = path[-1]
        found = (told if name in sets else told_files)[path[:-1]].get(last)
        if found is not None:
            split = split or found[0]
            last = found[1] if name in sets else last
        elif name in sets and parse_name(last).role == "grids" and not parse_name(last).rest:
            last = ""  # voxels.npz
        result[name] = Place(split, tuple(folders), last)
    return result


def _splits_among(names: set[str]) -> dict[str, tuple[str, str]]:
    """Split and rest of those among the names in one folder that mean a split."""
    cut = {name: found for name in names if (found := cut_split(name))}
    alone = {name: (split, "") for name, (split, rest, _) in cut.items() if not rest}
    others = {name for name in names if name not in cut and not _is_count(name)}
    if others and len(alone) == 1 and len(names) > 2 and split_of_word(next(iter(alone))):
        alone = {}  # `train` beside `bus` and `car` is a class
    splits: dict[tuple[str, str], set[str]] = defaultdict(set)
    for split, rest, place in cut.values():
        splits[rest.casefold(), place].add(split)
    places = {place for (rest, place), found in splits.items() if rest and len(found) > 1}
    composite = {name: (split, rest) for name, (split, rest, place) in cut.items() if rest and place in places}
    return alone | composite


def _splits_of_files(names: set[str]) -> dict[str, tuple[str, str]]:
    """The splits of single shapes in one folder, if the name of each begins or ends with one: `train_001`."""
    cut = {}
    for name in names:
        found = cut_split(name)
        if found is None:
            return {}
        cut[name] = found
    if len({split for split, *_ in cut.values()}) < 2:
        return {}
    if len({place for *_, place in cut.values()}) > 1 and any(rest for _, rest, _ in cut.values()):
        return {}
    return {name: (split, rest) for name, (split, rest, _) in cut.items()}


def classes_of_paths(
    names: list[str], default: str, sets: Collection[str] | None = None, places: dict[str, Place] | None = None
) -> dict[str, str | None]:
    """The class of each path by the rule above; None for a file next to class folders.

    A set of arrays that lies directly in the source gives its stem as the class.

    Args:
        names: paths relative to the source.
        default: the class if there are no class folders.
        sets: paths of sets of many grids; by default all with the extension of a set.
        places: from `find_places`, if known.
    """
    sets = {name for name in names if suffix(name) in ARRAY_SETS} if sets is None else sets
    places = find_places(names, sets) if places is None else places
    folders = {name: tuple(part for part in places[name].folders if not _is_count(part)) for name in names}
    if not any(folders.values()):
        numbers = {name: places[name].folders for name in names}
        if all(numbers.values()) and len({parts[0] for parts in numbers.values()}) > 1:
            folders = numbers
    folders = _without_formats(folders)
    while _is_wrapper(folders, places):
        folders = {name: parts[1:] for name, parts in folders.items()}
    if _are_objects(folders):
        folders = dict.fromkeys(folders, ())
    nested = any(folders.values())
    result: dict[str, str | None] = {}
    for name, parts in folders.items():
        if parts:
            result[name] = parts[0]
        elif name in sets:
            result[name] = places[name].stem or default
        else:
            result[name] = None if nested else default
    return result


def _without_formats(folders: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Leave out folders that only tell a format, where several stand side by side: `obj/…` and `binvox/…`."""
    beside: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for parts in set(folders.values()):
        for depth, part in enumerate(parts):
            beside[parts[:depth]].add(part)
    formats = {
        parent for parent, found in beside.items() if len(found) > 1 and {f.casefold() for f in found} <= FORMAT_FOLDERS
    }
    if not formats:
        return folders
    return {
        name: tuple(part for depth, part in enumerate(parts) if parts[:depth] not in formats)
        for name, parts in folders.items()
    }


def _is_wrapper(folders: dict[str, tuple[str, ...]], places: dict[str, Place]) -> bool:
    """Whether there is a single top folder whose subfolders look like classes."""
    if len({parts[:1] for parts in folders.values()}) != 1 or any(len(parts) < 2 for parts in folders.values()):
        return False
    if _are_objects({name: parts[1:] for name, parts in folders.items()}):
        return False
    entries: dict[str, Counter] = defaultdict(Counter)
    with_split = set()
    seen = set()
    for name, parts in folders.items():
        child = parts[1]
        if places[name].split:
            with_split.add(child)
        if len(parts) == 2:
            entries[child][suffix(name)] += 1
        elif parts[:3] not in seen:
            seen.add(parts[:3])
            entries[child]["/"] += 1
    class_like = {child for child, counts in entries.items() if max(counts.values()) > 1} | with_split
    return 2 * len(class_like) >= len(entries)


def _are_objects(folders: dict[str, tuple[str, ...]]) -> bool:
    """Whether the top folders hold the files of one shape each, and are no classes.

    So it is if there are at least three, nearly all with files of one shape, and their names are those of a series
    (`Item_12`, hashes), or have numbers and hold a file of the same name.
    """
    files: dict[str, set[str]] = defaultdict(set)
    for name, parts in folders.items():
        if not parts:
            return False
        path = [*_folders(name), nfc(name).rsplit("/", 1)[-1]]
        inside = path[path.index(parts[0]) + 1 :] if parts[0] in path else path
        files[parts[0]].add("/".join(inside))
    if len(files) < MIN_OBJECT_FOLDERS:
        return False
    sets = Counter(frozenset(found) for found in files.values())
    usual, count = sets.most_common(1)[0]
    recurring = usual if count > len(usual) > 1 and not all(map(_is_count, files)) else frozenset()
    if 10 * sum(is_one_object(found) or found == recurring for found in files.values()) < 9 * len(files):
        return False
    if _are_serial(files):
        return True
    common = Counter(file for found in files.values() for file in found).most_common(1)[0][1]
    numbered = sum(re.search(r"\d", name) is not None for name in files)
    alike = all(is_one_object(found) for found in files.values()) and 10 * min(common, numbered) >= 9 * len(files)
    return alike and not _are_synsets(files) and not _are_classes(files)


def is_one_object(files: Collection[str]) -> bool:
    """Whether files of one folder are forms of one shape: no two differ in their stem and share their format."""
    bases = defaultdict(set)
    for file in files:
        bases[suffix(file)].add(nfc(file).rpartition("/")[0] + "/" + base_of(file))
    return all(len(found) == 1 for found in bases.values())


def _are_synsets(names: Collection[str]) -> bool:
    """Whether names are WordNet offsets, as ShapeNet's classes are."""
    return all(re.fullmatch(r"0\d{7}", name) for name in names)


def _are_serial(names: Collection[str]) -> bool:
    """Whether names are those of single shapes: one word and a number, or hashes."""
    if _are_synsets(names):
        return False
    if all(re.fullmatch(r"[0-9a-f-]{6,}|\d{4,}", name.casefold()) for name in names):
        return 2 * sum(re.search(r"\d", name) is not None for name in names) > len(names)
    patterns = {re.sub(r"\d+", "#", name.casefold()) for name in names}
    return len(patterns) == 1 and "#" in next(iter(patterns)) and not _are_classes(names)


def _are_classes(names: Collection[str]) -> bool:
    """Whether names of folders speak of classes: `class_1`, or several series, `chair_1` beside `table_1`."""
    if any({word.text for word in words_of(name)} & {"class", "category", "cat", "label", "type"} for name in names):
        return True
    series = Counter(re.sub(r"\d+", "#", name.casefold()) for name in names if re.search(r"\d", name))
    return len([count for count in series.values() if count > 1]) > 1


def base_of(name: str) -> str:
    """The stem of a file without the mark of a variant, as in `model.solid.binvox`."""
    return _VARIANT.sub("", stem(nfc(name)))


def group_of_path(name: str) -> str:
    """The group of a file: its path without the extension and the rotation number."""
    path = PurePosixPath(nfc(name))
    base = base_of(name)
    match = _ROTATION.fullmatch(base)
    if match is None and suffix(name) == ".mat" and any(re.fullmatch(r"\d{1,3}", part) for part in path.parts):
        match = _LAST_NUMBER.fullmatch(base)
    if match is None:
        return path.with_name(base).as_posix()
    folders = [part for part in path.parts[:-1] if not is_structural(part)]
    return "/".join([*folders, match[1]])
