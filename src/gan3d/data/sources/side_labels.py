"""Labels and class names in files of their own, beside the arrays that they belong to.

`y_train.npy` belongs to `X_train.npy`, `labels.npy` to `voxels.npy`, `train_labels.txt` to `train.npz`: both files lie
in one folder, and their names agree but for the words for grids and labels (`gan3d.data.formats.names`). Names of
classes, in `classes.txt`, `class_names.npy` or `shape_names.txt`, belong to all arrays of their folder.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from gan3d.data.formats.extensions import stem, suffix
from gan3d.data.formats.names import nfc, parse_name
from gan3d.data.formats.readers import UnreadableFile
from gan3d.data.sources.array_sets import MODELNET10, GridArray, LabelFile, name_labels
from gan3d.data.sources.label_table import decode_table
from gan3d.data.sources.labels import Place
from gan3d.data.sources.listing import ListedFile

TEXT_KINDS = (".txt", ".csv", ".tsv", ".lst", ".json", ".names")
_MAX_TEXT = 2**26

Sets = dict[str, list[GridArray]]
Fault = tuple[str, str, str]  # file, reason, advice


def is_text_of_labels(name: str) -> bool:
    """Whether a text file's name says that it holds labels or class names."""
    return suffix(name) in TEXT_KINDS and parse_name(stem(name)).role in ("labels", "classes")


def read_text(file: ListedFile) -> LabelFile | None:
    """Labels or class names, one per line, or a JSON list or dict; None if it holds anything else."""
    content = file.location.read()
    if len(content) > _MAX_TEXT:
        return None
    try:
        text = decode_table(content).removeprefix("\ufeff")
        values = _from_json(text) if suffix(file.name) == ".json" else _from_lines(text)
    except ValueError:
        return None
    if not values:
        return None
    is_whole = all(re.fullmatch(r"[-+]?\d{1,18}", value) for value in values)
    found = np.array([int(value) for value in values]) if is_whole else np.array([nfc(value) for value in values])
    return LabelFile(found, parse_name(stem(file.name)).role)


def _from_json(text: str) -> list[str]:
    content = json.loads(text)
    if isinstance(content, dict):
        pairs = [(one, other) if str(one).isdigit() else (other, one) for one, other in content.items()]
        if not all(str(number).isdigit() for number, _ in pairs):
            return []
        content = [name for _, name in sorted(pairs, key=lambda pair: int(pair[0]))]
    return [str(item) for item in content] if isinstance(content, list) else []


def _from_lines(text: str) -> list[str]:
    """The last column of each line, without a header and without numbers before names."""
    rows = [re.split(r"[,;\t]", line.strip()) for line in text.splitlines() if line.strip()]
    values = [row[-1].strip().strip('"') or row[0].strip() for row in rows]
    numbered = [re.fullmatch(r"\d+[\s:.)]+(.*\S)", value) for value in values]
    if values and all(numbered):
        values = [match[1] for match in numbered if match]
    if len(values) > 1 and parse_name(values[0]).role in ("labels", "classes") and not parse_name(values[0]).rest:
        values = values[1:]
    return values


def join(
    sets: Sets, files: dict[str, LabelFile], places: dict[str, Place], source_name: str
) -> tuple[Sets, list[Fault]]:
    """Give arrays the labels and class names of the files beside them.

    Args:
        sets: arrays by file.
        files: label files by path.
        places: of both, see `gan3d.data.sources.labels.find_places`.
        source_name: of the source.

    Returns:
        The arrays with labels, and what does not fit.
    """
    faults: list[Fault] = []
    result, used = dict(sets), set()
    for name, arrays in sets.items():
        mine = [label for label in files if _folder(label) == _folder(name)]
        if not mine or any(array.labels is not None for array in arrays):
            continue
        joined, taken = _labelled(name, arrays, {label: files[label] for label in mine}, places)
        used |= taken
        if isinstance(joined, UnreadableFile):
            faults.append((name, joined.reason, joined.advice))
            del result[name]
        else:
            result[name] = joined
    result, named, more = _named(result, {name: file for name, file in files.items() if name not in used}, source_name)
    unused = [name for name in files if name not in used | named and suffix(name) == ".npy"]
    faults += [
        (name, "It holds labels, and no array beside it that lacks them has a matching name.", "Name it `y_train.npy`"
         " beside `X_train.npy`, or `labels.npy` beside `voxels.npy`.")
        for name in unused
    ]  # fmt: skip
    return result, [*faults, *more]


