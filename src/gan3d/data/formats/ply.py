"""PLY: ASCII and both binary byte orders, with any elements and properties besides vertices and faces.

Format: http://paulbourke.net/dataformats/ply. Faces may have any number of corners or come as triangle strips.
"""

import numpy as np

from gan3d.data.formats.ply_body import parse_ascii, parse_binary
from gan3d.data.formats.ply_header import parse_header
from gan3d.data.formats.polygons import triangulate
from gan3d.data.formats.text import to_zero_based


def parse_ply(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Parse a PLY file.

    Returns:
        Vertices, float64 (V, 3), and triangles, int64 (F, 3).

    Raises:
        ValueError: if the header is broken, the data shorter than it claims, or an index out of range.
    """
    encoding, elements, start = parse_header(content)
    if encoding == "ascii":
        tables = parse_ascii(content[start:].decode("latin-1"), elements)
    else:
        tables = parse_binary(content, start, elements, "<" if encoding == "binary_little_endian" else ">")
    vertices = np.empty((0, 3))
    polygons: list[list[int]] = []
    for element, columns in zip(elements, tables, strict=True):
        name, index = element.name.lower(), element.index_property()
        if name in ("vertex", "vertices") and not len(vertices):
            lower = {key.lower(): values for key, values in columns.items()}
            if not {"x", "y", "z"} <= set(lower):
                raise ValueError("its vertices lack x, y or z")
            vertices = np.stack([np.asarray(lower[axis], np.float64) for axis in "xyz"], -1)
        elif name in ("face", "faces", "polygon") and index:
            polygons += columns[index]
        elif name in ("tristrips", "tristrip") and index:
            polygons += [triangle for strip in columns[index] for triangle in _unstrip(strip)]
    return vertices, triangulate(vertices, to_zero_based(polygons, 0, len(vertices)))


def _unstrip(strip: list[int]) -> list[list[int]]:
    """Triangles of a strip: every other one is reversed, and -1 starts a new strip."""
    triangles, start = [], 0
    for i in range(len(strip)):
        if strip[i] < 0:
            start = i + 1
        elif i - start >= 2:
            a, b = (i - 2, i - 1) if (i - start) % 2 == 0 else (i - 1, i - 2)
            triangle = [strip[a], strip[b], strip[i]]
            if len(set(triangle)) == 3:  # degenerate triangles only connect strips
                triangles.append(triangle)
    return triangles
