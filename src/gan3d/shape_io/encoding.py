"""The forms in which drawn shapes are handed out: bits, meshes, a picture."""

from dataclasses import dataclass
from typing import get_args

import numpy as np

from gan3d.errors import UserError
from gan3d.sampling.requests import Shapes
from gan3d.voxels import pack_bits

MESHES = {"stl": "model/stl", "obj": "model/obj", "ply": "model/ply", "glb": "model/gltf-binary"}
MEDIA = {"grid": "application/json", "bits": "application/octet-stream", **MESHES, "png": "image/png"}
STYLES = ("marching_cubes", "blocks")
MOST = 1024  # shapes a request
MOST_DRAWN = 64  # where each becomes a mesh or part of a picture
MOST_VOXELS = 2**26  # a request, drawn at once


@dataclass(frozen=True)
class Encoded:
    """A file's content: of one shape, or of all in a picture.

    Attributes:
        label: the class; of a picture all classes, joined by commas.
    """

    label: str
    media_type: str
    content: bytes


def limit(output: str, resolution: int) -> int:
    """How many shapes a request may ask for.

    Raises:
        UserError: for an output that does not exist.
    """
    if output not in MEDIA:
        raise UserError(f"output {output[:40]!r} does not exist: choose one of {', '.join(MEDIA)}.")
    most = MOST if output in ("grid", "bits") else MOST_DRAWN
    return max(1, min(most, MOST_VOXELS // resolution**3))


def encode(shapes: Shapes, output: str, style: str = "marching_cubes") -> list[Encoded]:
    """Bits and meshes, one a shape; one picture of all.

    Bits are those of the grid (R, R, R) in C order, the most significant first, as `numpy.packbits` packs them.

    Args:
        output: any of MEDIA but "grid", which is the array itself.
        style: of meshes, one of STYLES.

    Raises:
        UserError: for a style that does not exist, and for an empty shape that should become a mesh.
    """
    if output == "bits":
        parts = [row.tobytes() for row in pack_bits(shapes.voxels)]
        return [Encoded(label, MEDIA[output], part) for label, part in zip(shapes.names, parts, strict=True)]
    if output == "png":
        from gan3d.rendering.sheets import by_class, encode_png

        pixels = by_class(shapes.voxels, shapes.names, shapes.up, shapes.classes)
        return [Encoded(", ".join(dict.fromkeys(shapes.names)), MEDIA[output], encode_png(pixels))]
    return [Encoded(label, MEDIA[output], _mesh(shapes, i, output, style)) for i, label in enumerate(shapes.names)]


def _mesh(shapes: Shapes, i: int, output: str, style: str) -> bytes:
    # meshes need libraries that a grid does not: it is answered sooner without them
    from gan3d.shape_io import meshing

    if style not in get_args(meshing.Style):
        raise UserError(f"style {style[:40]!r} does not exist: choose one of {', '.join(STYLES)}.")
    occupancy = np.asarray(shapes.occupancy[i])
    content = meshing.encode_shape(
        f".{output}",
        occupancy > shapes.threshold,
        occupancy,
        style,  # type: ignore[arg-type]
        shapes.threshold,
        shapes.up,
    )
    if not content:
        where = f"shape {i + 1} of {len(shapes.names)}" if len(shapes.names) > 1 else "the shape"
        raise UserError(f"{where} is empty, so that no mesh can be made of it: choose another seed or threshold.")
    return content
