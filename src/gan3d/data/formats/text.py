"""Tokens of text formats as real programs write them: encodings, numbers, vertex indices."""

import codecs
import re
from collections.abc import Sequence

import numpy as np

NEWLINE = re.compile(r"\r\n|\r|\n")
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:e[-+]?\d+)?")


def decode_text(content: bytes) -> str:
    """Decode a text file: UTF-16 if it has a byte order mark, else UTF-8 with invalid bytes replaced."""
    for mark in (codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE):
        if content.startswith(mark):
            return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "replace")


def parse_points(rows: Sequence[Sequence[str]]) -> np.ndarray:
    """Parse rows of three tokens into float64 (V, 3); a token that is not a number becomes NaN."""
    try:
        return np.array(rows, dtype=np.float64).reshape(-1, 3)
    except ValueError:
        return np.array([[parse_float(token) for token in row] for row in rows], np.float64).reshape(-1, 3)


def parse_float(token: str) -> float:
    """Parse a number, also with a Fortran exponent (1.5D-3) or a decimal comma; NaN for anything else."""
    try:
        return float(token)
    except ValueError:
        pass
    token = token.lower().replace("d", "e")
    if _DECIMAL_COMMA.fullmatch(token):
        token = token.replace(",", ".")
    try:
        return float(token)
    except ValueError:
        return np.nan


def parse_int(token: str) -> int:
    """Parse an integer, also written as `3.0`.

    Raises:
        ValueError: if the token is not an integer.
    """
    try:
        return int(token)
    except ValueError:
        value = parse_float(token)
        if not value.is_integer():
            raise ValueError(f"{token[:40]!r} is not an integer") from None
        return int(value)


def to_zero_based(polygons: list[list[int]], first: int, count: int) -> list[list[int]]:
    """Check vertex indices and shift them to start at 0.

    Args:
        polygons: vertex indices per polygon.
        first: index of the first vertex in the format, 0 or 1.
        count: number of vertices.

    Raises:
        ValueError: if an index is out of range.
    """
    low = min((min(polygon) for polygon in polygons if polygon), default=first)
    high = max((max(polygon) for polygon in polygons if polygon), default=first + count - 1)
    if low < first or high >= first + count:
        raise ValueError(f"a face refers to vertex {low if low < first else high}, but the file has {count} vertices")
    return polygons if first == 0 else [[index - first for index in polygon] for polygon in polygons]
