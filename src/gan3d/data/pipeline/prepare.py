"""The prepare stage: a source of shapes -> a voxel data set on disk (`gan3d.dataset`)."""

import errno
import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.data.pipeline import contents, writer
from gan3d.data.pipeline.convert import Form, Progress, Result, blocks, convert_block
from gan3d.data.pipeline.journal import Journal
from gan3d.data.pipeline.statistics import mirror_axes
from gan3d.data.sandbox.pool import Limits, SandboxPool, WorkerFailure
from gan3d.data.sources.labels import read_table
from gan3d.data.sources.walk import Item, Source, walk
from gan3d.data.voxelization.voxelize import Fill
from gan3d.dataset import COLUMNS, VoxelDataset
from gan3d.errors import UserError
from gan3d.voxels import AXES, RESOLUTIONS

VERSION = 2
SURFACE = "occupied where a triangle touches the voxel"
FILLS = {
    "solid": f"{SURFACE}, or where a flood from outside cannot reach (6-connectivity)",
    "surface": SURFACE,
    "winding": f"{SURFACE}, or where the mesh winds around its centre by more than half a turn",
}
REDUCTION = "a coarse voxel is occupied when any of its eight is"
FEW = 48  # with fewer files or blocks of rows, starting another process takes longer than the work
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Mapper = Callable[
    [Iterable[tuple]], Iterator[tuple[int, Any]]
]  # calls of convert_block -> (number, value or WorkerFailure)


@dataclass(frozen=True)
class Options:
    """How a source is read; the fields are those of `data` in params.yaml, `labels` is a CSV of classes."""

    resolution: int
    up: str = "y"
    handedness: str = "right"
    fill: Fill = "solid"
    classes: tuple[str, ...] | None = None
    labels: Path | None = None
    validation: float = 0.1
    test: float = 0.1
    limit: int | None = None
    seed: int = 0

    @property
    def form(self) -> Form:
        """A left-handed source is mirrored along its first axis that is not up."""
        flip = None if self.handedness == "right" else next(i for i in range(3) if AXES[i] != self.up)
        return Form(self.resolution, self.fill, flip)


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
    handedness: str = "right",
    fill: Fill = "solid",
    table: str | Path | None = None,
    limits: Limits | None = None,
    dask: str | None = None,
) -> dict[str, Any]:
    """Voxelise every shape of a source and store all resolutions of the pyramid, from 4³ to `resolution`.

    The same shapes give the same bytes, whatever the number of workers. The folder `out` is replaced when all went
    well, and stays as it was otherwise. A run that is killed leaves its results beside `out`, and the next one with the
    same source and options goes on from them.

    Duplicates are equal grids of one class at the final resolution. Where the source states no split, one of them is
    kept. A stated split is the source's word (an official test set stays whole): duplicates inside a stated split
    are dropped, those across splits are kept and counted as `cross_split_duplicates`.

    Args:
        source: a folder, an archive or a set of arrays (see `gan3d.data.sources.walk`).
        out: the folder to write.
        resolution: of the finest grid, one of `RESOLUTIONS`.
        up: the axis that points upwards in the source, `x`, `y` or `z`; recorded, the axes are kept.
        classes: names of the classes to keep; None keeps all.
        validation: share of the shapes for validation, where the source does not state it.
        test: the same for test.
        limit: at most so many shapes a class, chosen by a hash of their names.
        workers: processes; None is one a core.
        progress: called with (done, total) items.
        seed: of the drawn splits.
        handedness: of the source's axes, `right` or `left`; a left-handed shape is mirrored.
        fill: of meshes, see `gan3d.data.voxelization.voxelize.voxelize`.
        table: a CSV of classes, see `gan3d.data.sources.labels.read_table`.
        limits: of the time and memory of each file.
        dask: address of a Dask scheduler whose workers see the same paths; None uses this machine.

    Returns:
        The summary, as in `summary.json`.

    Raises:
        UserError: for a source that cannot be opened, that lacks a class asked for, or of which nothing is left; for
            a wrong resolution, axis or share; for an `out` that holds something else; when the disk is full.
    """
    options = Options(
        resolution, up, handedness, fill, None if classes is None else tuple(classes),
        None if table is None else Path(table), validation, test, limit, seed,
    )  # fmt: skip
    return prepare_source(Path(source), Path(out), options, workers, progress, limits or Limits(), dask)


def prepare_source(
    source: Path,
    out: Path,
    options: Options,
    workers: int | None = None,
    progress: Progress | None = None,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    dask: str | None = None,
) -> dict[str, Any]:
    """Do what `prepare` does, with its options as one value."""
    _check(source, out, options)
    with _disk(out), Journal(out.with_name(f".{out.name}.unfinished")) as journal:
        with SandboxPool(1, limits) as guard:
            labels = None if options.labels is None else read_table(options.labels)
            found = walk(source, labels, guard, journal.folder / "archives")
            items = _limited(_of_classes(found, source, options.classes), options.limit)
            journal.open(_key(found, items, options.form), len(items))
            guard.workers = _workers(items, workers)
            lost = _convert(items, options.form, journal, _mapper(guard, dask, limits), progress)
        return _write(found, items, journal, lost, options, source, out)


