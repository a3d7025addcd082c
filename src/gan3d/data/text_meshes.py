"""OBJ and OFF: geometry alone, strict about indices, lenient about everything else.

A general mesh library merges, reorders or wraps indices in files with small faults; here a wrong index is an error.
"""

import codecs
import re

import numpy as np

from gan3d.data.polygons import triangulate

_NEWLINE = re.compile(r"\r\n|\r|\n")
_OFF_HEAD = re.compile(r"\s*(?:ST)?C?N?4?n?OFF(?=[\s\d#]|$)")


def text(content: bytes) -> str:
    """Decode a text file: UTF-16 by its mark, otherwise UTF-8 with unreadable letters replaced."""
    for mark, encoding in ((codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF16_LE, "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    return content.decode("utf-8-sig", "replace")


def parse_obj(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and triangles (F, 3) of an OBJ file; groups, normals, colours and materials are passed over.

    Negative indices count back from the last vertex. A coordinate that is no number is NaN.

    Raises:
        ValueError: for a face that names no whole number, or a vertex that does not exist.
    """
    vertices: list[list[str]] = []
    polygons: list[list[int]] = []
    for line in _NEWLINE.split(text(content).replace("\\\r\n", " ").replace("\\\n", " ")):
        tokens = line.split()
        if tokens[:1] == ["v"]:  # `1.#IND` is a number that some writers use: a comment is looked for in faces alone
            vertices.append((tokens[1:4] + ["nan"] * 3)[:3])
        elif tokens[:1] in (["f"], ["fo"]):
            tokens = line.split("#", 1)[0].split()
            if len(tokens) < 4:
                continue
            polygon = [int(token.split("/", 1)[0]) for token in tokens[1:]]
            if min(polygon) <= 0:
                if 0 in polygon:
                    raise ValueError("a face names vertex 0, but OBJ counts from 1")
                polygon = [index if index > 0 else len(vertices) + index + 1 for index in polygon]
                if min(polygon) < 1:
                    raise ValueError("a face counts back before the first vertex")
            polygons.append(polygon)
    points = _numbers(vertices)
    return points, triangulate(points, _from(polygons, 1, len(points)))


def parse_off(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and triangles (F, 3) of an ASCII OFF file, also with a header that runs into the counts.

    Raises:
        ValueError: without the word OFF, for fewer lines than the counts claim, or for indices out of range.
    """
    whole = text(content)
    head = _OFF_HEAD.match(whole)
    if head is None:
        raise ValueError("it does not start with OFF")
    lines = [tokens for line in _NEWLINE.split(whole[head.end() :]) if (tokens := line.split("#", 1)[0].split())]
    if not lines or lines[0][0].upper() == "BINARY" or len(lines[0]) < 2:
        raise ValueError("its counts of vertices and faces are missing")
    vertex_count, face_count = int(lines[0][0]), int(lines[0][1])
    if min(vertex_count, face_count) < 0 or vertex_count + face_count > len(lines) - 1:
        raise ValueError(
            f"it claims {vertex_count} vertices and {face_count} faces but has {len(lines) - 1} lines for them"
        )
    rows = lines[1 : 1 + vertex_count]
    if any(len(row) < 3 for row in rows):
        raise ValueError("a vertex has fewer than three coordinates")
    points = _numbers([row[:3] for row in rows])
    polygons = []
    for row in lines[1 + vertex_count : 1 + vertex_count + face_count]:
        corners = int(row[0])
        if not 0 <= corners < len(row):
            raise ValueError(f"a face claims {corners} corners but its line has {len(row) - 1}")
        polygons.append([int(token) for token in row[1 : 1 + corners]])
    return points, triangulate(points, _from(polygons, 0, len(points)))


def _numbers(rows: list[list[str]]) -> np.ndarray:
    """Text (V, 3) -> float64; what is no number becomes NaN, which matters only where a face uses it."""
    try:
        return np.array(rows, dtype=np.float64).reshape(-1, 3)
    except ValueError:
        return np.array([[_number(token) for token in row] for row in rows], np.float64).reshape(-1, 3)


def _number(token: str) -> float:
    try:
        return float(token)
    except ValueError:
        return np.nan


def _from(polygons: list[list[int]], first: int, count: int) -> list[list[int]]:
    """Polygons with indices from 0; raises ValueError for an index that is out of range."""
    low = min((min(polygon) for polygon in polygons if polygon), default=first)
    high = max((max(polygon) for polygon in polygons if polygon), default=first + count - 1)
    if low < first or high >= first + count:
        raise ValueError(f"a face names vertex {low if low < first else high}, but there are {count} vertices")
    return polygons if first == 0 else [[index - first for index in polygon] for polygon in polygons]
