"""Encode sampled shapes as bits, meshes or a picture, for HTTP and MLflow."""

from dataclasses import dataclass
from typing import cast

import numpy as np

from gan3d.errors import UserError
from gan3d.sampling.requests import Shapes
from gan3d.shape_io.formats import STYLES, Style, output_format
from gan3d.shape_io.print_settings import PrintSettings
from gan3d.voxels import pack_bits


@dataclass(frozen=True)
class EncodedShape:
    """The content of one file: a shape, or a picture of all.

    Attributes:
        label: class of the shape; for a picture all classes, joined by commas.
        body: what a body to print is like, in one line.
    """

    label: str
    media_type: str
    content: bytes
    body: str = ""


def encode(
    shapes: Shapes, output: str, style: str = STYLES[0], printing: PrintSettings | None = None
) -> list[EncodedShape]:
    """Encode each shape as bits or a mesh, or all of them as one picture.

    Bits are those of the grid (R, R, R) in C order, most significant first, as `numpy.packbits` packs them.

    Args:
        output: a name in `gan3d.shape_io.formats.OUTPUTS`, except "grid", which is the array itself.
        style: of meshes, one of STYLES.
        printing: how meshes become bodies to print; None for plain meshes.

    Raises:
        UserError: for an unknown output or style, for an empty shape that should become a mesh, and as
            `gan3d.shape_io.printing.printable`.
    """
    wanted = output_format(output)
    if wanted.kind == "picture":
        from gan3d.rendering.sheets import by_class, encode_png

        pixels = by_class(shapes.voxels, shapes.names, shapes.up, shapes.classes)
        return [EncodedShape(", ".join(dict.fromkeys(shapes.names)), wanted.media_type, encode_png(pixels))]
    if wanted.kind == "mesh":
        meshes = [_encode_mesh(shapes, i, wanted.extension, style, printing) for i in range(len(shapes.names))]
        named = zip(shapes.names, meshes, strict=True)
        return [EncodedShape(name, wanted.media_type, *mesh) for name, mesh in named]
    if output == "binvox":
        from gan3d.data.formats import binvox

        contents = [binvox.encode(binvox.Binvox(shape)) for shape in shapes.voxels]
    else:
        contents = [row.tobytes() for row in pack_bits(shapes.voxels)]
    return [EncodedShape(name, wanted.media_type, part) for name, part in zip(shapes.names, contents, strict=True)]


def _encode_mesh(
    shapes: Shapes, i: int, extension: str, style: str, printing: PrintSettings | None
) -> tuple[bytes, str]:
    """The content of a file, and what a body to print is like."""
    if style not in STYLES:
        raise UserError(f"style {style[:40]!r} does not exist: choose one of {', '.join(STYLES)}.")
    # imported late: grids are answered without trimesh
    from gan3d.shape_io import meshing

    which = f"shape {i + 1} of {len(shapes.names)}" if len(shapes.names) > 1 else "the shape"
    voxels = np.asarray(shapes.occupancy[i]) > shapes.threshold
    if printing is not None:
        from gan3d.shape_io.printing import printable

        body = printable(voxels, printing, cast(Style, style), shapes.up, which)
        return meshing.mesh_content(body.mesh, extension, "millimeter"), body.describe()
    content = meshing.encode_shape(extension, voxels, cast(Style, style), shapes.up)
    if not content:
        raise UserError(f"{which} is empty and has no mesh: choose another seed or threshold.")
    return content, ""
