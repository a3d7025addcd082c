"""The training shape that is nearest to a given one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan3d.dataset import UNCONDITIONAL, VoxelDataset, find_class
from gan3d.errors import UserError
from gan3d.inversion.overlap import iou_packed
from gan3d.metrics.chamfer import nearest_shapes, prepare
from gan3d.networks.architecture import Architecture
from gan3d.voxels import pack_bits

CANDIDATES = 64  # training shapes of the highest IoU, among which Chamfer distance decides


@dataclass(frozen=True)
class Nearest:
    """A training shape.

    Attributes:
        name: in the data set's manifest.
        iou: with the shape that it is nearest to.
        chamfer_x1e3: squared Chamfer distance to that shape × 10³, in a cube of edge 1.
        voxels: booleans (R, R, R).
    """

    name: str
    iou: float
    chamfer_x1e3: float
    voxels: np.ndarray


def open_training_shapes(folder: Path, architecture: Architecture) -> "TrainingShapes":
    """The training shapes of a prepared data set for a generator; takes and raises what `TrainingShapes` does."""
    data = VoxelDataset(folder, conditional=architecture.classes != (UNCONDITIONAL,))
    return TrainingShapes(data, architecture.classes, architecture.resolution)


class TrainingShapes:
    """The training split of a prepared data set, at a generator's resolution; grids stay on disk.

    Raises:
        UserError: if the data set lacks a class of the generator, or stops below its resolution.
    """

    def __init__(self, data: VoxelDataset, classes: tuple[str, ...], resolution: int) -> None:
        if missing := [name for name in classes if find_class(data.classes, name) is None]:
            raise UserError(f"{data.folder} has no class {missing[0]!r}: name the data that the model was trained on.")
        self.data, self.resolution = data, resolution
        self.bits = data.packed(resolution)
        self.rows = {name: data.select("train", name) for name in classes}

    def nearest(self, voxels: np.ndarray, class_name: str) -> Nearest | None:
        """The training shape of a class nearest to booleans (R, R, R); None if the class has none.

        Among the CANDIDATES of the highest IoU the one of the smallest Chamfer distance.
        """
        rows = self.rows[class_name]
        if not len(rows):
            return None
        overlaps = iou_packed(pack_bits(voxels[None]), np.asarray(self.bits[rows]))[0]
        chosen = np.sort(np.argsort(-overlaps, kind="stable")[:CANDIDATES])
        grids = self.data.voxels(self.resolution, rows[chosen])
        distance, position = nearest_shapes(prepare(voxels[None]), grids)
        best = int(position[0])
        name = self.data.rows[int(rows[chosen[best]])]["name"]
        return Nearest(name, float(overlaps[chosen[best]]), 1e3 * float(distance[0]), grids[best])
