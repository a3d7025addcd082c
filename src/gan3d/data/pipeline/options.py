"""The options of the prepare stage, and the checks that need no shape to be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan3d.data.pipeline.convert import ConversionSettings
from gan3d.data.pipeline.placement import PLACES
from gan3d.data.voxelization.voxelize import Fill
from gan3d.errors import UserError
from gan3d.voxels import AXES, RESOLUTIONS

_SURFACE = "occupied where a triangle touches the voxel"
FILLS = {
    "solid": f"{_SURFACE}, or where a flood from outside cannot reach (6-connectivity)",
    "surface": _SURFACE,
    "winding": f"{_SURFACE}, or where the mesh winds around its centre by more than half a turn",
}  # as recorded in summary.json


@dataclass(frozen=True)
class PrepareOptions:
    """How a source becomes a data set; see `gan3d.data.pipeline.prepare.prepare`."""

    resolution: int
    up: str = "y"
    handedness: str = "right"
    fill: Fill = "solid"
    classes: tuple[str, ...] | None = None
    labels: Path | Mapping[str, Any] | None = None  # a table, or classes by file and folder
    validation: float = 0.1
    test: float = 0.1
    limit: int | None = None
    seed: int = 0
    place: str = "measured"  # one of placement.PLACES

    @property
    def conversion(self) -> ConversionSettings:
        """Settings per shape; a left-handed source is mirrored along its first horizontal axis."""
        flip = None if self.handedness == "right" else next(i for i in range(3) if AXES[i] != self.up)
        return ConversionSettings(self.resolution, self.fill, flip)

    def check(self) -> None:
        """Raise UserError for values that cannot work."""
        if self.resolution not in RESOLUTIONS:
            raise UserError(f"data.resolution {self.resolution} is not supported: choose one of {RESOLUTIONS}.")
        if self.up not in AXES:
            raise UserError(f"data.up {self.up!r} is not an axis: choose x, y or z.")
        if self.handedness not in ("right", "left"):
            raise UserError(f"data.handedness {self.handedness!r} does not exist: choose right or left.")
        if self.place not in PLACES:
            raise UserError(f"data.place {self.place!r} does not exist: choose one of {', '.join(PLACES)}.")
        if self.fill not in FILLS:
            raise UserError(f"data.fill {self.fill!r} does not exist: choose one of {', '.join(FILLS)}.")
        if min(self.validation, self.test) < 0 or self.validation + self.test >= 1:
            raise UserError(
                f"data.validation {self.validation} and data.test {self.test} leave no training shapes: choose shares"
                " that add up to less than 1."
            )
