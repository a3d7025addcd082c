"""One shape of a file of unknown origin, read in the sandbox like those of a data source."""

from pathlib import Path

import numpy as np

from gan3d.data.pipeline.load import load
from gan3d.data.sandbox.pool import Limits
from gan3d.errors import UserError


def read_shape(path: Path, resolution: int, limits: Limits | None = None) -> np.ndarray:
    """The only shape of a mesh or grid file, booleans (R, R, R).

    Args:
        path: of any supported format (`gan3d.data.formats.extensions`).
        resolution: R, at which a mesh is voxelised, and to which a finer grid is reduced.
        limits: on time and memory.

    Raises:
        UserError: for a file that cannot be read, several shapes, and an empty one; names the file.
    """
    loaded = load(path, resolution, limits=limits)
    if loaded.rejects:
        _, reason, advice = loaded.rejects[0]
        raise UserError(f"{path} cannot be used: {reason} {advice}")
    if len(loaded.voxels) > 1:
        raise UserError(f"{path} holds {len(loaded.voxels)} shapes: give a file of one.")
    if not loaded.voxels.any():
        raise UserError(f"{path} holds an empty shape: give one that has voxels.")
    return loaded.voxels[0]
