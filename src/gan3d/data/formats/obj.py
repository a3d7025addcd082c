"""OBJ: geometry only, strict about vertex indices, lenient about everything else.

General mesh libraries merge, reorder or wrap indices in slightly faulty files; here a wrong index is an error.
"""

from collections.abc import Iterator

import numpy as np

from gan3d.data.formats.polygons import triangulate
from gan3d.data.formats.text import NEWLINE, decode_text, parse_int, parse_points, to_zero_based

_FREE_TEXT = ("#", "mtllib ", "usemtl ", "g ", "o ")  # lines in which a trailing backslash does not continue the line


def parse_obj(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Parse an OBJ file; groups, normals, colours and materials are ignored.

    Negative indices count back from the last vertex. A coordinate that is not a number is NaN.

    Returns:
        Vertices, float64 (V, 3), and triangles, int64 (F, 3).

    Raises:
        ValueError: if a face index is not an integer or out of range.
    """
    rows: list[list[str]] = []
    polygons: list[list[int]] = []
    for line in _logical_lines(decode_text(content)):
        tokens = line.split()
        if tokens[:1] in (["v"], ["V"]):  # comments are cut in faces only: some programs write `1.#IND` for a number
            rows.append((tokens[1:4] + ["nan"] * 3)[:3])
        elif tokens[:1] in (["f"], ["F"], ["fo"]):
            tokens = line.split("#", 1)[0].split()
            if len(tokens) < 4:
                continue
            polygon = [parse_int(token.split("/", 1)[0]) for token in tokens[1:]]
            if min(polygon) <= 0:
                if 0 in polygon:
                    raise ValueError("a face refers to vertex 0, but OBJ counts from 1")
                polygon = [index if index > 0 else len(rows) + index + 1 for index in polygon]
                if min(polygon) < 1:
                    raise ValueError("a face counts back past the first vertex")
            polygons.append(polygon)
    vertices = parse_points(rows)
    return vertices, triangulate(vertices, to_zero_based(polygons, 1, len(vertices)))


def _logical_lines(text: str) -> Iterator[str]:
    """Yield lines, joined where one ends in a backslash; zero bytes at the end of the file are dropped."""
    pending = ""
    for line in NEWLINE.split(text.rstrip("\0\x1a")):
        joined = pending + line
        if line.rstrip().endswith("\\") and not joined.lstrip().startswith(_FREE_TEXT):
            pending = joined.rstrip()[:-1] + " "
            continue
        yield joined
        pending = ""
    if pending:
        yield pending
