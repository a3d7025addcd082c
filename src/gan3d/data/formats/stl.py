"""STL: binary, and ASCII in any case and with any line breaks, of one solid or several.

Format: https://en.wikipedia.org/wiki/STL_(file_format).
"""

import re
from itertools import pairwise

import numpy as np

from gan3d.data.formats.polygons import triangulate
from gan3d.data.formats.text import decode_text, parse_points

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("tag", "<u2")])
_UNKNOWN_COUNTS = (0, 2**32 - 1)  # from programs that stream and cannot go back to the header
_TITLE = re.compile(r"^\s*(?:end[ \t]*)?solid\b[^\n]*", re.MULTILINE)
_UNTIL_FACET = re.compile(r"\s*solid\b.*?(?=\bfacet\b)", re.DOTALL)
_VERTEX = re.compile(r"\bvertex\s+(\S+)\s+(\S+)\s+(\S+)")


def parse_stl(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Parse an STL file; triangles do not share vertices.

    A file is binary if its length matches the count in its header, even if it starts with `solid`. Bytes after the
    last triangle are ignored.

    Returns:
        Vertices, float64 (V, 3), and triangles, int64 (F, 3).

    Raises:
        ValueError: if the file is truncated, or neither binary nor ASCII.
    """
    count = int.from_bytes(content[80:84], "little")
    present, excess = divmod(max(len(content) - 84, 0), _RECORD.itemsize)
    if len(content) >= 84 and count == present:
        return _parse_binary(content, count)
    lower = decode_text(content).lower()
    if _is_ascii(lower):
        return _parse_ascii(lower)
    if len(content) < 84:
        raise ValueError("it is neither binary nor ASCII")
    if count in _UNKNOWN_COUNTS and present and not excess:
        return _parse_binary(content, present)
    if count > present:
        raise ValueError(f"its header claims {count} triangles, but it holds {present}")
    return _parse_binary(content, count)


def _is_ascii(lower: str) -> bool:
    return "\0" not in lower[:4096] and (lower.lstrip().startswith("solid") or "facet" in lower)


def _parse_binary(content: bytes, count: int) -> tuple[np.ndarray, np.ndarray]:
    records = np.frombuffer(content, _RECORD, count, 84)
    return records["corners"].reshape(-1, 3).astype(np.float64), np.arange(3 * count).reshape(-1, 3)


def _parse_ascii(lower: str) -> tuple[np.ndarray, np.ndarray]:
    lower = lower.replace("\r\n", "\n").replace("\r", "\n")
    if not re.search(r"\bend[ \t]*solid\b", lower):
        raise ValueError("it has no endsolid, so it is probably truncated")
    body = _TITLE.sub("", lower)
    if "facet" not in body and "facet" in lower:  # the whole file is one line
        body = _UNTIL_FACET.sub("", lower, count=1)
    facets, complete = len(re.findall(r"\bfacet\b", body)), len(re.findall(r"\bend\s*loop\b", body))
    if facets != complete:
        raise ValueError(f"only {complete} of its {facets} facets are complete")
    points = parse_points(_VERTEX.findall(body))
    if len(points) == 3 * facets and len(body.split("vertex")) == 3 * facets + 1:
        return points, np.arange(3 * facets).reshape(-1, 3)
    lengths = [len(_VERTEX.findall(loop)) for loop in re.split(r"\bend\s*loop\b", body)[:-1]]
    if min(lengths, default=3) < 3 or sum(lengths) != len(body.split("vertex")) - 1:
        raise ValueError("a facet has fewer than three corners")
    starts = np.cumsum([0, *lengths])
    return points, triangulate(points, [list(range(a, b)) for a, b in pairwise(starts)])
