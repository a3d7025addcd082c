"""Walk a source of shapes: a folder, an archive, or a set of arrays.

What a path says of class, split and group is in `gan3d.data.sources.labels`; what a set of arrays holds, in
`gan3d.data.sources.array_sets`. Files are listed here, and nothing but the heads of sets is read.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.data.formats.extensions import ARCHIVES, GRIDS, MESHES, SETS, suffix, unsupported
from gan3d.data.formats.readers import Mesh, Unreadable, read
from gan3d.data.sandbox.pool import SandboxPool, WorkerFailure
from gan3d.data.sources import archives, array_sets
from gan3d.data.sources.archives import Place, Reject
from gan3d.data.sources.array_sets import Part
from gan3d.data.sources.labels import Label, class_names, group_name, look_up, own_name, stated_split
from gan3d.errors import UserError

SIDE_FILES = re.compile(
    r"|\.(mtl|txt|md|rst|csv|tsv|json|ya?ml|xml|html?|pdf|log|url|lst|cfg|ini|license|rtf|docx?|bin|py|m|sh|dvc"
    r"|png|jpe?g|gif|bmp|tga|tiff?|dds|webp|svg|ico)"
)
DEEPEST = 2  # archives in each other

Call = Callable[..., Any]


@dataclass(frozen=True)
class Item:
    """One shape of a source; `name` is its path relative to the source, also inside an archive."""

    name: str
    class_name: str
    split: str | None
    group: str
    file: str
    place: Place
    row: int | None = None  # of an array in a set
    key: str = ""

    def read(self) -> Mesh | np.ndarray:
        """The mesh or boolean grid; raises `Unreadable`."""
        if self.row is None:
            return read(self.place.read(), self.file, self.place.beside)
        grid = next(array_sets.grids(self.place, self.file, self.key, [self.row]))
        if isinstance(grid, Unreadable):
            raise grid
        return grid


@dataclass
class Source:
    """What a walk found: `kind` is folder, archive or arrays; `skipped` are files that are no shapes.

    `stamp` changes when a file of the source does.
    """

    kind: str
    classes: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    stamp: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _File:
    name: str
    place: Place


def walk(
    path: str | Path,
    labels: dict[str, Label] | None = None,
    guard: SandboxPool | None = None,
    scratch: Path | None = None,
) -> Source:
    """List the shapes of a source, sorted by class and name.

    Args:
        labels: a table of classes (`gan3d.data.sources.labels.read_table`), which then decides alone.
        guard: reads heads of sets and lists of archives; without it, this process does.
        scratch: folder for archives that must be unpacked; without it they are rejected.

    Raises:
        UserError: when the source is missing, is none of the kinds, or is an archive that cannot be opened.
    """
    path = Path(path)
    forget()
    call: Call = guard.call if guard else lambda function, *arguments: function(*arguments)
    kind = suffix(path.name)
    if path.is_dir():
        source = Source("folder")
        listed, source.rejects = archives.files(path)
        source.stamp = [f"{name}\n{size}\n{time}" for name, size, time in listed]
        found = [_File(name, Place(path / name, None, path)) for name, *_ in listed]
    elif not path.exists():
        raise UserError(f"the data source {path} does not exist: set data.source to `synthetic`, or to your own path.")
    elif not path.is_file():
        raise UserError(f"the data source {path} is no plain file: give a folder, an archive or a set of array_sets.")
    elif kind in (*SETS, ".npy"):
        if labels is not None:
            raise UserError(
                f"{path} holds the labels of its shapes itself: set data.labels to null, or put it into a folder, whose"
                " files a table can name."
            )
        source = Source("arrays", stamp=[_stamp(path)])
        _single_set(source, path, call)
        return source
    elif kind in ARCHIVES or archives.is_zip(path):
        source = Source("archive", stamp=[_stamp(path)])
        found = _listed(source, path, kind if kind in ARCHIVES else ".zip", scratch)
    else:
        raise UserError(
            f"the data source {path} is neither a folder, an archive (zip, tar) nor a set of arrays (.npz, .h5):"
            " give it as one of these."
        )
    _classify(source, path, _expanded(source, found, call, scratch), labels, guard)
    return source


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{path.name}\n{status.st_size}\n{status.st_mtime_ns}"


def forget() -> None:
    """Close the archives and sets that this process holds: their files may change from here on."""
    archives.forget()
    array_sets.forget()


def _listed(source: Source, path: Path, kind: str, scratch: Path | None) -> list[_File]:
    """The files of the archive that is the source; there is no limit of time, for it may be large."""
    try:
        plain = archives.unpacked(Place(path), kind, scratch or Path("/nonexistent"))
        members, source.rejects = archives.members(plain)
    except Unreadable as error:
        raise UserError(f"{path}: {error.reason.rstrip('.')}: {error.advice[:1].lower()}{error.advice[1:]}") from None
    return [_File(name, Place(plain, member)) for name, member in members]


def _expanded(source: Source, found: list[_File], call: Call, scratch: Path | None, depth: int = 1) -> list[_File]:
    """Files, with those of archives among them in their place."""
    result = []
    for file in found:
        kind = suffix(file.name)
        if kind not in ARCHIVES or _hidden(file.name):
            result.append(file)
            continue
        if depth > DEEPEST or scratch is None:
            source.rejects.append((file.name, "It is an archive too deep inside others.", "Unpack the outer archive."))
            continue
        try:
            inner = call(_open_nested, file.place, kind, scratch)
        except Unreadable as error:
            inner = WorkerFailure(error.reason, error.advice)
        if isinstance(inner, WorkerFailure):
            source.rejects.append((file.name, inner.reason, inner.advice))
            continue
        plain, members, rejects = inner
        source.rejects += [(f"{file.name}/{name}", reason, advice) for name, reason, advice in rejects]
        nested = [_File(f"{file.name}/{name}", Place(plain, member)) for name, member in members]
        result += _expanded(source, nested, call, scratch, depth + 1)
    return result


def _open_nested(place: Place, kind: str, scratch: Path) -> tuple[Path, list[tuple[str, str]], list[Reject]]:
    plain = archives.unpacked(place, kind, scratch, archives.NESTED)
    return plain, *archives.members(plain)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _classify(
    source: Source, path: Path, files: list[_File], labels: dict[str, Label] | None, guard: SandboxPool | None
) -> None:
    """Fill in items, rejects and skipped from the names of files."""
    shapes: list[_File] = []
    for file in files:
        kind = suffix(file.name)
        if _hidden(file.name) or SIDE_FILES.fullmatch(kind):
            source.skipped.append(file.name)
        elif kind in (*MESHES, *GRIDS, *SETS):
            shapes.append(file)
        else:
            source.rejects.append((file.name, *unsupported(kind)))
    sets = _parts(source, [file for file in shapes if suffix(file.name) in (*SETS, ".npy")], guard)
    if labels is None:
        classes = class_names([file.name for file in shapes], own_name(path))
    for file in shapes:
        parts = sets.get(file.name)
        if parts is None and suffix(file.name) in (*SETS, ".npy"):
            continue  # rejected
        if labels is not None:
            label = look_up(labels, file.name)
            fault = ("The table of data.labels does not name it.", "Add a line for it, or remove the file.")
        else:
            name = classes[file.name]
            label = None if name is None else Label(name, stated_split(file.name))
            fault = ("It lies beside the class folders, not in one.", "Move it into the folder of its class.")
        labelled = parts is not None and any(part.labels is not None for part in parts)
        if label is None and not labelled:
            source.rejects.append((file.name, *fault))
            continue
        label = label or Label("", None)
        if parts is None or _is_one_grid(file.name, parts):
            source.items.append(Item(file.name, *label, group_name(file.name), file.name, file.place))
        else:
            source.items += _rows(file, parts, label)
    source.classes = sorted({item.class_name for item in source.items})
    source.items.sort(key=lambda item: (item.class_name, item.file, item.key, item.row or 0))


def _is_one_grid(name: str, parts: list[Part]) -> bool:
    return suffix(name) == ".npy" and parts[0].count == 1


def _parts(source: Source, files: list[_File], guard: SandboxPool | None) -> dict[str, list[Part]]:
    """What the sets among the files hold; those that cannot be read are rejected."""
    calls = [(file.place, file.name) for file in files]
    answers = guard.map(inspect, calls) if guard else ((i, inspect(*call)) for i, call in enumerate(calls))
    found = {}
    for number, answer in answers:
        if isinstance(answer, (WorkerFailure, Unreadable)):
            source.rejects.append((files[number].name, answer.reason, answer.advice))
        else:
            found[files[number].name] = answer
    return found


def inspect(place: Place, name: str) -> list[Part] | Unreadable:
    """What a set holds, or why it cannot be read."""
    try:
        return array_sets.inspect(place, name)
    except Unreadable as error:
        return error


def _rows(file: _File, parts: list[Part], label: Label, alone: bool = False) -> list[Item]:
    """The grids of a set as items: `file[3]`, `file:X_train[3]`, or, where the set is the source, `X_train[3]`."""
    items = []
    for part in parts:
        labelled = part.labels is not None
        start = part.key if alone else f"{file.name}:{part.key}" if labelled else file.name
        for row in range(part.count):
            name = f"{start}[{row}]"
            class_name = part.classes[part.labels[row]] if part.labels is not None else label.class_name
            items.append(Item(name, class_name, part.split or label.split, name, file.name, file.place, row, part.key))
    return items


def _single_set(source: Source, path: Path, call: Call) -> None:
    """Fill in the items of a set that is the source itself."""
    parts = call(inspect, Place(path), path.name)
    if isinstance(parts, (WorkerFailure, Unreadable)):
        reason, advice = parts.reason.rstrip("."), f"{parts.advice[:1].lower()}{parts.advice[1:]}"
        raise UserError(f"{path} holds no shapes that can be read ({reason}): {advice}")
    label = Label(own_name(path), None)
    source.items = _rows(_File(path.name, Place(path)), parts, label, alone=True)
    named = [name for part in parts for name in part.classes]
    source.classes = list(dict.fromkeys(named)) or [label.class_name]
    order = {name: index for index, name in enumerate(source.classes)}
    source.items.sort(key=lambda item: (order[item.class_name], item.key, item.row or 0))
