"""What a data set consists of: which shapes are kept, in which groups and splits, and the tables that say so."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gan3d.data.formats.extensions import stem
from gan3d.data.pipeline import splits
from gan3d.data.sources.archives import Reject
from gan3d.data.sources.walk import Item, Source
from gan3d.dataset import SPLITS

EMPTY = ("Its grid is empty: no value is above 0.5.", "Check how it was exported, or leave it out.")
LEDGER = ("file", "accepted", "duplicates", "empty", "rejected", "left out")


@dataclass(frozen=True)
class Shape:
    """A shape that was read: its number among the items, and the hash of its grid at the final resolution."""

    item: Item
    number: int
    hash: str


def settled(shapes: list[Shape]) -> list[Shape]:
    """The same shapes, where those of no stated split take that of a relative: of their group, or of an equal grid.

    A relative that is trained on counts before others.
    """
    known: dict[tuple[str, str], set[str]] = defaultdict(set)
    for shape in shapes:
        if shape.item.split is not None:
            for kin in _kin(shape):
                known[kin].add(shape.item.split)
    if not known or all(shape.item.split is not None for shape in shapes):
        return shapes
    todo, found = True, list(shapes)
    while todo:  # a relative's relative is one, too
        todo = False
        for number, shape in enumerate(found):
            if shape.item.split is not None:
                continue
            near = set().union(*(known[kin] for kin in _kin(shape) if kin in known))
            if near:
                split = min(near, key=SPLITS.index)
                found[number] = replace(shape, item=replace(shape.item, split=split))
                for kin in _kin(shape):
                    known[kin].add(split)
                todo = True
    return found


def _kin(shape: Shape) -> tuple[tuple[str, str], tuple[str, str]]:
    return (shape.item.class_name, f"group {shape.item.group}"), (shape.item.class_name, f"grid {shape.hash}")


def deduplicated(shapes: list[Shape]) -> tuple[list[Shape], list[Item]]:
    """Drop equal grids of one class within what the source states as one split; the first by name stays."""
    first: dict[tuple[str, str | None, str], Shape] = {}
    dropped = []
    for shape in shapes:
        if first.setdefault((shape.item.class_name, shape.item.split, shape.hash), shape) is not shape:
            dropped.append(shape.item)
    return list(first.values()), dropped


def groups(shapes: list[Shape]) -> list[str]:
    """The group of each shape; groups that share a grid and a stated split are one."""
    names = [f"{shape.item.class_name}\n{shape.item.split}\n{shape.item.group}" for shape in shapes]
    hashes = [f"{shape.item.class_name}\n{shape.item.split}\n{shape.hash}" for shape in shapes]
    return splits.merge(names, hashes)


def split(shapes: list[Shape], groups: list[str], shares: dict[str, float], seed: int) -> list[str]:
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


def cross_split(shapes: list[Shape], chosen: list[str]) -> int:
    """Shapes for validation and test whose grid is also a training shape of the class."""
    known = {(s.item.class_name, s.hash) for s, split in zip(shapes, chosen, strict=True) if split == "train"}
    return sum(
        (s.item.class_name, s.hash) in known for s, split in zip(shapes, chosen, strict=True) if split != "train"
    )


def counts(names: list[str], shapes: list[Shape], chosen: list[str]) -> dict[str, dict[str, int]]:
    """Shapes of each class in each split."""
    found = Counter((shape.item.class_name, split) for shape, split in zip(shapes, chosen, strict=True))
    return {name: {split: found[name, split] for split in SPLITS} for name in names}


def manifest(shapes: list[Shape], chosen: list[str], groups: list[str]) -> list[tuple[str, ...]]:
    """The rows of manifest.csv; a name is the file's stem, or its whole path where stems collide."""
    stems = [stem(shape.item.name.replace("[", "_").replace("]", "")) for shape in shapes]
    total = Counter(stems)
    return [
        (
            own if total[own] == 1 else shape.item.name,
            shape.item.class_name,
            split,
            group.rsplit("\n", 1)[1],
            shape.hash,
            shape.item.name,
        )
        for own, shape, split, group in zip(stems, shapes, chosen, groups, strict=True)
    ]


def ledger(
    found: Source,
    items: Sequence[Item],
    shapes: Sequence[Shape],
    duplicates: Sequence[Item],
    empty: Sequence[Item],
    rejects: Sequence[Reject],
) -> Iterator[tuple[str, ...]]:
    """The rows of files.csv: what became of the shapes of every file that the source holds, sorted by path."""
    file_of = {item.name: item.file for item in found.items}
    taken = {item.name for item in items}
    columns = [
        Counter(shape.item.file for shape in shapes),
        Counter(item.file for item in duplicates),
        Counter(item.file for item in empty),
        Counter(file_of.get(name, name) for name, *_ in rejects),
        Counter(found.skipped) + Counter(item.file for item in found.items if item.name not in taken),
    ]
    for name in sorted(set().union(*columns)):
        yield name, *(str(column[name]) for column in columns)
