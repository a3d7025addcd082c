"""OFF: ASCII and binary, also with a header that runs into the counts, in lower case, or left out.

Format: Geomview's, http://www.geomview.org/docs/html/OFF.html. Colours, normals and textures are passed over.
"""

import re
import struct

import numpy as np

from gan3d.data.formats.polygons import triangulate
from gan3d.data.formats.text import NEWLINE, checked, number, points, text, whole

_BLANK = re.compile(r"(?:\s|#[^\r\n]*)*")
_HEAD = re.compile(r"((?:ST|C|N)*(4?)(n?)OFF|(?:st|c|n)*off)(?=[\s\d#]|$)")
_COUNTS = re.compile(r"\d+[ \t]+\d+(?:[ \t]+\d+)?[ \t]*(?:#[^\r\n]*)?[\r\n]")
_BINARY = re.compile(rb"\s*(?:ST)?(C?)(N?)(4?)(n?)OFF[ \t]+BINARY[ \t]*(?:\r\n|\n|\r)")

Parsed = tuple[np.ndarray, list[list[int]]]


def parse_off(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and triangles (F, 3) of an OFF file.

    Raises:
        ValueError: for no OFF, for less than the counts claim, for more than three dimensions, or for indices out of
            range.
    """
    binary = _BINARY.match(content)
    vertices, polygons = _binary(content, binary) if binary else _ascii(text(content))
    return vertices, triangulate(vertices, checked(polygons, 0, len(vertices)))


def _ascii(whole_text: str) -> Parsed:
    blank = _BLANK.match(whole_text)
    start = blank.end() if blank else 0
    head = _HEAD.match(whole_text, start)
    if head is None and not _COUNTS.match(whole_text, start):
        raise ValueError("it does not start with OFF")
    rest = whole_text[head.end() if head else start :]
    lines = [tokens for line in NEWLINE.split(rest) if (tokens := line.split("#", 1)[0].split())]
    if head and head[3] and (not lines or lines.pop(0) != ["3"]):
        raise ValueError("its points have other than three dimensions")
    homogeneous = bool(head and head[2])
    try:
        return _by_lines(lines, homogeneous)
    except ValueError:
        if not homogeneous and (free := _by_tokens([token for line in lines for token in line])):
            return free
        raise


def _by_lines(lines: list[list[str]], homogeneous: bool) -> Parsed:
    """A line a vertex and a face, as nearly all write it; what follows on a line is colour or the like."""
    if not lines or len(lines[0]) < 2:
        raise ValueError("its counts of vertices and faces are missing")
    vertex_count, face_count = whole(lines[0][0]), whole(lines[0][1])
    if min(vertex_count, face_count) < 0 or vertex_count + face_count > len(lines) - 1:
        raise ValueError(
            f"it claims {vertex_count} vertices and {face_count} faces but has {len(lines) - 1} lines for them"
        )
    length = 4 if homogeneous else 3
    rows = lines[1 : 1 + vertex_count]
    if any(len(row) < length for row in rows):
        raise ValueError(f"a vertex has fewer than {length} coordinates")
    vertices = points([row[:3] for row in rows])
    if homogeneous:
        with np.errstate(divide="ignore", invalid="ignore"):
            vertices /= np.array([number(row[3]) for row in rows])[:, None]
    polygons = []
    for row in lines[1 + vertex_count : 1 + vertex_count + face_count]:
        corners = whole(row[0])
        if not 0 <= corners < len(row):
            raise ValueError(f"a face claims {corners} corners but its line has {len(row) - 1}")
        polygons.append([whole(token) for token in row[1 : 1 + corners]])
    return vertices, polygons


def _by_tokens(tokens: list[str]) -> Parsed | None:
    """The same with line breaks anywhere, which is plain only where nothing else is said; None if it is not."""
    try:
        vertex_count, face_count = whole(tokens[0]), whole(tokens[1])
        at = 3 + 3 * vertex_count
        if not 0 <= 3 * vertex_count + face_count <= len(tokens):
            return None
        vertices = points([tokens[i : i + 3] for i in range(3, at, 3)])
        polygons = []
        for _ in range(face_count):
            corners = whole(tokens[at])
            polygons.append([whole(token) for token in tokens[at + 1 : at + 1 + corners]])
            if corners < 0 or len(polygons[-1]) != corners:
                return None
            at += 1 + corners
    except (ValueError, IndexError):
        return None
    return (vertices, polygons) if at == len(tokens) else None


def _binary(content: bytes, head: re.Match[bytes]) -> Parsed:
    """Big-endian by the format, little-endian by some writers: the order whose counts fit is taken."""
    colour, normal, homogeneous, dimensions = (bool(group) for group in head.groups())
    if dimensions or homogeneous:
        raise ValueError("its points have other than three dimensions")
    floats = 3 + 3 * normal + 4 * colour
    for order in "><":
        try:
            return _ordered(content, head.end(), order, floats)
        except (struct.error, ValueError) as error:
            fault = error
    raise ValueError(f"its binary part does not fit its counts ({fault})")


def _ordered(content: bytes, at: int, order: str, floats: int) -> Parsed:
    vertex_count, face_count, _ = struct.unpack_from(f"{order}3i", content, at)
    at += 12
    if min(vertex_count, face_count) < 0 or at + 4 * floats * vertex_count + 8 * face_count > len(content):
        raise ValueError(f"it claims {vertex_count} vertices and {face_count} faces")
    vertices = np.frombuffer(content, f"{order}f4", vertex_count * floats, at).reshape(-1, floats)[:, :3]
    at += 4 * floats * vertex_count
    polygons = []
    for _ in range(face_count):
        (corners,) = struct.unpack_from(f"{order}i", content, at)
        if not 0 <= corners <= (len(content) - at) // 4:
            raise ValueError(f"a face claims {corners} corners")
        polygons.append(list(struct.unpack_from(f"{order}{corners}i", content, at + 4)))
        (colours,) = struct.unpack_from(f"{order}i", content, at + 4 + 4 * corners)
        if not 0 <= colours <= 4:
            raise ValueError(f"a face claims {colours} colours")
        at += 8 + 4 * corners + 4 * colours
    if at > len(content):
        raise ValueError("it is cut off")
    return vertices.astype(np.float64), polygons