def _check(source: Path, out: Path, options: Options) -> None:
    """Raise UserError for arguments that cannot work, before any shape is read."""
    validation, test = options.validation, options.test
    if options.resolution not in RESOLUTIONS:
        raise UserError(f"data.resolution {options.resolution} is not possible: choose one of {RESOLUTIONS}.")
    if options.up not in AXES:
        raise UserError(f"data.up {options.up!r} is not an axis: choose x, y or z.")
    if options.handedness not in ("right", "left"):
        raise UserError(f"data.handedness {options.handedness!r} does not exist: choose right or left.")
    if options.fill not in FILLS:
        raise UserError(f"data.fill {options.fill!r} does not exist: choose one of {', '.join(FILLS)}.")
    if min(validation, test) < 0 or validation + test >= 1:
        raise UserError(
            f"data.validation {validation} and data.test {test} leave no training shapes: give shares that add up to"
            " less than 1."
        )
    if source.is_dir() and (out.resolve() == source.resolve() or source.resolve() in out.resolve().parents):
        raise UserError(f"{out} lies inside the source {source}: write the prepared data somewhere else.")
    writer.check_replaceable(out)


@contextmanager
def _disk(out: Path) -> Iterator[None]:
    """A full disk as one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"the disk of {out} is full, and what was there stays as it was: free some space and run it again, which"
            " goes on from here."
        ) from None


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


def _key(found: Source, items: list[Item], form: Form) -> str:
    """What results depend on: the files, what is made of them, and the code that does."""
    digest = hashlib.sha256(json.dumps([VERSION, asdict(form)]).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for text in (*found.stamp, *(item.name for item in items)):
        digest.update(text.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def _workers(items: list[Item], workers: int | None) -> int:
    calls = len(
        {(item.place, item.key) if item.row is None else (item.place, item.key, item.row // 64) for item in items}
    )
    return max(1, min(workers or os.cpu_count() or 1, calls // FEW + 1))


def _mapper(guard: SandboxPool, dask: str | None, limits: Limits) -> Mapper:
    if dask is None:
        return lambda calls: guard.map(convert_block, calls)
    from gan3d.data.pipeline.dask_cluster import convert_on

    return lambda calls: convert_on(dask, calls, limits)


def _convert(
    items: list[Item], form: Form, journal: Journal, mapper: Mapper, progress: Progress | None
) -> dict[int, tuple[str, str]]:
    """Fill the journal; returns the items whose process was ended, which a later run tries again."""
    lost: dict[int, tuple[str, str]] = {}
    todo: list[list[int]] = []

    def calls() -> Iterator[tuple]:
        for numbers in blocks(items, (number for number in range(len(items)) if number not in journal)):
            todo.append(numbers)
            yield [items[number] for number in numbers], form

    for call, answer in mapper(calls()):
        for place, number in enumerate(todo[call]):
            if isinstance(answer, WorkerFailure):
                lost[number] = (answer.reason, answer.advice)
            else:
                journal.add(number, answer[place])
        journal.flush()
        if progress:
            progress(len(journal) + len(lost), len(items))
    return lost


def _write(
    found: Source,
    items: list[Item],
    journal: Journal,
    lost: dict[int, tuple[str, str]],
    options: Options,
    source: Path,
    out: Path,
) -> dict[str, Any]:
    """Bring all results into order, and put the data set into its place."""
    rejects, shapes, empty = list(found.rejects), [], []
    for number, item in enumerate(items):
        result: Result = lost[number] if number in lost else journal.result(number)
        if isinstance(result, bytes):
            shapes.append(contents.Shape(item, number, hashlib.sha256(result).hexdigest()[:32]))
        elif result is None:
            empty.append(item)
        else:
            rejects.append((item.name, *result))
    if not shapes:
        raise _nothing_left(source, len(items) + len(found.rejects), rejects, len(empty))
    shapes, duplicates = contents.deduplicated(contents.settled(shapes))
    groups = contents.groups(shapes)
    chosen = contents.split(shapes, groups, {"validation": options.validation, "test": options.test}, options.seed)
    names = [name for name in found.classes if any(shape.item.class_name == name for shape in shapes)]
    training = np.array([split == "train" for split in chosen])
    with writer.replacing(out) as folder:
        packed = (journal.grid(shape.number) for shape in shapes)
        summary: dict[str, Any] = {
            "version": VERSION,
            "kind": found.kind,
            "resolution": options.resolution,
            "up": options.up,
            "handedness": options.handedness,
            "classes": names,
            "counts": contents.counts(names, shapes, chosen),
            "occupancy": writer.write_grids(folder, packed, training, options.resolution),
            "dropped_empty": len(empty),
            "duplicates": len(duplicates),
            "cross_split_duplicates": contents.cross_split(shapes, chosen),
            "rejected": len(rejects),
            "skipped": len(found.skipped),
            "fill": FILLS[options.fill],
            "reduction": REDUCTION,
        }
        writer.write_csv(folder / "manifest.csv", COLUMNS, contents.manifest(shapes, chosen, groups))
        unused = sorted([*rejects, *((item.name, *contents.EMPTY) for item in empty)])
        writer.write_csv(folder / "rejects.csv", ("file", "reason", "advice"), unused)
        ledger = contents.ledger(found, items, shapes, duplicates, empty, rejects)
        writer.write_csv(folder / "files.csv", contents.LEDGER, ledger)
        _summarise(folder, summary)  # which measuring reads
        summary["mirror"] = mirror_axes(VoxelDataset(folder))
        _summarise(folder, summary)
    return summary


def _summarise(folder: Path, summary: dict[str, Any]) -> None:
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    (folder / "summary.json").write_bytes(text.encode("utf-8", "surrogateescape"))


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
