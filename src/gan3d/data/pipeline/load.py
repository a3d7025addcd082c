"""Shapes of any source as one array, without a data set on disk: what `gan3d score` compares."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan3d.data.formats.extensions import ARRAY_SETS, GRIDS, MESHES, suffix
from gan3d.data.formats.names import nfc
from gan3d.data.formats.readers import Mesh
from gan3d.data.pipeline.convert import BATCH_ROWS, ConversionSettings, Result, convert_batch, make_batches
from gan3d.data.sandbox.pool import Limits, SandboxPool, WorkerFailure
from gan3d.data.sources.archives import Location
from gan3d.data.sources.walk import SourceItem, walk
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError, short_list
from gan3d.voxels import RESOLUTIONS, unpack_bits

CALLS_PER_WORKER = 48  # below it, starting another process takes longer than the work
WORKERS = 8


@dataclass(frozen=True, eq=False)
class Loaded:
    """The shapes of a source.

    Attributes:
        voxels: booleans (n, R, R, R), empty ones too.
        up: the axis that points up, where a prepared data set says so.
        rejects: (file, reason, advice) of what could not be read.
    """

    voxels: np.ndarray
    up: str | None = None
    rejects: Sequence[tuple[str, str, str]] = ()


def find_resolution(path: Path) -> int | None:
    """Voxels along an edge of the first grid of a source; None if it holds meshes.

    Raises:
        UserError: if there is no such source, or nothing in it can be read.
    """
    if (path / "manifest.csv").is_file():
        return int(VoxelDataset(path).summary["resolution"])
    with SandboxPool(1) as sandbox, tempfile.TemporaryDirectory() as scratch:
        items, rejects = _items(path, sandbox, Path(scratch))
        for item in items[:BATCH_ROWS]:
            side = sandbox.call(_side, item)
            if isinstance(side, WorkerFailure):
                rejects.append((item.name, side.reason, side.advice))
            elif isinstance(side, str):
                rejects.append((item.name, side, ""))
            else:
                return side
    raise _nothing(path, rejects)


def load(
    path: Path, resolution: int, split: str | None = None, class_name: str | None = None, limits: Limits | None = None
) -> Loaded:
    """Read the shapes of a file, folder, archive, array set or prepared data set.

    Args:
        path: the source.
        resolution: of the grids: meshes are voxelised at it, and finer grids are reduced to it.
        split: of a source that states splits, take this one alone.
        class_name: take this class alone.
        limits: on time and memory per file.

    Raises:
        UserError: if there is no such source, split or class, or nothing in it can be read.
    """
    if (path / "manifest.csv").is_file():
        data = VoxelDataset(path)
        splits = [split] if split else ["train", "validation", "test"]
        rows = np.concatenate([data.select(name, class_name) for name in splits])
        return Loaded(data.voxels(resolution, rows), data.up)
    settings = ConversionSettings(resolution)
    with SandboxPool(1, limits or Limits()) as sandbox, tempfile.TemporaryDirectory() as scratch:
        items, rejects = _items(path, sandbox, Path(scratch))
        items = _chosen(path, items, split, class_name)
        batches = list(make_batches(items, range(len(items))))
        sandbox.workers = max(1, min(WORKERS, len(batches) // CALLS_PER_WORKER + 1))
        results: list[Result] = [None] * len(items)
        calls = (([items[number] for number in batch], settings) for batch in batches)
        for call, answer in sandbox.map(convert_batch, calls):
            failed = isinstance(answer, WorkerFailure)
            for i, number in enumerate(batches[call]):
                results[number] = (answer.reason, answer.advice) if failed else answer[i]
    empty = bytes(resolution**3 // 8)
    grids = [empty if result is None else result for result in results if not isinstance(result, tuple)]
    rejects += [(item.name, *result) for item, result in zip(items, results, strict=True) if isinstance(result, tuple)]
    if not grids:
        raise _nothing(path, rejects)
    packed = np.frombuffer(b"".join(grids), np.uint8).reshape(len(grids), -1)
    return Loaded(unpack_bits(packed, resolution), None, rejects)


def _items(path: Path, sandbox: SandboxPool, scratch: Path) -> tuple[list[SourceItem], list[tuple[str, str, str]]]:
    """The shapes of a source in their order, those of an array by row; and what was refused."""
    if not path.exists():
        raise UserError(f"{path} does not exist: name a file, folder or archive of shapes, or a prepared data set.")
    kind = suffix(path.name)
    if path.is_file() and kind in (*MESHES, *GRIDS) and kind not in (*ARRAY_SETS, ".npy"):
        location = Location(path, None, path.parent)
        return [SourceItem(path.name, "shape", None, path.stem, path.name, location)], []
    found = walk(path, None, sandbox, scratch)
    items = sorted(found.items, key=lambda item: (item.file, item.key, item.row or 0))
    if not items:
        raise _nothing(path, list(found.rejects))
    return items, [(str(name), reason, advice) for name, reason, advice in found.rejects]


def _chosen(path: Path, items: list[SourceItem], split: str | None, class_name: str | None) -> list[SourceItem]:
    if class_name is not None:
        names = list(dict.fromkeys(item.class_name for item in items))
        items = [item for item in items if item.class_name == nfc(class_name)]
        if not items:
            raise UserError(f"{path} has no class {class_name!r}: choose one of {short_list(names, 20)}.")
    stated = [item for item in items if item.split == split]
    return stated if split is not None and stated else items


def _side(item: SourceItem) -> int | str | None:
    """The power of two that a grid fits into, None for a mesh, or why it cannot be read."""
    try:
        shape = item.read()
    except Exception as error:
        return str(error)
    if isinstance(shape, Mesh):
        return None
    return next((side for side in RESOLUTIONS if side >= max(shape.shape)), RESOLUTIONS[-1])


def _nothing(path: Path, rejects: Sequence[tuple[str, str, str]]) -> UserError:
    if rejects:
        name, reason, advice = rejects[0]
        return UserError(f"no shape of {path} could be read; the first is {name}: {reason} {advice}".rstrip())
    return UserError(f"{path} holds no shapes: name a file, folder or archive of voxel grids or meshes.")
