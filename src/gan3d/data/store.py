"""Writing a prepared data set: whole or not at all, and the same bytes for the same shapes."""

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from gan3d import grids
from gan3d.dataset import key
from gan3d.errors import UserError

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


def write_grids(
    folder: Path, packed: Iterable[bytes], training: np.ndarray, resolution: int
) -> dict[str, float | None]:
    """Write rNN.npy of every resolution down to 4³.

    Args:
        folder: where to.
        packed: one shape each, R³ / 8 bytes.
        training: (N,) booleans, the shapes that the mean occupancy is taken of.
        resolution: R.

    Returns:
        Mean occupancy of the training shapes by resolution's key, coarse to fine; None without training shapes.
    """
    pyramid = [r for r in grids.RESOLUTIONS if r <= resolution]
    occupied = dict.fromkeys(pyramid, 0)
    shapes = iter(packed)
    with ExitStack() as stack:
        # written, not memory-mapped: a full disk is then an error, and not the end of the process
        files = {r: stack.enter_context((folder / f"{key(r)}.npy").open("wb")) for r in pyramid}
        for r, file in files.items():
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(training), r**3 // 8)}
            np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(training), ROWS):
            rows = training[start : start + ROWS]
            block = np.stack([np.frombuffer(next(shapes), np.uint8) for _ in rows])
            voxels = grids.unpack(block, resolution)
            for r in reversed(pyramid):
                if voxels.shape[1] > r:
                    voxels = grids.reduce(voxels)
                files[r].write(grids.pack(voxels).tobytes())
                occupied[r] += int(voxels[rows].sum())
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    count = int(training.sum())
    return {key(r): occupied[r] / (count * r**3) if count else None for r in pyramid}


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table with a header; lines end in a newline on every platform."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)
        stream.flush()
        os.fsync(stream.fileno())
