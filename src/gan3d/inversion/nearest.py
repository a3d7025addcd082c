"""The training shape that is nearest to a given one."""

from dataclasses import dataclass

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.inversion.overlap import iou_packed
from gan3d.metrics.chamfer import nearest_shapes, prepare
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


class TrainingShapes:
    """The training split of a prepared data set, at a generator's resolution; grids stay on disk.

    Raises:
        UserError: if the data set has other classes than the generator, or stops below its resolution.
    """

    def __init__(self, data: VoxelDataset, classes: tuple[str, ...], resolution: int) -> None:
        if tuple(data.classes) != tuple(classes):
            raise UserError(f"{data.folder} has other classes than the model: name the data that it was trained on.")
        self.data, self.resolution = data, resolution
        self.bits = data.packed(resolution)
        self.rows = {name: data.select("train", name) for name in data.classes}

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
