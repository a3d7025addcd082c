"""A prepared voxel data set on disk: bit-packed, memory-mapped, with a manifest.

DIR/manifest.csv    one row a shape: name, class, split, group, hash, source (row i is grid i of every resolution)
DIR/r04.npy …       uint8 (N, R³ / 8), one file a resolution of the pyramid, `gan3d.voxels.pack`; where that would be
                    larger than SHARD, several, `r64.0000.npy` …, one after the other
DIR/summary.json    classes, up axis, counts, occupancy per resolution, what was left out
DIR/rejects.csv     file, reason, advice: what could not be read
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.errors import UserError
from gan3d.voxels import AXES, unpack_bits

SPLITS = ("train", "validation", "test")
SHARD = 2**30  # bytes of the largest file of grids
BLOCK = 1024  # shapes that are read at once
COLUMNS = ("name", "class", "split", "group", "hash", "source")
ANY = "shape"  # the one class of a data set whose classes do not count


def resolution_key(resolution: int) -> str:
    """The name of a resolution in files, stages and parameters: 16 is `r16`, 4 is `r04`."""
    return f"r{resolution:02d}"


class Shards:
    """Arrays in several files, one below the other, as one: shapes are taken by their numbers alone."""

    def __init__(self, paths: Sequence[Path]):
        self.parts = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
        self.ends = np.cumsum([len(part) for part in self.parts])
        self.shape = (int(self.ends[-1]), *self.parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        """The grids of some rows (n,), which are not negative, in the order given."""
        rows = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows, np.int64)
        result = np.empty((len(rows), *self.shape[1:]), self.parts[0].dtype)
        shard = np.searchsorted(self.ends, rows, side="right")
        for number in np.unique(shard):
            chosen = shard == number
            part = self.parts[number]
            result[chosen] = part[rows[chosen] - (self.ends[number] - len(part))]
        return result


class VoxelDataset:
    """Read-only view of a prepared data set; the grids stay on disk until they are asked for.

    Args:
        folder: as `gan3d prepare` writes it.
        conditional: whether classes count; if not, every shape is of the one class ANY, whatever the manifest says.
    """

    def __init__(self, folder: str | Path, conditional: bool = True):
        self.folder = Path(folder)
        self.conditional = conditional
        self.manifest = self.folder / "manifest.csv"
        if not self.manifest.is_file():
            raise UserError(f"{self.manifest} is missing: prepare the data first with `gan3d prepare`.")
        self.summary: dict[str, Any] = json.loads(
            (self.folder / "summary.json").read_text(encoding="utf-8", errors="surrogateescape")
        )
        self.classes: list[str] = self.summary["classes"] if conditional else [ANY]
        self.up: str = self.summary["up"]
        self._fingerprints: dict[tuple[str, int], str] = {}

    def __len__(self) -> int:
        return len(self.splits)

    def _lines(self) -> Iterator[dict[str, str]]:
        with self.manifest.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
            yield from csv.DictReader(lines)

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """The manifest, about 1 kB of memory a shape; training does without."""
        return list(self._lines())

    @cached_property
    def labels(self) -> np.ndarray:
        """Class index of each shape, (N,) int32."""
        return self._numbers if self.conditional else np.zeros(len(self), np.int32)

    @cached_property
    def _columns(self) -> np.ndarray:
        """Of each shape's class the number among the summary's, whether classes count or not, and its split."""
        index = {name: i for i, name in enumerate(self.summary["classes"])}
        kinds = [("class", np.int32), ("split", f"<U{max(map(len, SPLITS))}")]
        return np.fromiter(((index[row["class"]], row["split"]) for row in self._lines()), kinds)

    @cached_property
    def _numbers(self) -> np.ndarray:
        return np.ascontiguousarray(self._columns["class"])

    @cached_property
    def splits(self) -> np.ndarray:
        """Split of each shape, (N,) strings out of SPLITS."""
        return np.ascontiguousarray(self._columns["split"])

    def select(self, split: str, class_name: str | None = None) -> np.ndarray:
        """Row numbers of a split, of one class or of all, in the manifest's order.

        Raises:
            UserError: for a split or a class that the data set does not have.
        """
        if split not in SPLITS:
            raise UserError(f"split {split!r} does not exist: choose one of {', '.join(SPLITS)}.")
        chosen = self.splits == split
        if class_name is not None:
            if class_name not in self.classes:
                raise UserError(
                    f"class {class_name!r} is not in {self.folder}: choose one of {', '.join(self.classes)}."
                )
            chosen &= self.labels == self.classes.index(class_name)
        return np.flatnonzero(chosen)

    def mirrored(self, mirror: str) -> np.ndarray:
        """Axis 1, 2 or 3 along which each shape may be flipped, 0 for none, (N,) int32.

        Args:
            mirror: x, y, z or none for all shapes, or `measured`: that of the shape's class (`gan3d.data.pipeline.statistics`).

        Raises:
            UserError: where it was not measured.
        """
        numbers = {name: i for i, name in enumerate(("none", *AXES))}
        if mirror != "measured":
            return np.full(len(self), numbers[mirror], np.int32)
        if "mirror" not in self.summary:
            raise UserError(
                f"{self.folder / 'summary.json'} does not say along which axis each class is symmetric: prepare the"
                " data again, or set gan.mirror to x, y, z or none."
            )
        axes = [numbers[self.summary["mirror"][name]] for name in self.summary["classes"]]
        return np.array(axes, np.int32)[self._numbers]

    def packed(self, resolution: int) -> np.ndarray | Shards:
        """All grids of a resolution as bits, (N, R³ / 8) uint8, memory-mapped.

        Raises:
            UserError: when the data set was prepared at a lower resolution.
        """
        path = self.folder / f"{resolution_key(resolution)}.npy"
        if shards := sorted(self.folder.glob(f"{resolution_key(resolution)}.[0-9]*.npy")):
            return Shards(shards)
        if not path.is_file():
            raise UserError(
                f"{path} is missing: the data set stops below {resolution}³; raise data.resolution to {resolution}"
                " in params.yaml and prepare it again."
            )
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def voxels(self, resolution: int, rows: np.ndarray) -> np.ndarray:
        """The chosen shapes as booleans, (len(rows), R, R, R)."""
        return unpack_bits(np.asarray(self.packed(resolution)[rows]), resolution)

    def fingerprint(self, split: str, resolution: int) -> str:
        """Hash of a split's content at a resolution: its classes, labels and grids, in order; read once."""
        if (split, resolution) not in self._fingerprints:
            self._fingerprints[split, resolution] = self._fingerprint(split, resolution)
        return self._fingerprints[split, resolution]

    def _fingerprint(self, split: str, resolution: int) -> str:
        digest = hashlib.sha256(json.dumps([self.classes, resolution]).encode())
        rows = self.select(split)
        digest.update(self.labels[rows].tobytes())
        packed = self.packed(resolution)
        for start in range(0, len(rows), BLOCK):  # a split may be larger than memory
            digest.update(packed[rows[start : start + BLOCK]].tobytes())
        return digest.hexdigest()[:16]
