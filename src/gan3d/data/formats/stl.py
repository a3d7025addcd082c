"""STL: binary, and ASCII in any case and with any line breaks, of one solid or several."""

import re
from itertools import pairwise

import numpy as np

from gan3d.data.formats.polygons import triangulate
from gan3d.data.formats.text import number, text

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("tag", "<u2")])
_FORGOTTEN = (0, 2**32 - 1)  # counts by writers that cannot go back to the head
_TITLE = re.compile(r"^\s*(?:end[ \t]*)?solid\b[^\n]*", re.MULTILINE)
_UNTIL_FACET = re.compile(r"\s*solid\b.*?(?=\bfacet\b)", re.DOTALL)
_VERTEX = re.compile(r"\bvertex\s+(\S+)\s+(\S+)\s+(\S+)")


def parse_stl(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and triangles (F, 3) of an STL file; neighbours share no vertices.

    It is binary where the count in its head fits its length, whatever its first letters are; bytes behind the last
    triangle are passed over.

    Raises:
        ValueError: for a file that is cut off, or neither of both.
    """
    count = int.from_bytes(content[80:84], "little")
    there, over = divmod(max(len(content) - 84, 0), _RECORD.itemsize)
    if len(content) >= 84 and count == there:
        return _binary(content, count)
    lower = text(content).lower()
    if _is_ascii(lower):
        return _ascii(lower)
    if len(content) < 84:
        raise ValueError("it is neither binary nor ASCII")
    if count in _FORGOTTEN and there and not over:
        return _binary(content, there)
    if count > there:
        raise ValueError(f"its header claims {count} triangles, but {there} are there")
    return _binary(content, count)


def _is_ascii(lower: str) -> bool:
    return "\0" not in lower[:4096] and (lower.lstrip().startswith("solid") or "facet" in lower)


def _binary(content: bytes, count: int) -> tuple[np.ndarray, np.ndarray]:
    records = np.frombuffer(content, _RECORD, count, 84)
    return records["corners"].reshape(-1, 3).astype(np.float64), np.arange(3 * count).reshape(-1, 3)


def _ascii(lower: str) -> tuple[np.ndarray, np.ndarray]:
    lower = lower.replace("\r\n", "\n").replace("\r", "\n")
    if not re.search(r"\bend[ \t]*solid\b", lower):
        raise ValueError("it ends without endsolid, as a file that is cut off does")
    body = _TITLE.sub("", lower)
    if "facet" not in body and "facet" in lower:  # all in one line
        body = _UNTIL_FACET.sub("", lower, count=1)
    found = _VERTEX.findall(body)
    facets, ends = len(re.findall(r"\bfacet\b", body)), len(re.findall(r"\bend\s*loop\b", body))
    if facets != ends:
        raise ValueError(f"of {facets} facets, {ends} are whole")
    try:
        points = np.array(found, np.float64).reshape(-1, 3)
    except ValueError:
        points = np.array([[number(token) for token in row] for row in found], np.float64).reshape(-1, 3)
    if len(points) == 3 * facets and len(body.split("vertex")) == 3 * facets + 1:
        return points, np.arange(3 * facets).reshape(-1, 3)
    lengths = [len(_VERTEX.findall(loop)) for loop in re.split(r"\bend\s*loop\b", body)[:-1]]
    if min(lengths, default=3) < 3 or sum(lengths) != len(body.split("vertex")) - 1:
        raise ValueError("a facet has fewer than three corners")
    starts = np.cumsum([0, *lengths])
    return points, triangulate(points, [list(range(a, b)) for a, b in pairwise(starts)])
