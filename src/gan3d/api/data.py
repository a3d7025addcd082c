"""Prepared data sets that show themselves in a notebook, and arrays in the place of a prepared data set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gan3d import dataset
from gan3d.api.shapes import Shapes
from gan3d.dataset import resolution_key
from gan3d.errors import UserError
from gan3d.voxels import RESOLUTIONS


class VoxelDataset(dataset.VoxelDataset):
    """A prepared data set on disk, as `gan3d.dataset.VoxelDataset`, that shows its shapes in a notebook.

    >>> data = gan3d.VoxelDataset("data/voxels")  # doctest: +SKIP
    >>> data.show("chair", 16)  # doctest: +SKIP
    16 shapes at 16³: chair (test)

    Args:
        folder: the output of `gan3d prepare`.
        conditional: whether to use the labels; without them every shape belongs to one class.

    Raises:
        gan3d.errors.UserError: if the folder holds no prepared data.
    """

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Those that the data set was prepared at, the coarsest first."""
        names = {path.name.split(".")[0] for path in self.folder.glob("r*.npy")}
        return tuple(each for each in RESOLUTIONS if resolution_key(each) in names)

    def show(
        self, class_name: str | None = None, count: int = 16, split: str = "test", resolution: int | None = None
    ) -> Shapes:
        """Real shapes, in manifest order.

        Args:
            class_name: None for all classes.
            count: at most so many, evenly spaced.
            split: train, validation or test.
            resolution: voxels along an edge; by default the finest.

        Raises:
            gan3d.errors.UserError: for a class, split or resolution that the data set does not have.
        """
        rows = self.select(split, class_name)
        rows = rows[np.unique(np.linspace(0, max(len(rows) - 1, 0), min(count, len(rows))).astype(int))]
        voxels = self.voxels(resolution or self.resolutions[-1], rows)
        origins = tuple(f"{split} #{row}" for row in rows)
        names = tuple(self.classes[label] for label in self.labels[rows])
        return real_shapes(voxels, names, origins, tuple(self.classes), self.up)

    def __repr__(self) -> str:
        splits = ", ".join(f"{len(self.select(split))} {split}" for split in dataset.SPLITS)
        finest = f"{self.resolutions[-1]}³"
        return f"VoxelDataset {self.folder}: {', '.join(self.classes[:8])} at up to {finest} ({splits})"


def prepare(
    source: str | Path, out: str | Path, *, workers: int | None = None, seed: int = 0, **options: Any
) -> VoxelDataset:
    """Voxelize a source of shapes into a data set, as `gan3d prepare` does.

    >>> gan3d.prepare("synthetic", "voxels", resolution=16)  # doctest: +SKIP
    >>> gan3d.prepare("my/shapes", "voxels", resolution=32, up="z")  # doctest: +SKIP

    Args:
        source: a folder or archive of meshes or grids, a set of arrays, an address, or the name of a public set.
        out: folder to write, with a report beside it.
        workers: processes; None: one per core.
        seed: of the splits that the source does not state.
        **options: the keys of `data` in params.yaml, such as resolution, up, classes or labels.

    Raises:
        gan3d.errors.UserError: for an unknown option, or a source that cannot be used.
    """
    from gan3d.config.loading import override_section
    from gan3d.config.schema import Data
    from gan3d.stages import prepare as stage

    unknown = sorted(set(options) - set(Data.model_fields))
    if unknown:
        raise UserError(f"{unknown[0]} is not an option of prepare: choose from {', '.join(Data.model_fields)}.")
    settings = override_section(Data(), {**options, "source": str(source)})
    stage.run(settings, seed, Path(out), Path(out).parent, workers)
    return VoxelDataset(out)


def real_shapes(
    voxels: np.ndarray, names: tuple[str, ...], origins: tuple[str, ...], classes: tuple[str, ...], up: str
) -> Shapes:
    """Booleans (n, R, R, R) as `Shapes`."""
    latents = np.zeros((len(voxels), 0), np.float32)
    return Shapes(voxels.astype(np.float32), latents, names, origins, classes, up=up)


class ArrayDataset(dataset.VoxelDataset):
    """Arrays of real shapes of one resolution, for `gan3d.metrics.protocol`, which reads data sets.

    Args:
        test: by class, booleans (n, R, R, R), the shapes that generated ones are scored against.
        train: likewise, the training shapes, for the floor and novelty; a class may be missing.
        up: the axis that points up.
    """

    def __init__(self, test: Mapping[str, np.ndarray], train: Mapping[str, np.ndarray], up: str = "y"):
        self.up = up
        self.folder = Path("arrays")
        self.conditional = True
        self.classes = list(test)
        parts = [(name, "test", shapes) for name, shapes in test.items()]
        parts += [(name, "train", train[name]) for name in test if name in train]
        self._shapes = np.concatenate([shapes for _, _, shapes in parts])
        self._places = [(name, split) for name, split, shapes in parts for _ in shapes]

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """The manifest; names are numbers, so that equal shapes keep the order given."""
        return [
            {"name": f"{i:09d}", "hash": hashlib.sha256(np.packbits(shape).tobytes()).hexdigest()[:32]}
            for i, shape in enumerate(self._shapes)
        ]

    @cached_property
    def _classes_and_splits(self) -> tuple[np.ndarray, np.ndarray]:
        labels = np.array([self.classes.index(name) for name, _ in self._places], np.int32)
        return labels, np.array([split for _, split in self._places])

    def voxels(self, resolution: int, rows: np.ndarray) -> np.ndarray:
        """The given shapes as booleans (len(rows), R, R, R)."""
        return self._shapes[rows]
