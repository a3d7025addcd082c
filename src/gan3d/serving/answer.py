"""A request's answer: what was drawn, as the bytes that go over the wire."""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from gan3d.sampling.requests import Shapes, draw
from gan3d.serving.model import Loaded
from gan3d.serving.schema import ShapesRequest
from gan3d.shape_io import encoding


@dataclass(frozen=True)
class Answer:
    """Body, media type and headers; `count` shapes are in it."""

    content: bytes
    media_type: str
    headers: dict[str, str]
    count: int


def answer(model: Loaded, asked: ShapesRequest) -> Answer:
    """Draw and encode.

    Raises:
        UserError: one sentence that says what is wrong with the request.
    """
    limit = encoding.limit(asked.output, model.sampler.model.architecture.resolution)
    drawn = draw(model.sampler, [asked.request()], asked.truncation, asked.threshold, limit)
    headers = {"X-Model": quote(model.name, safe="/@: "), "X-Shape": ",".join(map(str, drawn.occupancy.shape))}
    count = len(drawn.names)
    if asked.output == "grid":
        return Answer(_grid(drawn), encoding.MEDIA["grid"], headers, count)
    parts = encoding.encode(drawn, asked.output, asked.style)
    if asked.output == "bits":
        content, media_type, ending = b"".join(part.content for part in parts), encoding.MEDIA["bits"], "bin"
    elif len(parts) == 1:
        content, media_type, ending = parts[0].content, parts[0].media_type, asked.output
    else:
        content, media_type, ending = _archive(parts, asked.output), "application/zip", "zip"
    stem = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in drawn.names[0])
    headers["Content-Disposition"] = f'inline; filename="{stem}.{ending}"'
    return Answer(content, media_type, headers, count)


def _grid(drawn: Shapes) -> bytes:
    """Nested lists as JSON, shape by shape: other requests are answered in between."""
    shapes = (json.dumps(voxels.astype(int).tolist(), separators=(",", ":")).encode() for voxels in drawn.voxels)
    return b'{"classes":' + json.dumps(drawn.names).encode() + b',"voxels":[' + b",".join(shapes) + b"]}"


def _archive(parts: Sequence[encoding.Encoded], extension: str) -> bytes:
    """Meshes in one zip archive, named as `gan3d sample` names files; equal requests give equal bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for i, part in enumerate(parts):
            archive.writestr(zipfile.ZipInfo(f"{part.label}_{i:03d}.{extension}"), part.content, zipfile.ZIP_DEFLATED)
    return content.getvalue()
