"""The contents of a data set: which shapes are kept, their groups and splits, and the tables that list them."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

from gan3d.data.formats.extensions import stem
from gan3d.data.pipeline import splits
from gan3d.data.sources.archives import Reject
from gan3d.data.sources.walk import Source, SourceItem
from gan3d.dataset import SPLITS

EMPTY = ("Its grid is empty: no value is above 0.5.", "Check how it was exported, or leave it out.")
REJECTS_COLUMNS = ("file", "reason", "advice")
FILES_COLUMNS = ("file", "accepted", "duplicates", "empty", "rejected", "left out")


@dataclass(frozen=True)
class Shape:
    """A converted shape: its item, the item's number, and the hash of its grid at the final resolution."""

    item: SourceItem
    number: int
    hash: str


def inherit_splits(shapes: list[Shape]) -> list[Shape]:
    """Give shapes without a stated split that of a relative: a shape of their group, or an equal grid.

    Relations between shapes without a stated split are transitive. If relatives have several splits, the first of
    SPLITS is taken, so training shapes decide.
    """
    unstated = [number for number, shape in enumerate(shapes) if shape.item.split is None]
    if not 0 < len(unstated) < len(shapes):
        return shapes
    keys = [((shape.item.class_name, shape.item.group), (shape.item.class_name, shape.hash)) for shape in shapes]
    stated: list[dict[Hashable, set[str]]] = [defaultdict(set), defaultdict(set)]  # splits by group, by grid
    for shape, shape_keys in zip(shapes, keys, strict=True):
        if shape.item.split is not None:
            for known, key in zip(stated, shape_keys, strict=True):
                known[key].add(shape.item.split)
    families = splits.components(*zip(*(keys[number] for number in unstated), strict=True)).tolist()
    related: dict[int, set[str]] = defaultdict(set)  # splits of the relatives of each family
    for family, number in zip(families, unstated, strict=True):
        related[family].update(*(known.get(key, ()) for known, key in zip(stated, keys[number], strict=True)))
    result = list(shapes)
    for family, number in zip(families, unstated, strict=True):
        if related[family]:
            split = min(related[family], key=SPLITS.index)
            result[number] = replace(shapes[number], item=replace(shapes[number].item, split=split))
    return result


def drop_duplicates(shapes: list[Shape]) -> tuple[list[Shape], list[SourceItem]]:
    """Keep the first by name of equal grids in one class and stated split; returns the kept and the dropped."""
    first: dict[tuple[str, str | None, str], Shape] = {}
    dropped = []
    for shape in shapes:
        if first.setdefault((shape.item.class_name, shape.item.split, shape.hash), shape) is not shape:
            dropped.append(shape.item)
    return list(first.values()), dropped


def merge_groups(shapes: list[Shape]) -> list[str]:
    """The group of each shape; groups that share a grid and a stated split become one."""
    names = [f"{shape.item.class_name}\n{shape.item.split}\n{shape.item.group}" for shape in shapes]
    hashes = [f"{shape.item.class_name}\n{shape.item.split}\n{shape.hash}" for shape in shapes]
    return splits.merge(names, hashes)


def assign_splits(shapes: list[Shape], groups: list[str], shares: dict[str, float], seed: int) -> list[str]:
    """The split of each shape, drawn per class."""
    hashes: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    stated: dict[str, dict[str, str | None]] = defaultdict(dict)
    for shape, group in zip(shapes, groups, strict=True):
        hashes[shape.item.class_name][group].append(shape.hash)
        stated[shape.item.class_name][group] = shape.item.split
    chosen: dict[str, str] = {}
    for name in hashes:
        chosen |= splits.assign(hashes[name], stated[name], shares, seed)
    return [chosen[group] for group in groups]


def count_leaks(shapes: list[Shape], chosen: list[str]) -> int:
    """Number of validation and test shapes whose grid is also a training shape of their class."""
    training = {(s.item.class_name, s.hash) for s, split in zip(shapes, chosen, strict=True) if split == "train"}
    return sum(
        (s.item.class_name, s.hash) in training for s, split in zip(shapes, chosen, strict=True) if split != "train"
    )


def count_shapes(names: list[str], shapes: list[Shape], chosen: list[str]) -> dict[str, dict[str, int]]:
    """Number of shapes per class and split."""
    found = Counter((shape.item.class_name, split) for shape, split in zip(shapes, chosen, strict=True))
    return {name: {split: found[name, split] for split in SPLITS} for name in names}


def manifest_rows(shapes: list[Shape], chosen: list[str], groups: list[str]) -> list[tuple[str, ...]]:
    """The rows of manifest.csv; a shape is named by its stem, or by its path where stems collide."""
    stems = [stem(shape.item.name.replace("[", "_").replace("]", "")) for shape in shapes]
    total = Counter(stems)
    return [
        (
            name if total[name] == 1 else shape.item.name,
            shape.item.class_name,
            split,
            group.rsplit("\n", 1)[1],
            shape.hash,
            shape.item.name,
        )
        for name, shape, split, group in zip(stems, shapes, chosen, groups, strict=True)
    ]


def files_rows(
    found: Source,
    items: Sequence[SourceItem],
    shapes: Sequence[Shape],
    duplicates: Sequence[SourceItem],
    empty: Sequence[SourceItem],
    rejects: Sequence[Reject],
) -> Iterator[tuple[str, ...]]:
    """The rows of files.csv: what became of the shapes of every file of the source, sorted by path."""
    file_of = {item.name: item.file for item in found.items}
    used = {item.name for item in items}
    columns = [
        Counter(shape.item.file for shape in shapes),
        Counter(item.file for item in duplicates),
        Counter(item.file for item in empty),
        Counter(file_of.get(name, name) for name, *_ in rejects),
        Counter(found.skipped) + Counter(item.file for item in found.items if item.name not in used),
    ]
    for name in sorted(set().union(*columns)):
        yield name, *(str(column[name]) for column in columns)
