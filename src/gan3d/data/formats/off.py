"""OFF: ASCII and binary, also with the header in lower case, missing, or run together with the counts.

Format: Geomview, http://www.geomview.org/docs/html/OFF.html. Colours, normals and texture coordinates are ignored.
"""

import re
import struct

import numpy as np

from gan3d.data.formats.polygons import triangulate
from gan3d.data.formats.text import NEWLINE, decode_text, parse_float, parse_int, parse_points, to_zero_based

_BLANK = re.compile(r"(?:\s|#[^\r\n]*)*")
_HEADER = re.compile(r"((?:ST|C|N)*(4?)(n?)OFF|(?:st|c|n)*off)(?=[\s\d#]|$)")
_COUNTS = re.compile(r"\d+[ \t]+\d+(?:[ \t]+\d+)?[ \t]*(?:#[^\r\n]*)?[\r\n]")
_BINARY_HEADER = re.compile(rb"\s*(?:ST)?(C?)(N?)(4?)(n?)OFF[ \t]+BINARY[ \t]*(?:\r\n|\n|\r)")

Polygons = tuple[np.ndarray, list[list[int]]]  # vertices (V, 3) and vertex indices per polygon


def parse_off(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Parse an OFF file.

    Returns:
        Vertices, float64 (V, 3), and triangles, int64 (F, 3).

    Raises:
        ValueError: if the file is not OFF, is shorter than its counts, has more than three dimensions, or has indices
            out of range.
    """
    header = _BINARY_HEADER.match(content)
    vertices, polygons = _parse_binary(content, header) if header else _parse_ascii(decode_text(content))
    return vertices, triangulate(vertices, to_zero_based(polygons, 0, len(vertices)))


def _parse_ascii(text: str) -> Polygons:
    blank = _BLANK.match(text)
    start = blank.end() if blank else 0
    header = _HEADER.match(text, start)
    if header is None and not _COUNTS.match(text, start):
        raise ValueError("it does not start with OFF")
    body = text[header.end() if header else start :]
    lines = [tokens for line in NEWLINE.split(body) if (tokens := line.split("#", 1)[0].split())]
    if header and header[3] and (not lines or lines.pop(0) != ["3"]):
        raise ValueError("its points do not have three dimensions")
    homogeneous = bool(header and header[2])
    try:
        return _parse_lines(lines, homogeneous)
    except ValueError:
        if not homogeneous and (found := _parse_tokens([token for line in lines for token in line])):
            return found
        raise


def _parse_lines(lines: list[list[str]], homogeneous: bool) -> Polygons:
    """Parse one vertex or face per line, as nearly all programs write; extra numbers on a line are ignored."""
    if not lines or len(lines[0]) < 2:
        raise ValueError("its counts of vertices and faces are missing")
    vertex_count, face_count = parse_int(lines[0][0]), parse_int(lines[0][1])
    if min(vertex_count, face_count) < 0 or vertex_count + face_count > len(lines) - 1:
        raise ValueError(
            f"its header claims {vertex_count} vertices and {face_count} faces, but {len(lines) - 1} lines follow"
        )
    width = 4 if homogeneous else 3
    rows = lines[1 : 1 + vertex_count]
    if any(len(row) < width for row in rows):
        raise ValueError(f"a vertex has fewer than {width} coordinates")
    vertices = parse_points([row[:3] for row in rows])
    if homogeneous:
        with np.errstate(divide="ignore", invalid="ignore"):
            vertices /= np.array([parse_float(row[3]) for row in rows])[:, None]
    polygons = []
    for row in lines[1 + vertex_count : 1 + vertex_count + face_count]:
        corners = parse_int(row[0])
        if not 0 <= corners < len(row):
            raise ValueError(f"a face claims {corners} corners, but its line has {len(row) - 1}")
        polygons.append([parse_int(token) for token in row[1 : 1 + corners]])
    return vertices, polygons


def _parse_tokens(tokens: list[str]) -> Polygons | None:
    """Parse with line breaks anywhere; None unless the tokens are exactly those that the counts call for."""
    try:
        vertex_count, face_count = parse_int(tokens[0]), parse_int(tokens[1])
        at = 3 + 3 * vertex_count
        if not 0 <= 3 * vertex_count + face_count <= len(tokens):
            return None
        vertices = parse_points([tokens[i : i + 3] for i in range(3, at, 3)])
        polygons = []
        for _ in range(face_count):
            corners = parse_int(tokens[at])
            polygons.append([parse_int(token) for token in tokens[at + 1 : at + 1 + corners]])
            if corners < 0 or len(polygons[-1]) != corners:
                return None
            at += 1 + corners
    except (ValueError, IndexError):
        return None
    return (vertices, polygons) if at == len(tokens) else None


def _parse_binary(content: bytes, header: re.Match[bytes]) -> Polygons:
    """Parse either byte order: the format is big-endian, but some programs write little-endian."""
    colour, normal, homogeneous, dimensions = (bool(group) for group in header.groups())
    if dimensions or homogeneous:
        raise ValueError("its points do not have three dimensions")
    floats = 3 + 3 * normal + 4 * colour
    for order in "><":
        try:
            return _parse_binary_body(content, header.end(), order, floats)
        except (struct.error, ValueError) as error:
            fault = error
    raise ValueError(f"its binary data does not match its counts ({fault})")


def _parse_binary_body(content: bytes, at: int, order: str, floats: int) -> Polygons:
    vertex_count, face_count, _ = struct.unpack_from(f"{order}3i", content, at)
    at += 12
    if min(vertex_count, face_count) < 0 or at + 4 * floats * vertex_count + 8 * face_count > len(content):
        raise ValueError(f"its header claims {vertex_count} vertices and {face_count} faces")
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
        raise ValueError("it is truncated")
    return vertices.astype(np.float64), polygons
