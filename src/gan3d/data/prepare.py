"""The prepare stage: a source of shapes -> a voxel data set on disk (`gan3d.dataset`)."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from gan3d import grids
from gan3d.data import furniture, splits, store
from gan3d.data.convert import Progress, convert_all
from gan3d.data.sources import Item, Source, walk
from gan3d.dataset import COLUMNS, SPLITS
from gan3d.errors import UserError

VERSION = 1
SYNTHETIC = "synthetic"
FILL = "occupied where a triangle touches the voxel, or where a flood from outside cannot reach (6-connectivity)"
REDUCTION = "a coarse voxel is occupied when any of its eight is"


@dataclass(frozen=True)
class Shape:
    """A shape that was read: its grid as packed bits at the final resolution, and the grid's hash."""

    item: Item
    packed: bytes
    hash: str


def resolve(source: str | Path, root: str | Path) -> Path:
    """The path of a source; the word `synthetic` is ROOT/synthetic, written when it is missing or out of date."""
    if str(source) != SYNTHETIC:
        return Path(source)
    folder = Path(root) / SYNTHETIC
    furniture.ensure(folder)
    return folder


def prepare(
    source: str | Path,
    out: str | Path,
    resolution: int,
    up: str = "y",
    classes: Sequence[str] | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    limit: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Voxelise every shape of a source and store all resolutions of the pyramid, from 4³ to `resolution`.

    The same shapes give the same bytes, whatever the number of workers. The folder `out` is replaced when all went
    well, and stays as it was otherwise.

    Duplicates are equal grids of one class at the final resolution. Where the source states no split, one of them is
    kept. A stated split is the source's word (an official test set stays whole): duplicates inside a stated split
    are dropped, those across splits are kept and counted as `cross_split_duplicates`.

    Args:
        source: a folder, a zip or an .npz (see `gan3d.data.sources`).
        out: the folder to write.
        resolution: of the finest grid, one of `grids.RESOLUTIONS`.
        up: the axis that points upwards in the source, `x`, `y` or `z`; recorded, the axes are kept.
        classes: names of the classes to keep; None keeps all.
        validation: share of the shapes for validation, where the source does not state it.
        test: the same for test.
        limit: at most so many shapes a class, chosen by a hash of their names.
        workers: processes; None is one a core.
        progress: called with (done, total) items.
        seed: of the drawn splits.

    Returns:
        The summary, as in `summary.json`.

    Raises:
        UserError: for a source that cannot be opened, that lacks a class asked for, or of which nothing is left; for
            a wrong resolution, axis or share; for an `out` that holds something else.
    """
    source, out = Path(source), Path(out)
    _check(source, out, resolution, up, validation, test)
    found = walk(source)
    items = _limited(_of_classes(found, source, classes), limit)
    rejects, shapes, empty = list(found.rejects), [], 0
    for item, result in zip(items, convert_all(items, resolution, workers, progress), strict=True):
        if result is None:
            empty += 1
        elif isinstance(result, bytes):
            shapes.append(Shape(item, result, hashlib.sha256(result).hexdigest()[:32]))
        else:
            rejects.append((item.name, *result))
    if not shapes:
        raise _nothing_left(source, len(items) + len(found.rejects), rejects, empty)
    shapes, duplicates = _deduplicated(shapes)
    groups = _groups(shapes)
    chosen = _splits(shapes, groups, {"validation": validation, "test": test}, seed)
    names = [name for name in found.classes if any(shape.item.class_name == name for shape in shapes)]
    with store.replacing(out) as folder:
        training = np.array([split == "train" for split in chosen])
        summary: dict[str, Any] = {
            "version": VERSION,
            "kind": found.kind,
            "resolution": resolution,
            "up": up,
            "classes": names,
            "counts": _counts(names, shapes, chosen),
            "occupancy": store.write_grids(folder, [shape.packed for shape in shapes], training, resolution),
            "dropped_empty": empty,
            "duplicates": duplicates,
            "cross_split_duplicates": _cross_split(shapes, chosen),
            "rejected": len(rejects),
            "skipped": found.skipped,
            "fill": FILL,
            "reduction": REDUCTION,
        }
        store.write_csv(folder / "manifest.csv", COLUMNS, _manifest(shapes, chosen, groups))
        store.write_csv(folder / "rejects.csv", ("file", "reason", "advice"), sorted(rejects))
        text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
        (folder / "summary.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    return summary


def _check(source: Path, out: Path, resolution: int, up: str, validation: float, test: float) -> None:
    """Raise UserError for arguments that cannot work, before any shape is read."""
    if resolution not in grids.RESOLUTIONS:
        raise UserError(f"data.resolution {resolution} is not possible: choose one of {grids.RESOLUTIONS}.")
    if up not in grids.AXES:
        raise UserError(f"data.up {up!r} is not an axis: choose x, y or z.")
    if min(validation, test) < 0 or validation + test >= 1:
        raise UserError(
            f"data.validation {validation} and data.test {test} leave no training shapes: give shares that add up to"
            " less than 1."
        )
    if source.is_dir() and (out.resolve() == source.resolve() or source.resolve() in out.resolve().parents):
        raise UserError(f"{out} lies inside the source {source}: write the prepared data somewhere else.")
    store.check_replaceable(out)


def _of_classes(found: Source, source: Path, classes: Sequence[str] | None) -> list[Item]:
    """The items of the classes that were asked for."""
    if classes is None:
        return found.items
    missing = [name for name in classes if name not in found.classes]
    if missing:
        there = ", ".join(found.classes) or "none"
        raise UserError(f"the source {source} has no class {missing[0]!r}: set data.classes to some of {there}.")
    return [item for item in found.items if item.class_name in set(classes)]


def _limited(items: list[Item], limit: int | None) -> list[Item]:
    """At most `limit` items a class, in the same order, chosen by a hash of their names."""
    if limit is None:
        return items
    by_class: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_class[item.class_name].append(item)
    kept = set()
    for members in by_class.values():
        order = sorted(members, key=lambda item: hashlib.sha256(item.name.encode("utf-8", "surrogateescape")).digest())
        kept |= {item.name for item in order[:limit]}
    return [item for item in items if item.name in kept]


def _nothing_left(source: Path, files: int, rejects: list[tuple[str, str, str]], empty: int) -> UserError:
    """The error that says why no shape is left."""
    if not files:
        return UserError(f"the source {source} holds no meshes or voxel grids: point data.source to a folder of them.")
    if not rejects:
        return UserError(f"all {files} shapes of {source} are empty grids: check how they were exported.")
    (reason, advice), count = Counter((reason, advice) for _, reason, advice in rejects).most_common(1)[0]
    rest = f" ({empty} grids are empty)" if empty else ""
    return UserError(
        f"no shape of {source} could be used: {files} files were looked at{rest}, and most often ({count} times) the"
        f" reason is: {reason.rstrip('.')}; {advice[:1].lower()}{advice[1:]}"
    )


def _deduplicated(shapes: list[Shape]) -> tuple[list[Shape], int]:
    """Drop equal grids of one class within what the source states as one split; the first by name stays."""
    first: dict[tuple[str, str | None, str], Shape] = {}
    for shape in shapes:
        first.setdefault((shape.item.class_name, shape.item.split, shape.hash), shape)
    return list(first.values()), len(shapes) - len(first)


def _groups(shapes: list[Shape]) -> list[str]:
    """The group of each shape; groups that share a grid and a stated split are one."""
    names = [f"{shape.item.class_name}\n{shape.item.split}\n{shape.item.group}" for shape in shapes]
    hashes = [f"{shape.item.class_name}\n{shape.item.split}\n{shape.hash}" for shape in shapes]
    return splits.merge(names, hashes)


def _splits(shapes: list[Shape], groups: list[str], shares: dict[str, float], seed: int) -> list[str]:
    """The split of each shape, class by class."""
    hashes: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    stated: dict[str, dict[str, str | None]] = defaultdict(dict)
    for shape, group in zip(shapes, groups, strict=True):
        hashes[shape.item.class_name][group].append(shape.hash)
        stated[shape.item.class_name][group] = shape.item.split
    chosen: dict[str, str] = {}
    for name in hashes:
        chosen |= splits.assign(hashes[name], stated[name], shares, seed)
    return [chosen[group] for group in groups]


def _cross_split(shapes: list[Shape], chosen: list[str]) -> int:
    """Shapes for validation and test whose grid is also a training shape of the class."""
    known = {(s.item.class_name, s.hash) for s, split in zip(shapes, chosen, strict=True) if split == "train"}
    return sum(
        (s.item.class_name, s.hash) in known for s, split in zip(shapes, chosen, strict=True) if split != "train"
    )


def _counts(names: list[str], shapes: list[Shape], chosen: list[str]) -> dict[str, dict[str, int]]:
    counts = Counter((shape.item.class_name, split) for shape, split in zip(shapes, chosen, strict=True))
    return {name: {split: counts[name, split] for split in SPLITS} for name in names}


def _manifest(shapes: list[Shape], chosen: list[str], groups: list[str]) -> list[tuple[str, ...]]:
    """The rows of manifest.csv; a name is the file's stem, or its whole path where stems collide."""
    stems = [PurePosixPath(shape.item.name.replace("[", "_").replace("]", "")).stem for shape in shapes]
    total = Counter(stems)
    return [
        (
            stem if total[stem] == 1 else shape.item.name,
            shape.item.class_name,
            split,
            group.rsplit("\n", 1)[1],
            shape.hash,
            shape.item.name,
        )
        for stem, shape, split, group in zip(stems, shapes, chosen, groups, strict=True)
    ]
