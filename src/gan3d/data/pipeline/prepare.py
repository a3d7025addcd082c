"""The prepare stage: from a source of shapes to a voxel data set on disk (`gan3d.dataset`)."""

import errno
import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.data.formats.names import nfc
from gan3d.data.pipeline import contents, placement, plausibility, statistics, writer
from gan3d.data.pipeline.convert import BATCH_ROWS, ConversionSettings, Progress, Result, convert_batch, make_batches
from gan3d.data.pipeline.forms import join_forms
from gan3d.data.pipeline.journal import Journal
from gan3d.data.pipeline.options import FILLS, PrepareOptions
from gan3d.data.sandbox.pool import Limits, SandboxPool, WorkerFailure
from gan3d.data.sources.archives import Reject
from gan3d.data.sources.label_table import load_labels
from gan3d.data.sources.walk import Source, SourceItem, walk
from gan3d.data.voxelization.voxelize import Fill
from gan3d.dataset import COLUMNS, open_grids
from gan3d.errors import UserError
from gan3d.voxels import unpack_bits

VERSION = 2  # of the data set's layout
REDUCTION = "a coarse voxel is occupied when any of its eight is"  # as recorded in summary.json
MIN_CALLS_PER_WORKER = 48  # below it, starting another process takes longer than the work
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# runs calls of convert_batch; yields (number of the call, its results or a WorkerFailure)
Mapper = Callable[[Iterable[tuple]], Iterator[tuple[int, Any]]]


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
    place: str = "measured",
) -> dict[str, Any]:
    """Voxelise every shape of a source and write all resolutions of the pyramid, from 4³ to `resolution`.

    The result is byte for byte the same for any number of workers. `out` is replaced atomically, and only on success.
    An interrupted run leaves its results next to `out`; the next run with the same source and options resumes from
    them.

    Duplicates are equal grids of one class at the final resolution. If the source states no splits, one of each is
    kept. Stated splits are respected (an official test set stays complete): duplicates within a split are dropped,
    those across splits are kept and counted as `cross_split_duplicates`.

    Args:
        source: a folder, an archive or an array set (see `gan3d.data.sources.walk`).
        out: the folder to write.
        resolution: of the finest grid, one of `gan3d.voxels.RESOLUTIONS`.
        up: the axis that points up in the source, `x`, `y` or `z`; it is recorded, not applied.
        classes: names of the classes to keep; None keeps all.
        validation: share of the shapes for validation, unless the source states it.
        test: share of the shapes for test, unless the source states it.
        limit: maximum number of shapes per class, chosen by a hash of their names.
        workers: number of processes; None is one per core.
        progress: called with (items done, items in total).
        seed: of the drawn splits.
        handedness: of the source's axes, `right` or `left`; a left-handed shape is mirrored.
        fill: of meshes, see `gan3d.data.voxelization.voxelize.voxelize`.
        table: a CSV of classes, see `gan3d.data.sources.label_table.read_table`.
        limits: on time and memory per file.
        dask: address of a Dask scheduler whose workers see the same paths; None uses this machine.
        place: `floor` or `centre` of the grid, or `measured`, see `gan3d.data.pipeline.placement`.

    Returns:
        The content of `summary.json`.

    Raises:
        UserError: if the source cannot be opened, lacks a requested class, or yields no shape; for an invalid
            resolution, axis or share; if `out` holds something else; if the disk is full.
    """
    options = PrepareOptions(
        resolution, up, handedness, fill, None if classes is None else tuple(classes),
        None if table is None else Path(table), validation, test, limit, seed, place,
    )  # fmt: skip
    return prepare_source(Path(source), Path(out), options, workers, progress, limits or Limits(), dask)


def prepare_source(
    source: Path,
    out: Path,
    options: PrepareOptions,
    workers: int | None = None,
    progress: Progress | None = None,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    dask: str | None = None,
) -> dict[str, Any]:
    """Do what `prepare` does, with its options as one value."""
    options.check()
    _check_paths(source, out)
    with _disk_errors(out), Journal(out.with_name(f".{out.name}.unfinished")) as journal:
        with SandboxPool(1, limits) as sandbox:
            labels = load_labels(options.labels, source)
            found = walk(source, labels, sandbox, journal.folder / "archives")
            found.items = join_forms(found.items)
            plausibility.check_classes(found, source)
            items = limit_per_class(select_classes(found, source, options.classes), options.limit)
            journal.open(_journal_key(found, items, options.conversion), len(items))
            sandbox.workers = _worker_count(items, workers)
            failed = _convert(items, options.conversion, journal, _mapper(sandbox, dask, limits), progress)
        return _write(found, items, journal, failed, options, source, out)


