"""The response to a request for shapes: sample, encode, set headers."""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from gan3d.sampling.requests import Shapes, sample_shapes
from gan3d.serving.model import ServedModel
from gan3d.serving.schema import ShapesRequest
from gan3d.shape_io.encoding import EncodedShape, encode
from gan3d.shape_io.formats import ARCHIVE, max_shapes, output_format


@dataclass(frozen=True)
class ShapesResponse:
    """Body, media type and headers; the body holds `count` shapes."""

    content: bytes
    media_type: str
    headers: dict[str, str]
    count: int


def respond(model: ServedModel, asked: ShapesRequest) -> ShapesResponse:
    """Sample and encode the shapes of a request.

    Raises:
        UserError: one sentence that says what is wrong with the request.
    """
    wanted = output_format(asked.output)
    limit = max_shapes(asked.output, model.sampler.model.architecture.resolution)
    sampled = sample_shapes(model.sampler, [asked.to_request()], asked.truncation, asked.threshold, limit)
    headers = {"X-Model": quote(model.name, safe="/@: "), "X-Shape": ",".join(map(str, sampled.occupancy.shape))}
    count = len(sampled.names)
    if asked.output == "grid":
        return ShapesResponse(_grid_json(sampled), wanted.media_type, headers, count)
    parts = encode(sampled, asked.output, asked.style)
    content, media_type, extension = b"".join(part.content for part in parts), wanted.media_type, wanted.extension
    if len(parts) > 1 and not wanted.many:
        content, media_type, extension = _archive(parts, wanted.extension), ARCHIVE, ".zip"
    stem = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in sampled.names[0])
    headers["Content-Disposition"] = f'inline; filename="{stem}{extension}"'
    return ShapesResponse(content, media_type, headers, count)


def _grid_json(sampled: Shapes) -> bytes:
    """Nested lists as JSON, encoded shape by shape, which releases the interpreter lock in between."""
    shapes = (json.dumps(voxels.astype(int).tolist(), separators=(",", ":")).encode() for voxels in sampled.voxels)
    return b'{"classes":' + json.dumps(sampled.names).encode() + b',"voxels":[' + b",".join(shapes) + b"]}"


def _archive(parts: Sequence[EncodedShape], extension: str) -> bytes:
    """A zip archive of meshes, named as by `gan3d sample`; equal requests give equal bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for i, part in enumerate(parts):
            archive.writestr(zipfile.ZipInfo(f"{part.label}_{i:03d}{extension}"), part.content, zipfile.ZIP_DEFLATED)
    return content.getvalue()
