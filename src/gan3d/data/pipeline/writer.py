"""Writing a prepared data set: whole or not at all, and the same bytes for the same shapes."""

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from gan3d import dataset
from gan3d.dataset import resolution_key
from gan3d.errors import UserError
from gan3d.voxels import RESOLUTIONS, max_pool, pack_bits, unpack_bits

ROWS = 64  # shapes that are reduced and written at once: bounds the memory


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its place when the block ends well; otherwise `out` stays as it was.

    Raises:
        UserError: when `out` is a file, or holds something else than a data set.
    """
    check_replaceable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        folder, earlier = Path(scratch) / "new", Path(scratch) / "earlier"
        folder.mkdir()
        yield folder
        if out.exists():
            out.rename(earlier)
        try:
            folder.rename(out)
        except OSError:
            if earlier.exists():
                earlier.rename(out)
            raise


def check_replaceable(out: Path) -> None:
    """Raise UserError unless `out` is missing, an empty folder, or an earlier data set."""
    if out.is_dir():
        if any(out.iterdir()) and not (out / "manifest.csv").is_file():
            raise UserError(f"{out} holds other files than a data set: choose another folder for the prepared data.")
    elif out.exists():
        raise UserError(f"{out} is a file: choose a folder for the prepared data.")


class _Rows:
    """The files of one resolution: each is begun when the one before is full."""

    def __init__(self, folder: Path, resolution: int, total: int):
        self.folder, self.resolution, self.left = folder, resolution, total
        self.each = max(ROWS, dataset.SHARD // (resolution**3 // 8) // ROWS * ROWS)  # whole blocks
        self.several = total > self.each
        self.number = 0
        self.file: IO[bytes] | None = None
        self.room = 0  # bytes that the file still takes

    def write(self, block: bytes) -> None:
        if not self.room:
            self.end()
            count = min(self.left, self.each)
            name = resolution_key(self.resolution) + (f".{self.number:04d}" if self.several else "")
            # written, not memory-mapped: a full disk is then an error, and not the end of the process
            self.file = (self.folder / f"{name}.npy").open("wb")
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, self.resolution**3 // 8)}
            np.lib.format.write_array_header_1_0(self.file, header)
            self.room, self.left, self.number = count * self.resolution**3 // 8, self.left - count, self.number + 1
        assert self.file is not None
        self.file.write(block)
        self.room -= len(block)

    def end(self) -> None:
        """Bring what was written to the disk."""
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
    """Write rNN.npy of every resolution down to 4³, in shards where one file would be larger than `dataset.SHARD`.

    Args:
        folder: where to.
        packed: one shape each, R³ / 8 bytes.
        training: (N,) booleans, the shapes that the mean occupancy is taken of.
        resolution: R.

    Returns:
        Mean occupancy of the training shapes by resolution's key, coarse to fine; None without training shapes.
    """
    pyramid = [r for r in RESOLUTIONS if r <= resolution]
    occupied = dict.fromkeys(pyramid, 0)
    shapes = iter(packed)
    files = {r: _Rows(folder, r, len(training)) for r in pyramid}
    with ExitStack() as stack:
        for rows in files.values():
            stack.callback(rows.close)
        for start in range(0, len(training), ROWS):
            chosen = training[start : start + ROWS]
            block = np.stack([np.frombuffer(next(shapes), np.uint8) for _ in chosen])
            voxels = unpack_bits(block, resolution)
            for r in reversed(pyramid):
                if voxels.shape[1] > r:
                    voxels = max_pool(voxels)
                files[r].write(pack_bits(voxels).tobytes())
                occupied[r] += int(voxels[chosen].sum())
        for rows in files.values():
            rows.end()
    count = int(training.sum())
    return {resolution_key(r): occupied[r] / (count * r**3) if count else None for r in pyramid}


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table with a header; lines end in a newline on every platform."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)
        stream.flush()
        os.fsync(stream.fileno())
