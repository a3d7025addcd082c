"""Walk a source of shapes: a folder, an archive, or an array set; only the headers of array sets are read.

`gan3d.data.sources.labels` finds class, split and group; `gan3d.data.sources.array_sets` reads array sets.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gan3d.data.formats.extensions import ARCHIVES, ARRAY_SETS, GRIDS, MESHES, suffix, unsupported
from gan3d.data.formats.names import nfc
from gan3d.data.formats.readers import Mesh, UnreadableFile, read
from gan3d.data.sandbox.pool import SandboxPool, WorkerFailure
from gan3d.data.sources import archives, array_sets, side_labels
from gan3d.data.sources.archives import Location, Reject
from gan3d.data.sources.array_sets import GridArray, LabelFile
from gan3d.data.sources.labels import (
    Label,
    classes_of_paths,
    default_class,
    find_label,
    find_places,
    group_of_path,
)
from gan3d.data.sources.listing import Call, ListedFile, is_hidden, list_archive, list_folder, stamp
from gan3d.errors import UserError

SIDE_FILES = re.compile(
    r"|\.(mtl|txt|md|rst|csv|tsv|json|ya?ml|xml|html?|pdf|log|url|lst|cfg|ini|license|rtf|docx?|bin|py|m|sh|dvc"
    r"|png|jpe?g|gif|bmp|tga|tiff?|dds|webp|svg|ico)"
)


@dataclass(frozen=True)
class SourceItem:
    """One shape of a source.

    Args:
        name: its path relative to the source, including that inside an archive or array set.
        class_name: its class.
        split: the split that the source states, if any.
        group: shapes of one group must stay in one split.
        file: the path of its file, relative to the source.
        location: of that file.
        row: in an array set; None for a file of one shape.
        key: of the array in the set.
    """

    name: str
    class_name: str
    split: str | None
    group: str
    file: str
    location: Location
    row: int | None = None
    key: str = ""

    def read(self) -> Mesh | np.ndarray:
        """The mesh, or a boolean grid (X, Y, Z); raises `UnreadableFile`."""
        if self.row is None:
            return read(self.location.read(), self.file, self.location.read_sibling)
        grid = next(array_sets.read_grids(self.location, self.file, self.key, [self.row]))
        if isinstance(grid, UnreadableFile):
            raise grid
        return grid


@dataclass
class Source:
    """The result of a walk.

    Args:
        kind: folder, archive or arrays.
        classes: names in order.
        items: the shapes, sorted by class and name.
        rejects: the files that cannot be used.
        skipped: files that are not shapes, such as texts and images.
        stamp: changes when a file of the source does.
        arrays: of each array set, by its path.
        formats: number of files of each format.
        is_labelled: whether a table gives the classes.
    """

    kind: str
    classes: list[str] = field(default_factory=list)
    items: list[SourceItem] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    stamp: list[str] = field(default_factory=list)
    arrays: dict[str, list[GridArray]] = field(default_factory=dict)
    formats: Counter = field(default_factory=Counter)
    is_labelled: bool = False


def walk(
    path: str | Path,
    labels: dict[str, Label] | None = None,
    sandbox: SandboxPool | None = None,
    scratch: Path | None = None,
) -> Source:
    """List the shapes of a source.

    Args:
        path: the source.
        labels: from `gan3d.data.sources.label_table.read_table`; then folders say nothing about classes and splits.
        sandbox: reads the headers of array sets and the members of nested archives; without it, this process does.
        scratch: folder for decompressed archives; without it compressed and nested archives are rejected.

    Raises:
        UserError: if the source does not exist, is of none of these kinds, or cannot be opened.
    """
    path = Path(path)
    clear_caches()
    call: Call = sandbox.call if sandbox else lambda function, *arguments: function(*arguments)
    kind = suffix(path.name)
    if path.is_dir():
        source, listing = Source("folder"), list_folder(path, call, scratch)
    elif not path.exists():
        raise UserError(f"the data source {path} does not exist: set data.source to `synthetic`, or to your own path.")
    elif not path.is_file():
        raise UserError(
            f"the data source {path} is not a regular file: use a folder, an archive or an array set (.npz, .h5)."
        )
    elif kind in (*ARRAY_SETS, ".npy"):
        if labels is not None:
            raise UserError(
                f"{path} holds the labels of its shapes itself: set data.labels to null, or put it into a folder, whose"
                " files a table can name."
            )
        return _walk_array_set(path, call)
    elif kind in ARCHIVES or (kind not in MESHES and archives.is_zip(path)):
        source = Source("archive")
        listing = list_archive(path, kind if kind in ARCHIVES else ".zip", call, scratch)
    else:
        raise UserError(
            f"the data source {path} is neither a folder, an archive (zip, tar) nor an array set (.npz, .h5): convert"
            " it to one of these."
        )
    source.rejects, source.stamp = listing.rejects, listing.stamp
    shapes = _select_shapes(source, listing.files)
    files = [file for file in shapes if suffix(file.name) in (*ARRAY_SETS, ".npy")]
    sets, label_files = _inspect_sets(source, files, sandbox)
    shapes = [file for file in shapes if file.name not in label_files]
    if (sets or label_files) and labels is None:
        label_files |= _read_texts(listing.files, source, sets)
        names = [*(file.name for file in shapes), *label_files]
        sets, faults = side_labels.join(sets, label_files, find_places(names), path.resolve().name)
        source.rejects += faults
        for name in [name for name, arrays in sets.items() if _missing_labels(arrays)]:
            fault = _missing_labels(sets.pop(name))
            source.rejects += [(name, fault.reason, fault.advice)] if fault else []
    source.skipped += [name for name in label_files if name not in {reject[0] for reject in source.rejects}]
    source.skipped = list(dict.fromkeys(source.skipped))
    source.arrays, source.is_labelled = sets, labels is not None
    source.formats = Counter(suffix(file.name) for file in shapes)
    _add_items(source, path, shapes, sets, labels)
    return source


def clear_caches() -> None:
    """Close the archives and array sets that this process holds open, since their files may change from now on."""
    archives.clear_caches()
    array_sets.clear_caches()


def _select_shapes(source: Source, files: list[ListedFile]) -> list[ListedFile]:
    """The files with the extension of a shape; the others go into `skipped` or `rejects`."""
    shapes = []
    for file in files:
        kind = suffix(file.name)
        if is_hidden(file.name) or SIDE_FILES.fullmatch(kind):
            source.skipped.append(file.name)
        elif kind in (*MESHES, *GRIDS, *ARRAY_SETS):
            shapes.append(file)
        else:
            source.rejects.append((file.name, *unsupported(kind)))
    return shapes


def _inspect_sets(
    source: Source, files: list[ListedFile], sandbox: SandboxPool | None
) -> tuple[dict[str, list[GridArray]], dict[str, LabelFile]]:
    """The arrays of each set among the files, and the files of labels; a set that cannot be read is rejected."""
    calls = [(file.location, file.name) for file in files]
    answers = sandbox.map(try_inspect, calls) if sandbox else ((i, try_inspect(*call)) for i, call in enumerate(calls))
    found, labels = {}, {}
    for number, answer in answers:
        if isinstance(answer, (WorkerFailure, UnreadableFile)):
            source.rejects.append((files[number].name, answer.reason, answer.advice))
        elif isinstance(answer, LabelFile):
            labels[files[number].name] = answer
        else:
            found[files[number].name] = answer
    order = {file.name: index for index, file in enumerate(files)}
    return dict(sorted(found.items(), key=lambda pair: order[pair[0]])), labels


def try_inspect(location: Location, name: str) -> list[GridArray] | LabelFile | UnreadableFile:
    """The arrays of a set, or why it cannot be read; the pool would raise an exception here and end the walk."""
    try:
        return array_sets.inspect(location, name)
    except UnreadableFile as error:
        return error


def _missing_labels(arrays: list[GridArray]) -> UnreadableFile | None:
    return next((fault for array in arrays if (fault := array.missing_labels)), None)


def _read_texts(files: list[ListedFile], source: Source, sets: dict[str, list[GridArray]]) -> dict[str, LabelFile]:
    """Labels and class names in text files, if an array of the source lacks them."""
    if all(array.is_named and array.labels is not None for arrays in sets.values() for array in arrays):
        return {}
    if not any(array.count > 1 or array.labels is not None for arrays in sets.values() for array in arrays):
        return {}
    skipped, found = set(source.skipped), {}
    for file in files:
        if file.name in skipped and not is_hidden(file.name) and side_labels.is_text_of_labels(file.name):
            try:
                label = side_labels.read_text(file)
            except UnreadableFile:
                continue
            if label is not None:
                found[file.name] = label
    return found


def _sets_of_many(shapes: list[ListedFile], sets: dict[str, list[GridArray]]) -> set[str]:
    """The array sets that name a class; files of one grid each are single shapes, if there are several beside them."""
    many, single = set(), defaultdict(set)
    for file in shapes:
        arrays = sets.get(file.name)
        if arrays is None:
            if suffix(file.name) in ARRAY_SETS:
                many.add(file.name)  # rejected, but its name counts
        elif sum(array.count for array in arrays) > 1:
            many.add(file.name)
        elif suffix(file.name) in ARRAY_SETS:
            single[file.name.rpartition("/")[0]].add(file.name)
    folders = {name.rpartition("/")[0] for name in many}
    for folder, names in single.items():
        if len(names) < 3 or folder in folders:
            many |= names
    return many


def _add_items(
    source: Source,
    path: Path,
    shapes: list[ListedFile],
    sets: dict[str, list[GridArray]],
    labels: dict[str, Label] | None,
) -> None:
    """Fill in `items` and `classes`, and reject files without a class."""
    many = _sets_of_many(shapes, sets)
    names = [file.name for file in shapes]
    places = find_places(names, many)
    classes = classes_of_paths(names, default_class(path), many, places) if labels is None else {}
    for file in shapes:
        arrays = sets.get(file.name)
        if arrays is None and suffix(file.name) in (*ARRAY_SETS, ".npy"):
            continue  # already rejected
        if labels is not None:
            label = find_label(labels, file.name)
            fault = ("The table of data.labels does not name it.", "Add a line for it, or remove the file.")
        else:
            name = classes[file.name]
            label = None if name is None else Label(name, places[file.name].split)
            fault = ("It lies next to the class folders, not in one.", "Move it into the folder of its class.")
        has_labels = arrays is not None and any(array.labels is not None for array in arrays)
        if label is None and not has_labels:
            source.rejects.append((file.name, *fault))
            continue
        label = label or Label("", places[file.name].split)
        if arrays is None or _is_single_grid(file.name, arrays):
            source.items.append(SourceItem(file.name, *label, group_of_path(file.name), file.name, file.location))
        else:
            source.items += _items_of_set(file, arrays, label)
    source.classes = sorted({item.class_name for item in source.items})
    source.items.sort(key=lambda item: (item.class_name, item.file, item.key, item.row or 0))


def _is_single_grid(name: str, arrays: list[GridArray]) -> bool:
    return suffix(name) == ".npy" and arrays[0].count == 1 and arrays[0].labels is None


def _items_of_set(file: ListedFile, arrays: list[GridArray], label: Label, is_source: bool = False) -> list[SourceItem]:
    """One item per grid: `file[3]`, `file:X_train[3]`, or, if the set is the source itself, `X_train[3]`."""
    items = []
    for array in arrays:
        has_labels = array.labels is not None
        prefix = array.key if is_source else f"{file.name}:{array.key}" if has_labels else file.name
        split = array.split or label.split
        for row in range(array.count):
            name = f"{prefix}[{row}]"
            class_name = nfc(array.classes[array.labels[row]]) if array.labels is not None else label.class_name
            items.append(SourceItem(name, class_name, split, name, file.name, file.location, row, array.key))
    return items


def _walk_array_set(path: Path, call: Call) -> Source:
    """The items of an array set that is the source itself."""
    source = Source("arrays", stamp=[stamp(path)])
    arrays = call(try_inspect, Location(path), path.name)
    if isinstance(arrays, LabelFile):
        raise UserError(f"{path} holds labels, not shapes: name the folder that holds them and the arrays.")
    if isinstance(arrays, list) and (fault := _missing_labels(arrays)):
        arrays = fault
    if isinstance(arrays, (WorkerFailure, UnreadableFile)):
        reason, advice = arrays.reason.rstrip("."), f"{arrays.advice[:1].lower()}{arrays.advice[1:]}"
        raise UserError(f"{path} holds no readable shapes ({reason}): {advice}")
    label = Label(default_class(path), None)
    source.arrays, source.formats = {path.name: arrays}, Counter([suffix(path.name)])
    source.items = _items_of_set(ListedFile(path.name, Location(path)), arrays, label, is_source=True)
    names = [nfc(name) for array in arrays for name in array.classes]
    source.classes = list(dict.fromkeys(names)) or [label.class_name]
    order = {name: index for index, name in enumerate(source.classes)}
    source.items.sort(key=lambda item: (order[item.class_name], item.key, item.row or 0))
    return source
