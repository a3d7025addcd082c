"""What `prepare` understands of a source, from names and headers alone; nothing is written."""

import tempfile
from collections import Counter
from pathlib import Path

from gan3d.data.pipeline import plausibility
from gan3d.data.pipeline.forms import join_forms
from gan3d.data.pipeline.options import PrepareOptions
from gan3d.data.pipeline.prepare import limit_per_class, select_classes
from gan3d.data.sandbox.pool import Limits, SandboxPool
from gan3d.data.sources.label_table import is_table, load_labels
from gan3d.data.sources.walk import Source, SourceItem, walk
from gan3d.dataset import SPLITS
from gan3d.errors import UserError

MAX_LINES = 12  # of one kind


def preview(source: Path, options: PrepareOptions, limits: Limits | None = None) -> tuple[str, UserError | None]:
    """Describe how a source is understood.

    Args:
        source: a folder, an archive or an array set.
        options: those of `prepare`.
        limits: on time and memory per file.

    Returns:
        The description, and the error that `prepare` would stop with, if any.

    Raises:
        UserError: if the source cannot be opened.
    """
    options.check()
    with SandboxPool(1, limits or Limits()) as sandbox, tempfile.TemporaryDirectory() as scratch:
        labels = load_labels(options.labels, source)
        found = walk(source, labels, sandbox, Path(scratch))
    found.items = join_forms(found.items)
    items = limit_per_class(select_classes(found, source, options.classes), options.limit)
    error = None
    try:
        if not items:
            raise UserError(f"no shape of {source} could be used: see the reasons above.")
        plausibility.check_classes(found, source)
        plausibility.check_stated_splits(found, items, items, source)
        if items and all(item.split in ("validation", "test") for item in items):
            plausibility.check_splits([item.split or "" for item in items], items, source)
    except UserError as problem:
        error = problem
    lines = _lines(found, items, source, options)
    if options.labels is None and source.is_dir():
        tables = [name for name in found.skipped if name.lower().endswith((".csv", ".tsv")) and is_table(source / name)]
        lines += [f"{source / name} looks like a table of classes: use it with --labels" for name in tables[:1]]
    return "\n".join(lines), error


def _lines(found: Source, items: list[SourceItem], source: Path, options: PrepareOptions) -> list[str]:
    names = list(dict.fromkeys(item.class_name for item in items))
    formats = ", ".join(f"{count} {kind}" for kind, count in found.formats.most_common()) or "no shapes"
    origin = "the table" if found.is_labelled else "labels" if _has_labels(found) else "folders and names"
    lines = [
        f"{source}: {found.kind}, {formats}",
        f"{len(items)} shapes in {_number(len(names), 'class', 'classes')}, by {origin}; {_splits(items, options)}",
    ]
    by_class = Counter((item.class_name, item.split) for item in items)
    lines += _capped([_class_line(name, by_class) for name in names], "classes")
    lines += _array_lines(found)
    files = {item.file for item in items if item.row is None}
    groups = {(item.class_name, item.group) for item in items if item.row is None}
    if len(groups) < len(files):
        lines.append(f"{len(files)} files are forms or rotations of {len(groups)} shapes, which stay in one split")
    axes = f"up: {options.up}, handedness: {options.handedness}, resolution: {options.resolution}"
    lines.append(f"{axes}; {len(found.skipped)} other files skipped, {len(found.rejects)} rejected")
    rejects = Counter((reason, advice) for _, reason, advice in found.rejects)
    first = {(reason, advice): name for name, reason, advice in reversed(found.rejects)}
    lines += _capped(
        [f"  {count} x {key[0]} {key[1]} ({first[key]})" for key, count in rejects.most_common()], "reasons"
    )
    return lines


def _number(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _has_labels(found: Source) -> bool:
    return any(array.labels is not None for arrays in found.arrays.values() for array in arrays)


def _splits(items: list[SourceItem], options: PrepareOptions) -> str:
    stated = {item.split for item in items if item.split}
    shares = {"validation": options.validation, "test": options.test}
    drawn = [f"{share:.0%} {split}" for split, share in shares.items() if split not in stated and share > 0]
    told = (
        f"the source states {', '.join(split for split in SPLITS if split in stated)}" if stated else "no split stated"
    )
    return f"{told}; drawn: {', '.join(drawn)}" if drawn else told


def _class_line(name: str, counts: Counter) -> str:
    words: dict[str | None, str] = {**{split: split for split in SPLITS}, None: "without a stated split"}
    told = ", ".join(f"{counts[name, split]} {word}" for split, word in words.items() if counts[name, split])
    return f"  {name}: {told}"


def _array_lines(found: Source) -> list[str]:
    """How arrays are read, equal ones together."""
    told: dict[str, list[str]] = {}
    for name, arrays in found.arrays.items():
        for array in arrays:
            key = f"{array.key} " if array.key else ""
            labels = f", labels in {array.label_key}" if array.label_key else ""
            split = f", {array.split}" if array.split else ""
            told.setdefault(f"{key}{array.axes}{labels}{split}", []).append(name)
    lines = [
        f"  {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {text}" for text, names in told.items()
    ]
    return _capped(lines, "kinds of arrays")


def _capped(lines: list[str], what: str) -> list[str]:
    left = len(lines) - MAX_LINES
    return lines if left <= 1 else [*lines[:MAX_LINES], f"  … and {left} more {what}"]