def _check_paths(source: Path, out: Path) -> None:
    """Raise UserError if the output lies inside the source, or would replace anything but a data set."""
    if source.is_dir() and (out.resolve() == source.resolve() or source.resolve() in out.resolve().parents):
        raise UserError(f"{out} lies inside the source {source}: write the prepared data somewhere else.")
    writer.check_replaceable(out)


@contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    """Report a full disk as a UserError."""
    try:
        yield
    except (OSError, UserError) as error:
        fault = error.__cause__ if isinstance(error, UserError) else error
        if not isinstance(fault, OSError) or fault.errno not in DISK_FULL:
            raise
        raise UserError(
            f"the disk of {out} is full; earlier data is unchanged: free some space and run it again, which resumes"
            " from here."
        ) from None


def select_classes(found: Source, source: Path, classes: Sequence[str] | None) -> list[SourceItem]:
    """The items of some classes, or of all; raises UserError for a class that the source does not have."""
    if classes is None:
        return found.items
    classes = [nfc(name) for name in classes]
    missing = [name for name in classes if name not in found.classes]
    if missing:
        available = ", ".join(found.classes) or "none"
        raise UserError(f"the source {source} has no class {missing[0]!r}: set data.classes to some of {available}.")
    return [item for item in found.items if item.class_name in set(classes)]


def limit_per_class(items: list[SourceItem], limit: int | None) -> list[SourceItem]:
    """At most `limit` items per class, chosen by a hash of their names, in the given order."""
    if limit is None:
        return items
    by_class: dict[str, list[SourceItem]] = defaultdict(list)
    for item in items:
        by_class[item.class_name].append(item)
    kept = set()
    for members in by_class.values():
        order = sorted(members, key=lambda item: hashlib.sha256(item.name.encode("utf-8", "surrogateescape")).digest())
        kept |= {item.name for item in order[:limit]}
    return [item for item in items if item.name in kept]


