"""A prepared voxel data set on disk: bit-packed, memory-mapped, with a manifest.

DIR/manifest.csv    one row per shape: name, class, split, group, hash, source (row i is grid i at every resolution)
DIR/r04.npy …       uint8 (N, R³ / 8) as packed by `gan3d.voxels.pack_bits`, one file per resolution of the pyramid,
                    or consecutive shards `r64.0000.npy` … where one file would exceed SHARD bytes
DIR/summary.json    classes, up axis, counts, occupancy per resolution, numbers of shapes left out
DIR/rejects.csv     file, reason, advice: the files that could not be read
"""

import csv
import hashlib
import json
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.errors import UserError, short_list
from gan3d.voxels import AXES, RESOLUTIONS, unpack_bits

SPLITS = ("train", "validation", "test")
SHARD = 2**30  # bytes of the largest file of grids
HASH_ROWS = 1024  # shapes hashed at once
COLUMNS = ("name", "class", "split", "group", "hash", "source")
SUMMARY = {"classes": list, "up": str, "resolution": int, "occupancy": dict}  # what it says at least
UNCONDITIONAL = "shape"  # the only class of a data set that is read without its labels


def resolution_key(resolution: int) -> str:
    """Name of a resolution in files, stages and parameters: 16 is `r16`, 4 is `r04`."""
    return f"r{resolution:02d}"


def find_class(classes: Sequence[str], name: str | None) -> int | None:
    """The index of a class by its name, which is compared in composed Unicode (NFC); None for an unknown one."""
    wanted = None if name is None else unicodedata.normalize("NFC", name)
    return next((i for i, known in enumerate(classes) if unicodedata.normalize("NFC", known) == wanted), None)


class Shards:
    """Arrays in consecutive files, read as one array by row number."""

    def __init__(self, paths: Sequence[Path]):
        self.arrays = [_open_array(path) for path in paths]
        self.ends = np.cumsum([len(array) for array in self.arrays])
        self.shape = (int(self.ends[-1]), *self.arrays[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        """Grids of the given non-negative rows (n,), in the order given."""
        rows = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows, np.int64)
        result = np.empty((len(rows), *self.shape[1:]), self.arrays[0].dtype)
        shard = np.searchsorted(self.ends, rows, side="right")
        for number in np.unique(shard):
            chosen = shard == number
            array = self.arrays[number]
            result[chosen] = array[rows[chosen] - (self.ends[number] - len(array))]
        return result


def open_grids(folder: Path, resolution: int) -> np.ndarray | Shards:
    """Memory-map all grids of a resolution as bits, uint8 (N, R³ / 8).

    Raises:
        FileNotFoundError: if the data set was prepared at a lower resolution.
    """
    if shards := sorted(folder.glob(f"{resolution_key(resolution)}.[0-9]*.npy")):
        return Shards(shards)
    return _open_array(folder / f"{resolution_key(resolution)}.npy")


def _open_array(path: Path) -> np.ndarray:
    if path.exists() and not path.is_file():
        raise _damaged(path, "it is not a regular file")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, reason: object) -> UserError:
    why = " ".join(str(reason).split())[:120].rstrip(".")
    return UserError(f"{path} is damaged ({why}): run `dvc checkout`, or prepare the data again.")


def _read_summary(path: Path) -> dict[str, Any]:
    try:
        summary = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from None
    for name, kind in SUMMARY.items():
        if not isinstance(summary, dict) or not isinstance(summary.get(name), kind):
            raise _damaged(path, f"it does not say {name}")
    counts = summary.get("counts")
    if counts is not None and not (isinstance(counts, dict) and list(counts) == summary["classes"]):
        raise _damaged(path, "its counts are not those of its classes")
    return summary


