"""Checks whether what was understood of a source can be meant: classes, splits, and the shapes themselves.

Each stops with one sentence that shows what was understood and how to say otherwise.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from gan3d.data.formats.extensions import ARRAY_SETS, suffix
from gan3d.data.sources.labels import split_of_path
from gan3d.data.sources.walk import Source, SourceItem
from gan3d.dataset import SPLITS
from gan3d.errors import UserError
from gan3d.voxels import unpack_bits

MIN_CLASSES = 3  # fewer classes of one shape each may be meant
MANY_CLASSES, FEW_SHAPES = 20, 2  # many classes have more shapes than that on average
MIN_SHAPES = 4  # below it, shares say nothing
MIN_RESOLUTION = 16  # max-pooled grids below it may well be full
_SAY = "say which file is of which class with --labels (data.labels), or reorder the folders"


def check_classes(found: Source, source: object) -> None:
    """Raise UserError if classes are as many as shapes, or nearly so, and no table names them."""
    if found.is_labelled:
        return
    shapes = {(item.class_name, item.group) for item in found.items}
    classes = Counter(name for name, _ in shapes)
    count = len(classes)
    few = count >= MANY_CLASSES and len(shapes) < FEW_SHAPES * count
    if count < MIN_CLASSES or (len(shapes) > count and not few):
        return
    names = ", ".join(list(classes)[:3])
    raise UserError(
        f"the source {source} gives {count} classes ({names}, …) for {len(shapes)} shapes, so its folders or labels"
        f" name single shapes: {_SAY}."
    )


def check_stated_splits(found: Source, items: Sequence[SourceItem], kept: Iterable[SourceItem], source: object) -> None:
    """Raise UserError if a split that the source states has no shape left."""
    stated = {item.split for item in items if item.split}
    lost = {
        split: name
        for name, *_ in found.rejects
        if suffix(name) in (*ARRAY_SETS, ".npy") and (split := _stated(name)) and not found.is_labelled
    }
    for split in SPLITS:
        if split in stated | set(lost) and not any(item.split == split for item in kept):
            reasons = {name: reason for name, reason, _ in found.rejects}
            name = lost.get(split)
            why = f" ({name}: {reasons[name].rstrip('.')})" if name else ""
            raise UserError(
                f"the source {source} states a {split} split, but no shape of it could be used{why}: repair its files,"
                " or take them out of the source."
            )


def _stated(name: str) -> str | None:
    return split_of_path(name.rsplit(".", 1)[0] + "/")


def check_splits(chosen: Sequence[str], items: Sequence[SourceItem], source: object) -> None:
    """Raise UserError if all shapes are held out, or many shapes fall into one split."""
    counts = Counter(chosen)
    shown = ", ".join(f"{counts[split]} {split}" for split in SPLITS)
    if not counts["train"]:
        if not any(item.split for item in items):
            raise UserError(
                f"the shapes of {source} are too few, or copies of each other, for the splits ({shown}): add shapes"
                " that differ."
            )
        raise UserError(
            f"the source {source} states splits without training shapes ({shown}): name the folder above it, or state"
            " the splits in the table of --labels (data.labels)."
        )
    groups = {(item.class_name, item.group) for item in items}
    if len(counts) == 1 and len(chosen) > 10 * len(groups):
        raise UserError(
            f"the {len(chosen)} shapes of {source} were understood as forms of {len(groups)} shapes, all in one split"
            f" ({shown}): give each shape a folder or a name of its own, or state splits with --labels (data.labels)."
        )


def check_grids(grids: Iterable[bytes], empty: int, resolution: int, source: object) -> None:
    """Raise UserError if most grids are empty, full, or flat.

    Args:
        grids: packed, at `resolution`.
        empty: number of grids without an occupied voxel.
    """
    full = flat = count = 0
    for grid in grids:
        count += 1
        if resolution < MIN_RESOLUTION:
            continue
        voxels = unpack_bits(np.frombuffer(grid, np.uint8)[None], resolution)[0]
        full += bool(voxels.all())
        flat += min(int(voxels.any(axes).sum()) for axes in ((1, 2), (0, 2), (0, 1))) == 1
    total = count + empty
    for number, what, advice in (
        (empty, "empty grids", "check how they were exported, and that occupied voxels have values above 0.5"),
        (full, "completely full grids", "check that empty voxels are 0 and not the other way round"),
        (flat, "flat, one voxel thick", "check the order of the axes, and that each file or row is a whole grid"),
    ):
        if total >= MIN_SHAPES and 2 * number > total:
            raise UserError(f"{number} of the {total} shapes of {source} are {what}: {advice}.")
