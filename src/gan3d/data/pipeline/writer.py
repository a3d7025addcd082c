"""Write a prepared data set atomically; the same shapes give the same bytes."""

import csv
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
from filelock import FileLock, Timeout

from gan3d import dataset
from gan3d.dataset import resolution_key
from gan3d.errors import FULL, UserError
from gan3d.outputs import write_error
from gan3d.voxels import RESOLUTIONS, max_pool, pack_bits, unpack_bits

ALIVE = ".alive"  # a lock that ends with its process
PREVIOUS = "previous"
BATCH = 64  # shapes reduced and written at once: bounds the memory


@contextmanager
def atomic_replace(out: Path) -> Iterator[Path]:
    """Give a temporary folder that replaces `out` if the block succeeds; otherwise `out` stays as it is.

    Raises:
        UserError: if `out` is a file, or holds something other than a data set.
    """
    check_replaceable(out)
    try:
        with _replacing(out) as folder:
            yield folder
    except OSError as error:
        if error.errno in FULL:
            raise  # whoever keeps the results so far can say more
        raise write_error(out, error) from error


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    out.parent.mkdir(parents=True, exist_ok=True)
    sweep_dead(out)
    with (
        tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch,
        FileLock(Path(scratch) / ALIVE),
    ):
        folder, previous = Path(scratch) / "new", Path(scratch) / PREVIOUS
        folder.mkdir()
        yield folder
        if out.exists():
            out.rename(previous)
        try:
            folder.rename(out)
        except OSError:
            if previous.exists():
                previous.rename(out)
            raise


def sweep_dead(out: Path) -> None:
    """Remove the temporary folders of processes that died, and put back what one had moved away from `out`."""
    for folder in out.parent.glob(f".{out.name}-*"):
        young = time.time() - folder.stat().st_mtime < 60 and not (folder / ALIVE).exists()
        if not folder.is_dir() or young:  # about to be locked
            continue
        with suppress(Timeout, OSError), FileLock(folder / ALIVE, blocking=False):
            if (folder / PREVIOUS).is_dir() and not out.exists():
                (folder / PREVIOUS).rename(out)
            shutil.rmtree(folder, ignore_errors=True)


def check_replaceable(out: Path) -> None:
    """Raise UserError unless `out` is missing, an empty folder, or a data set."""
    if out.is_dir():
        if any(out.iterdir()) and not (out / "manifest.csv").is_file():
            raise UserError(f"{out} holds files other than a data set: choose another folder for the prepared data.")
    elif out.exists():
        raise UserError(f"{out} is a file: choose a folder for the prepared data.")


class _ShardWriter:
    """Writes the grids of one resolution, starting a new file when the current one is full.

    Files are written, not memory-mapped: a full disk then raises an error instead of killing the process.
    """

    def __init__(self, folder: Path, resolution: int, total: int):
        self.folder, self.resolution, self.left = folder, resolution, total
        self.shard_rows = max(BATCH, dataset.SHARD // (resolution**3 // 8) // BATCH * BATCH)  # whole batches
        self.sharded = total > self.shard_rows
        self.number = 0
        self.file: IO[bytes] | None = None
        self.free = 0  # bytes until the file is full

    def write(self, batch: bytes) -> None:
        if not self.free:
            self.finish()
            self._start_file()
        assert self.file is not None
        self.file.write(batch)
        self.free -= len(batch)

    def _start_file(self) -> None:
        count = min(self.left, self.shard_rows)
        name = resolution_key(self.resolution) + (f".{self.number:04d}" if self.sharded else "")
        self.file = (self.folder / f"{name}.npy").open("wb")
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, self.resolution**3 // 8)}
        np.lib.format.write_array_header_1_0(self.file, header)
        self.free, self.left, self.number = count * self.resolution**3 // 8, self.left - count, self.number + 1

    def finish(self) -> None:
        """Flush the current file to disk and close it."""
        if self.file:
            self.file.flush()
            os.fsync(self.file.fileno())
        self.close()

    def close(self) -> None:
        if self.file:
            self.file.close()
        self.file = None


def write_grids(
    folder: Path, packed: Iterable[bytes], training: np.ndarray, resolution: int
) -> dict[str, float | None]:
    """Write rNN.npy for every resolution down to 4³, in shards where one file would exceed `dataset.SHARD` bytes.

    Args:
        folder: where to.
        packed: one packed grid per shape, R³ / 8 bytes.
        training: booleans (N,), the shapes that count for the mean occupancy.
        resolution: R.

    Returns:
        Mean occupancy of the training shapes by `resolution_key`, coarse to fine; None without training shapes.
    """
    pyramid = [r for r in RESOLUTIONS if r <= resolution]
    occupied = dict.fromkeys(pyramid, 0)
    shapes = iter(packed)
    writers = {r: _ShardWriter(folder, r, len(training)) for r in pyramid}
    with ExitStack() as stack:
        for writer in writers.values():
            stack.callback(writer.close)
        for start in range(0, len(training), BATCH):
            in_training = training[start : start + BATCH]
            batch = np.stack([np.frombuffer(next(shapes), np.uint8) for _ in in_training])
            voxels = unpack_bits(batch, resolution)
            for r in reversed(pyramid):
                if voxels.shape[1] > r:
                    voxels = max_pool(voxels)
                writers[r].write(pack_bits(voxels).tobytes())
                occupied[r] += int(voxels[in_training].sum())
        for writer in writers.values():
            writer.finish()
    count = int(training.sum())
    return {resolution_key(r): occupied[r] / (count * r**3) if count else None for r in pyramid}


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table with a header; lines end in \\n on every platform."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)
        stream.flush()
        os.fsync(stream.fileno())