def _journal_key(found: Source, items: list[SourceItem], settings: ConversionSettings) -> str:
    """Hash of all that results depend on: the files, the settings, and the code of this package."""
    digest = hashlib.sha256(json.dumps([VERSION, asdict(settings)]).encode())
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    for text in (*found.stamp, *(item.name for item in items)):
        digest.update(text.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def _worker_count(items: list[SourceItem], workers: int | None) -> int:
    calls = {(item.location, item.key, None if item.row is None else item.row // BATCH_ROWS) for item in items}
    return max(1, min(workers or os.cpu_count() or 1, len(calls) // MIN_CALLS_PER_WORKER + 1))


def _mapper(sandbox: SandboxPool, dask: str | None, limits: Limits) -> Mapper:
    if dask is None:
        return lambda calls: sandbox.map(convert_batch, calls)
    from gan3d.data.pipeline.dask_cluster import convert_on

    return lambda calls: convert_on(dask, calls, limits)


def _convert(
    items: list[SourceItem],
    settings: ConversionSettings,
    journal: Journal,
    mapper: Mapper,
    progress: Progress | None,
) -> dict[int, tuple[str, str]]:
    """Fill the journal; returns (reason, advice) of items whose process was killed, which a later run tries again."""
    failed: dict[int, tuple[str, str]] = {}
    batches: list[list[int]] = []

    def calls() -> Iterator[tuple]:
        for numbers in make_batches(items, (number for number in range(len(items)) if number not in journal)):
            batches.append(numbers)
            yield [items[number] for number in numbers], settings

    for call, answer in mapper(calls()):
        for i, number in enumerate(batches[call]):
            if isinstance(answer, WorkerFailure):
                failed[number] = (answer.reason, answer.advice)
            else:
                journal.add(number, answer[i])
        journal.flush()
        if progress:
            progress(len(journal) + len(failed), len(items))
    return failed


def _write(
    found: Source,
    items: list[SourceItem],
    journal: Journal,
    failed: dict[int, tuple[str, str]],
    options: PrepareOptions,
    source: Path,
    out: Path,
) -> dict[str, Any]:
    """Deduplicate, split, and write the data set; returns the summary."""
    classes = {number: items[number].class_name for number in sorted(journal.grids) if number not in failed}
    places = placement.choose_places(classes, journal.grid, options.place, options.resolution, options.up)

    def grid(number: int) -> bytes:
        packed, on_floor = journal.grid(number), places[items[number].class_name] == "floor"
        return placement.lower(packed, options.resolution, options.up) if on_floor else packed

    shapes, empty, rejects = _sort_results(found, items, journal, failed, grid)
    if not shapes:
        raise _no_shapes_error(source, len(items) + len(found.rejects), rejects, len(empty))
    plausibility.check_stated_splits(found, items, [shape.item for shape in shapes], source)
    grids = (journal.grid(shape.number) for shape in shapes)
    plausibility.check_grids(grids, len(empty), options.resolution, source)
    shapes, duplicates = contents.drop_duplicates(contents.inherit_splits(shapes))
    groups = contents.merge_groups(shapes)
    shares = {"validation": options.validation, "test": options.test}
    chosen = contents.assign_splits(shapes, groups, shares, options.seed)
    plausibility.check_splits(chosen, [shape.item for shape in shapes], source)
    names = [name for name in found.classes if any(shape.item.class_name == name for shape in shapes)]
    training = np.array([split == "train" for split in chosen])
    with writer.atomic_replace(out) as folder:
        packed = (grid(shape.number) for shape in shapes)
        summary: dict[str, Any] = {
            "version": VERSION,
            "kind": found.kind,
            "resolution": options.resolution,
            "up": options.up,
            "handedness": options.handedness,
            "classes": names,
            "counts": contents.count_shapes(names, shapes, chosen),
            "occupancy": writer.write_grids(folder, packed, training, options.resolution),
            "dropped_empty": len(empty),
            "duplicates": len(duplicates),
            "cross_split_duplicates": contents.count_leaks(shapes, chosen),
            "rejected": len(rejects),
            "skipped": len(found.skipped),
            "fill": FILLS[options.fill],
            "reduction": REDUCTION,
            "place": {name: places[name] for name in names},
        } | _symmetry(folder, names, shapes, training, options)
        writer.write_csv(folder / "manifest.csv", COLUMNS, contents.manifest_rows(shapes, chosen, groups))
        unused = sorted([*rejects, *((item.name, *contents.EMPTY) for item in empty)])
        writer.write_csv(folder / "rejects.csv", contents.REJECTS_COLUMNS, unused)
        files = contents.files_rows(found, items, shapes, duplicates, empty, rejects)
        writer.write_csv(folder / "files.csv", contents.FILES_COLUMNS, files)
        text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
        (folder / "summary.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    return summary


def _sort_results(
    found: Source,
    items: list[SourceItem],
    journal: Journal,
    failed: dict[int, tuple[str, str]],
    grid: Callable[[int], bytes],
) -> tuple[list[contents.Shape], list[SourceItem], list[Reject]]:
    """Shapes, items with an empty grid, and rejects, those of the walk included."""
    rejects, shapes, empty = list(found.rejects), [], []
    for number, item in enumerate(items):
        read = grid if number in journal.grids else journal.result
        result: Result = failed[number] if number in failed else read(number)
        if isinstance(result, bytes):
            shapes.append(contents.Shape(item, number, hashlib.sha256(result).hexdigest()[:32]))
        elif result is None:
            empty.append(item)
        else:
            rejects.append((item.name, *result))
    return shapes, empty, rejects


def _symmetry(
    folder: Path, names: list[str], shapes: list[contents.Shape], training: np.ndarray, options: PrepareOptions
) -> dict[str, Any]:
    """The mirror axis of each class, and its share of symmetric shapes, measured on the grids just written."""
    classes = np.array([shape.item.class_name for shape in shapes])
    members = {name: np.flatnonzero(training & (classes == name)) for name in names}
    coarse, fine = (
        _loader(folder, min(limit, options.resolution))
        for limit in (statistics.MIRROR_RESOLUTION, statistics.MAX_RESOLUTION)
    )
    mirror = {name: statistics.measure_mirror_axis(coarse, rows, options.up) for name, rows in members.items()}
    symmetric = {name: statistics.symmetric_share(fine, members[name], mirror[name]) for name in names}
    return {"mirror": mirror, "symmetric": symmetric}


def _loader(folder: Path, resolution: int) -> Callable[[np.ndarray], np.ndarray]:
    grids = open_grids(folder, resolution)
    return lambda rows: unpack_bits(np.asarray(grids[rows]), resolution)


def _no_shapes_error(source: Path, files: int, rejects: list[Reject], empty: int) -> UserError:
    """The error that says why no shape is left."""
    if not files:
        return UserError(f"the source {source} holds no meshes or voxel grids: point data.source to a folder of them.")
    if not rejects:
        return UserError(f"all {files} shapes of {source} are empty grids: check how they were exported.")
    (reason, advice), count = Counter((reason, advice) for _, reason, advice in rejects).most_common(1)[0]
    rest = f", {empty} of them empty grids" if empty else ""
    return UserError(
        f"no shape of {source} could be used: it has {files} files{rest}; the most frequent reason ({count} times) is:"
        f" {reason.rstrip('.')}; {advice[:1].lower()}{advice[1:]}"
    )