class VoxelDataset:
    """Read-only view of a prepared data set; grids stay on disk until they are read.

    Args:
        folder: the output of `gan3d prepare`.
        conditional: whether to use the labels; without them every shape belongs to the class UNCONDITIONAL.

    Raises:
        UserError: if the folder holds no prepared data, or damaged ones.
    """

    def __init__(self, folder: str | Path, conditional: bool = True):
        self.folder = Path(folder)
        self.conditional = conditional
        self.manifest = self.folder / "manifest.csv"
        if not self.manifest.is_file():
            raise UserError(f"{self.manifest} is missing: prepare the data first with `gan3d prepare`.")
        self.summary = _read_summary(self.folder / "summary.json")
        self.classes: list[str] = self.summary["classes"] if conditional else [UNCONDITIONAL]
        self.up: str = self.summary["up"]
        self._fingerprints: dict[tuple[str, int], str] = {}

    def __len__(self) -> int:
        return len(self.splits)

    def _read_manifest(self) -> Iterator[dict[str, str]]:
        with self.manifest.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
            yield from csv.DictReader(lines)

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """The whole manifest, about 1 kB of memory per shape; training does not need it."""
        return list(self._read_manifest())

    @cached_property
    def _classes_and_splits(self) -> tuple[np.ndarray, np.ndarray]:
        """Index of each shape's class in the summary, int32 (N,), and its split, strings (N,), in one pass."""
        index = {name: i for i, name in enumerate(self.summary["classes"])}
        columns = [("class", np.int32), ("split", f"<U{max(map(len, SPLITS))}")]
        try:
            table = np.fromiter(((index[row["class"]], row["split"]) for row in self._read_manifest()), columns)
        except KeyError as error:
            raise _damaged(self.manifest, f"{error} is no column, or no class of the summary") from None
        except (ValueError, csv.Error) as error:
            raise _damaged(self.manifest, error) from None
        counts = self.summary.get("counts", {}).values()
        stated = sum(sum(of_class.values()) for of_class in counts)
        if counts and len(table) != stated:
            raise _damaged(self.manifest, f"it has {len(table):,} rows, and the summary counts {stated:,}")
        return np.ascontiguousarray(table["class"]), np.ascontiguousarray(table["split"])

    @cached_property
    def labels(self) -> np.ndarray:
        """Class index of each shape, int32 (N,)."""
        return self._classes_and_splits[0] if self.conditional else np.zeros(len(self), np.int32)

    @property
    def splits(self) -> np.ndarray:
        """Split of each shape, strings (N,) out of SPLITS."""
        return self._classes_and_splits[1]

    def select(self, split: str, class_name: str | None = None) -> np.ndarray:
        """Row numbers of a split, of one class or of all, in manifest order.

        Raises:
            UserError: for a split or class that the data set does not have.
        """
        if split not in SPLITS:
            raise UserError(f"split {split!r} does not exist: choose one of {', '.join(SPLITS)}.")
        chosen = self.splits == split
        if class_name is not None:
            label = find_class(self.classes, class_name)
            if label is None:
                raise UserError(
                    f"class {class_name!r} is not in {self.folder}: choose one of {short_list(self.classes, 20)}."
                )
            chosen &= self.labels == label
        return np.flatnonzero(chosen)

    def mirrored(self, mirror: str) -> np.ndarray:
        """Array axis 1, 2 or 3 along which each shape may be flipped, 0 for none, int32 (N,).

        Args:
            mirror: x, y, z or none for all shapes, or `measured` for the axis of the shape's class
                (`gan3d.data.pipeline.statistics.measure_mirror_axes`).

        Raises:
            UserError: for `measured` if the data set was prepared before axes were measured.
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
        return np.array(axes, np.int32)[self._classes_and_splits[0]]

    def symmetry(self, mirror: str, symmetric: float | str) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """The axis along which each class is symmetric (0: none), and the share of its shapes that are.

        Args:
            mirror: see `mirrored`.
            symmetric: a share for all classes, or `measured`.

        Raises:
            UserError: for `measured` if the data set was prepared before shares were measured.
        """
        axes, classes = self.mirrored(mirror), self._classes_and_splits[0]
        if symmetric == "measured" and "symmetric" not in self.summary:
            raise UserError(
                f"{self.folder / 'summary.json'} does not say how symmetric each class is: prepare the data again, or"
                " set gan.symmetric to a share from 0 to 1."
            )
        named = self.summary["classes"]
        shares = np.array([self.summary["symmetric"][name] if symmetric == "measured" else symmetric for name in named])
        found: list[tuple[int, float]] = []
        for label in range(len(self.classes)):
            members = self.labels == label
            axis = set(axes[members].tolist())
            found.append((axis.pop(), round(float(shares[classes[members]].mean()), 4)) if len(axis) == 1 else (0, 0.0))
        return tuple(axis for axis, _ in found), tuple(share if axis else 0.0 for axis, share in found)

    def packed(self, resolution: int) -> np.ndarray | Shards:
        """All grids of a resolution as bits, uint8 (N, R³ / 8), memory-mapped.

        Raises:
            UserError: if the data set was prepared at a lower resolution, or is damaged.
        """
        try:
            grids = open_grids(self.folder, resolution)
            if grids.shape != (len(self), resolution**3 // 8):
                raise _damaged(
                    self.folder / f"{resolution_key(resolution)}.npy",
                    f"its shape is {grids.shape}, and the manifest has {len(self):,} rows",
                )
            return grids
        except FileNotFoundError as error:
            if resolution <= self.summary["resolution"] and resolution in RESOLUTIONS:
                raise _damaged(self.folder, f"{Path(error.filename).name} is missing") from None
            raise UserError(
                f"{error.filename} is missing: the data set stops below {resolution}³; raise data.resolution to"
                f" {resolution} in params.yaml and prepare it again."
            ) from None

    def voxels(self, resolution: int, rows: np.ndarray) -> np.ndarray:
        """The given shapes as booleans (len(rows), R, R, R)."""
        return unpack_bits(np.asarray(self.packed(resolution)[rows]), resolution)

    def fingerprint(self, split: str, resolution: int) -> str:
        """Hash of a split at a resolution: its classes, labels and grids, in order; computed once per object."""
        if (split, resolution) not in self._fingerprints:
            self._fingerprints[split, resolution] = self._fingerprint(split, resolution)
        return self._fingerprints[split, resolution]

    def _fingerprint(self, split: str, resolution: int) -> str:
        digest = hashlib.sha256(json.dumps([self.classes, resolution]).encode())
        rows = self.select(split)
        digest.update(self.labels[rows].tobytes())
        packed = self.packed(resolution)
        for start in range(0, len(rows), HASH_ROWS):  # a split may be larger than memory
            digest.update(packed[rows[start : start + HASH_ROWS]].tobytes())
        return digest.hexdigest()[:16]
