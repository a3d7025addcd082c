"""The answer to a request for shapes: what is kept of their occupancy, and how it is encoded."""

import gzip
import io
import zipfile
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import orjson

from gan3d.sampling.requests import Plan, Shapes
from gan3d.serving.cache import Answer
from gan3d.serving.models import ServedModel
from gan3d.serving.schema import ShapesRequest
from gan3d.shape_io.formats import ARCHIVE, output_format

if TYPE_CHECKING:  # imported with the model: the server listens a second earlier without SciPy
    from gan3d.shape_io.encoding import EncodedShape

ENCODING_COST = 8  # of a mesh or a picture, about as many drawn grids
GZIP_LEVEL = 1  # grids are a hundred times smaller at any level


def keep_of(output: str, threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    """What an answer needs of occupancy, float32 (n, R, R, R): bits, voxels as 0 and 1, or all of it."""
    if output == "bits":
        from gan3d.voxels import pack_bits

        return lambda occupancy: pack_bits(occupancy > threshold)
    if output == "grid":
        return lambda occupancy: (occupancy > threshold).view(np.uint8)
    return lambda occupancy: occupancy


def cost_of(output: str) -> int:
    """The cost of a shape, as a multiple of drawing it."""
    return 1 if output_format(output).kind == "array" else ENCODING_COST


def encode_answer(
    model: ServedModel, asked: ShapesRequest, plan: Plan, zipped: bool, parts: Sequence[np.ndarray]
) -> Answer:
    """Encode the shapes of a request.

    Args:
        model: that drew them.
        asked: the request.
        plan: of the request.
        zipped: whether JSON is compressed.
        parts: what `keep_of` kept, slice by slice.

    Raises:
        UserError: for an empty shape that should become a mesh.
    """
    wanted = output_format(asked.output)
    resolution = model.sampler.model.architecture.resolution
    shape = (len(plan.names), *(resolution,) * 3)
    headers = {"X-Model": quote(model.version, safe="/@: "), "X-Shape": ",".join(map(str, shape))}
    count = len(plan.names)
    if asked.output == "grid":
        content = _grid_json(plan.names, parts)
        if zipped:
            content = gzip.compress(content, GZIP_LEVEL, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return Answer(content, wanted.media_type, count, headers | {"Vary": "Accept-Encoding"})
    stem = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in plan.names[0])
    media_type, extension = wanted.media_type, wanted.extension
    if asked.output == "bits":
        content = b"".join(part.tobytes() for part in parts)
    else:
        from gan3d.shape_io.encoding import encode

        classes, up = tuple(model.sampler.classes), model.sampler.model.up
        sampled = Shapes(np.concatenate(parts), plan.names, classes, plan.threshold, up, plan.vectors)
        encoded = encode(sampled, asked.output, asked.style, asked.print_settings())
        if asked.printable:
            headers["X-Body"] = " | ".join(part.body for part in encoded)
        content = b"".join(part.content for part in encoded)
        if len(encoded) > 1 and not wanted.many:
            content, media_type, extension = _archive(encoded, wanted.extension), ARCHIVE, ".zip"
    headers["Content-Disposition"] = f'inline; filename="{stem}{extension}"'
    return Answer(content, media_type, count, headers)


def _grid_json(names: list[str], parts: Sequence[np.ndarray]) -> bytes:
    """Nested lists as JSON."""
    shapes = b",".join(orjson.dumps(part, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1] for part in parts)
    return b'{"classes":' + orjson.dumps(names) + b',"voxels":[' + shapes + b"]}"


def _archive(parts: Sequence["EncodedShape"], extension: str) -> bytes:
    """A zip archive of meshes, named as by `gan3d sample`; equal requests give equal bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for i, part in enumerate(parts):
            archive.writestr(zipfile.ZipInfo(f"{part.label}_{i:03d}{extension}"), part.content, zipfile.ZIP_DEFLATED)
    return content.getvalue()
