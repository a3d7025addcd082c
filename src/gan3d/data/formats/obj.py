"""OBJ: geometry alone, strict about indices, lenient about everything else.

A general mesh library merges, reorders or wraps indices in files with small faults; here a wrong index is an error.
"""

from collections.abc import Iterator

import numpy as np

from gan3d.data.formats.polygons import triangulate
from gan3d.data.formats.text import NEWLINE, checked, points, text, whole

_NAMES = ("#", "mtllib ", "usemtl ", "g ", "o ")  # what follows is a name, in which a backslash joins nothing


def parse_obj(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and triangles (F, 3) of an OBJ file; groups, normals, colours and materials are passed over.

    Negative indices count back from the last vertex. A coordinate that is no number is NaN.

    Raises:
        ValueError: for a face that names no whole number, or a vertex that does not exist.
    """
    vertices: list[list[str]] = []
    polygons: list[list[int]] = []
    for line in _lines(text(content)):
        tokens = line.split()
        if tokens[:1] in (["v"], ["V"]):  # `1.#IND` is a number that some write: comments are looked for in faces alone
            vertices.append((tokens[1:4] + ["nan"] * 3)[:3])
        elif tokens[:1] in (["f"], ["F"], ["fo"]):
            tokens = line.split("#", 1)[0].split()
            if len(tokens) < 4:
                continue
            polygon = [whole(token.split("/", 1)[0]) for token in tokens[1:]]
            if min(polygon) <= 0:
                if 0 in polygon:
                    raise ValueError("a face names vertex 0, but OBJ counts from 1")
                polygon = [index if index > 0 else len(vertices) + index + 1 for index in polygon]
                if min(polygon) < 1:
                    raise ValueError("a face counts back before the first vertex")
            polygons.append(polygon)
    found = points(vertices)
    return found, triangulate(found, checked(polygons, 1, len(found)))


def _lines(whole_text: str) -> Iterator[str]:
    """Lines, those that end in a backslash joined with the next; a zero at the end is no letter."""
    held = ""
    for line in NEWLINE.split(whole_text.rstrip("\0\x1a")):
        joined = held + line
        if line.rstrip().endswith("\\") and not joined.lstrip().startswith(_NAMES):
            held = joined.rstrip()[:-1] + " "
            continue
        yield joined
        held = ""
    if held:
        yield held