def _folder(name: str) -> str:
    return nfc(name).rpartition("/")[0]


def _labelled(
    name: str, arrays: list[GridArray], files: dict[str, LabelFile], places: dict[str, Place]
) -> tuple[list[GridArray] | UnreadableFile, set[str]]:
    """The arrays of a file with the labels of the files whose names agree; which files were used."""
    told, used, joined = parse_name(stem(name)), set(), []
    for array in arrays:
        split, key = array.split or told.split, parse_name(array.key)
        rests = [told.rest, *([key.rest] if key.role else [])]
        agreeing = []
        for label, file in files.items():
            other = parse_name(stem(label))
            if other.split == split and any(_agree(other.rest, rest) for rest in rests) and file.role == "labels":
                agreeing.append(label)
        fitting = [label for label in agreeing if len(files[label].values) == array.count]
        others = [label for label in agreeing if not _are_names(label, files[label])]
        if not fitting and others:
            count = len(files[others[0]].values)
            return UnreadableFile(
                f"It holds {array.count} grids, and {others[0].rsplit('/', 1)[-1]} beside it {count} labels.",
                "Store one label per grid.",
            ), {others[0]}
        used |= set(fitting[:1])
        joined.append(replace(array, labels=files[fitting[0]].values, label_key=fitting[0]) if fitting else array)
    if len({array.labels is None for array in joined}) > 1:
        return UnreadableFile("Only some of its arrays have labels.", "Store labels for each array."), used
    return name_labels(joined, name), used


def _agree(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return set(one) - {"onehot", "int"} == set(other) - {"onehot", "int"}


def _are_names(name: str, file: LabelFile) -> bool:
    """Whether a file may hold class names: by its name, or as texts in a file named `classes`."""
    plural = re.search(r"(classes|categories|labels)$", stem(name).casefold()) is not None
    return file.role == "classes" or (plural and file.values.dtype.kind == "U")


def _named(sets: Sets, files: dict[str, LabelFile], source_name: str) -> tuple[Sets, set[str], list[Fault]]:
    """Name the classes of numbered labels, by a file of names or by another file of the source that names them."""
    faults: list[Fault] = []
    given = {
        _folder(name): (name, dict(enumerate(map(str, file.values.tolist()))))
        for name, file in files.items()
        if _are_names(name, file)
    }
    known = _known_names(sets.values(), [source_name, *sets])
    result, used = {}, {name for name, _ in given.values()}
    for name, arrays in sets.items():
        names = next((given[folder][1] for folder in _parents(name) if folder in given), known)
        if not names or not any(array.numbers and not array.is_named for array in arrays):
            result[name] = arrays
            continue
        missing = sorted({number for array in arrays for number in array.numbers} - set(names))
        if missing:
            reason = f"Its label {missing[0]} has no name among the {len(names)} class names of the source."
            faults.append((name, reason, "Name each label."))
            continue
        result[name] = [
            replace(array, classes=tuple(names[number] for number in array.numbers), is_named=True) for array in arrays
        ]
    return result, used, faults


def _known_names(sets: Iterable[list[GridArray]], names: list[str]) -> dict[int, str]:
    """Names by number, from the arrays that have them; those of ModelNet10 if a name tells it and all ten occur."""
    found: dict[int, str] = {}
    numbers: set[int] = set()
    for arrays in sets:
        for array in arrays:
            numbers |= set(array.numbers)
            pairs = dict(zip(array.numbers, array.classes, strict=True)) if array.is_named and array.numbers else {}
            if any(found.get(number, name) != name for number, name in pairs.items()):
                return {}  # files of different data sets
            found |= pairs
    if not found and numbers == set(range(10)) and any("modelnet10" in name.lower() for name in names):
        return dict(enumerate(MODELNET10))
    return found


def _parents(name: str) -> list[str]:
    """The folder of a file, and those above it, the source last."""
    parts = _folder(name).split("/")
    return ["/".join(parts[:depth]) for depth in range(len(parts), -1, -1)]
