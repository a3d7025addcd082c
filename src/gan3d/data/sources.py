"""Walk a source of shapes: a folder, a zip, or an .npz of arrays.

Class. Folders that name a split (train, test, val, valid, validation) or a rotation count (one to three digits) say
nothing about the class; the class is the first other folder under the source: `chair/30/train/x.mat` is a chair. One
exception: a lone top folder that holds classes is a wrapper and is passed over (`ModelNet10/chair/train/x.off` in an
archive is a chair, too). It is taken for a wrapper when at least half of the folders in it look like classes: they
have a split folder above or below them, or hold at least two entries (folders with shapes, or shapes of one format).
So `chair/<id>/model.obj`, one folder a shape, stays a chair. Without any class folder, the class is the name of the
source.

Group. Rotations and copies of one shape share a group: names that end in `_<1 or 2 digits>` after `_<6 or more
digits>` (`chair_000000587_7`), and .mat files under a rotation count.
"""

import os
import re
import stat
import zipfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from gan3d.data import arrays
from gan3d.data.readers import GRIDS, MESHES, Mesh, Unreadable, read
from gan3d.errors import UserError

SPLIT_FOLDERS = {
    "train": "train",
    "test": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
SIDE_FILES = re.compile(
    r"|\.(mtl|txt|md|rst|csv|tsv|json|ya?ml|xml|html?|pdf|log|url|lst|cfg|ini|license|rtf|docx?|bin|py|m|sh|dvc"
    r"|png|jpe?g|gif|bmp|tga|tiff?|dds|webp|svg|ico)"
)
LARGEST = 2**30  # bytes of one archive member; beyond it a member is not unpacked
_ROTATION = re.compile(r"(.*_\d{6,})_\d{1,2}")
_LAST_NUMBER = re.compile(r"(.+)_\d{1,3}")


@dataclass(frozen=True)
class Item:
    """One shape of a source; `name` is its path relative to the source."""

    name: str
    class_name: str
    split: str | None
    group: str
    path: Path
    member: str | None = None  # of a zip
    row: int | None = None  # of an array in an .npz
    key: str = ""

    def read(self) -> Mesh | np.ndarray:
        """The mesh or boolean grid; raises `Unreadable`."""
        if self.row is not None:
            return arrays.grid(self.path, self.member, self.key, self.row)
        return read(self.path if self.member is None else _member(self.path, self.member), self.name)


@dataclass
class Source:
    """What a walk found: `kind` is folder, zip or arrays; classes in order; rejects are (file, reason, advice)."""

    kind: str
    classes: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    rejects: list[tuple[str, str, str]] = field(default_factory=list)
    skipped: int = 0


def walk(path: str | Path) -> Source:
    """List the shapes of a source without reading them, sorted by class and name.

    Raises:
        UserError: when the source is missing, is none of the kinds, or is an archive that cannot be opened.
    """
    path = Path(path)
    forget()
    if path.is_dir():
        source = Source("folder")
        _classify(source, path, [(name, None) for name in _files(path)])
    elif not path.exists():
        raise UserError(f"the data source {path} does not exist: set data.source to `synthetic`, or to your own path.")
    elif path.suffix.lower() == ".npz":
        source = Source("arrays")
        _labelled(source, path)
    elif zipfile.is_zipfile(path):
        source = Source("zip")
        _classify(source, path, _members(path, source))
    else:
        raise UserError(f"the data source {path} is neither a folder, a zip nor an .npz: give it as one of these.")
    return source


def _files(folder: Path) -> list[str]:
    """Paths of all files below a folder, relative, with forward slashes."""
    names = []
    for parent, _, files in os.walk(folder):
        relative = Path(parent).relative_to(folder)
        names += [(relative / name).as_posix() for name in files]
    return sorted(names)


def _members(path: Path, source: Source) -> list[tuple[str, str | None]]:
    """The files of a zip as (name, member); suspicious ones are rejected."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, UnicodeDecodeError):
        raise UserError(f"the archive {path} is damaged: download or pack it again.") from None
    if any(info.flag_bits & 1 for info in infos):
        raise UserError(f"the archive {path} is encrypted: unpack it and give the folder instead.")
    members: list[tuple[str, str | None]] = []
    for info in sorted(infos, key=lambda info: info.filename):
        name = info.filename.replace("\\", "/")
        if info.is_dir():
            continue
        if name.startswith("/") or ":" in name.split("/")[0] or ".." in name.split("/"):
            source.rejects.append((name, "Its path climbs out of the archive.", "Pack it with relative paths."))
        elif stat.S_ISLNK(info.external_attr >> 16):
            source.rejects.append((name, "It is a symbolic link.", "Pack the file that it points to."))
        elif info.file_size > LARGEST:
            source.rejects.append((name, "It unpacks to more than 1 GiB.", "Simplify the shape, or split the file."))
        else:
            members.append((name, info.filename))
    return members


@lru_cache(maxsize=2)
def _archive(path: Path) -> zipfile.ZipFile:
    """One open handle a process: the directory of a large archive is read once."""
    return zipfile.ZipFile(path)


def forget() -> None:
    """Close the archives and drop the arrays that this process holds: their files may change from here on."""
    _archive.cache_clear()
    arrays.forget()


def _member(path: Path, member: str) -> bytes:
    try:
        with _archive(path).open(member) as stream:
            return stream.read(LARGEST)
    except Exception as error:  # zlib, zipfile and lzma fail in many ways
        raise Unreadable("Its part of the archive is damaged.", "Pack the archive again.") from error


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _structural(folder: str) -> bool:
    """Does a folder's name state a split or a rotation count, not a class?"""
    return folder.lower() in SPLIT_FOLDERS or re.fullmatch(r"\d{1,3}", folder) is not None


def _classify(source: Source, path: Path, files: list[tuple[str, str | None]]) -> None:
    """Fill in items, rejects and skipped from the names of a folder or a zip."""
    shapes = []
    for name, member in files:
        suffix = PurePosixPath(name).suffix.lower()
        if _hidden(name) or SIDE_FILES.fullmatch(suffix):
            source.skipped += 1
        elif suffix in (*MESHES, *GRIDS, ".npz"):
            shapes.append((name, member))
        else:
            advice = f"Convert it to one of {', '.join((*MESHES, *GRIDS))}."
            source.rejects.append((name, f"The format {suffix} is not supported.", advice))
    classes = class_names([name for name, _ in shapes], _own_name(path))
    for name, member in shapes:
        class_name = classes[name]
        if class_name is None:
            reason = "It lies beside the class folders, not in one."
            source.rejects.append((name, reason, "Move it into the folder of its class."))
            continue
        split = _split(name)
        place, part = (path / name, None) if member is None else (path, member)
        if name.lower().endswith(".npz"):
            try:
                key, count = arrays.rows(place, part)
            except Unreadable as error:
                source.rejects.append((name, error.reason, error.advice))
                continue
            for row in range(count):
                row_name = f"{name}[{row}]"
                source.items.append(Item(row_name, class_name, split, row_name, place, part, row, key))
        else:
            source.items.append(Item(name, class_name, split, group_name(name), place, part))
    source.classes = sorted({item.class_name for item in source.items})
    source.items.sort(key=lambda item: (item.class_name, item.name.split("[")[0], item.row or 0, item.name))


def _own_name(path: Path) -> str:
    """The class that a source without class folders states: its name, passing over `train` and the like."""
    path = path.resolve()
    names = [path.name if path.is_dir() else path.stem, *(parent.name for parent in path.parents)]
    return next((name for name in names if name and not _structural(name)), "shape")


def _split(name: str) -> str | None:
    """The first split that the folders of a path state."""
    folders = (part.lower() for part in name.split("/")[:-1])
    return next((SPLIT_FOLDERS[folder] for folder in folders if folder in SPLIT_FOLDERS), None)


def class_names(names: list[str], own_name: str) -> dict[str, str | None]:
    """The class of each path by the module's rule; None for a file that lies beside class folders.

    A lone .npz of voxels that lies directly in the source has its stem as its class.
    """
    folders = {name: tuple(part for part in name.split("/")[:-1] if not _structural(part)) for name in names}
    while _is_wrapper(folders):
        folders = {name: parts[1:] for name, parts in folders.items()}
    nested = any(folders.values())
    result: dict[str, str | None] = {}
    for name, parts in folders.items():
        if parts:
            result[name] = parts[0]
        elif name.lower().endswith(".npz"):
            result[name] = PurePosixPath(name).stem
        else:
            result[name] = None if nested else own_name
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
        if _split(name):
            stated.add(child)
        if len(parts) == 2:
            entries[child][PurePosixPath(name).suffix.lower()] += 1
        elif parts[:3] not in seen:
            seen.add(parts[:3])
            entries[child]["/"] += 1
    like_classes = {child for child, counts in entries.items() if max(counts.values()) > 1} | stated
    return 2 * len(like_classes) >= len(entries)


def group_name(name: str) -> str:
    """The group of a file: its path without extension, and without a rotation's number."""
    path = PurePosixPath(name)
    stem = path.stem
    match = _ROTATION.fullmatch(stem)
    if match is None and path.suffix.lower() == ".mat" and any(re.fullmatch(r"\d{1,3}", part) for part in path.parts):
        match = _LAST_NUMBER.fullmatch(stem)
    if match is None:
        return path.with_suffix("").as_posix() if path.suffix else name
    folders = [part for part in path.parts[:-1] if not _structural(part)]
    return "/".join([*folders, match[1]])


def _labelled(source: Source, path: Path) -> None:
    """Fill in the items of one .npz: `X_train`/`y_train` (and test), or a bare set of grids."""
    contents = arrays.labelled(path)
    if contents is None:
        try:
            key, count = arrays.rows(path, None)
        except Unreadable as error:
            raise UserError(
                f"{path} holds no shapes ({error.reason}): store X_train and y_train, or an array `voxels`."
            ) from None
        contents = arrays.Labelled([path.stem], [(key, None, np.zeros(count, int))])
    source.classes = contents.classes
    for key, split, labels in contents.parts:
        for row, label in enumerate(labels):
            name = f"{key}[{row}]"
            source.items.append(Item(name, contents.classes[label], split, name, path, None, row, key))
    order = {name: index for index, name in enumerate(source.classes)}
    source.items.sort(key=lambda item: (order[item.class_name], item.key, item.row))
