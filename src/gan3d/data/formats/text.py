"""Numbers and letters of text files as real programs write them."""

import codecs
import re

import numpy as np

NEWLINE = re.compile(r"\r\n|\r|\n")
_COMMA = re.compile(r"[-+]?\d*,\d+(?:e[-+]?\d+)?")


def text(content: bytes) -> str:
    """Decode a text file: UTF-16 by its mark, otherwise UTF-8 with unreadable letters replaced."""
    for mark in (codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE):
        if content.startswith(mark):
            return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "replace")


def points(rows: list[list[str]]) -> np.ndarray:
    """Text (V, 3) -> float64; what is no number becomes NaN, which matters only where a face uses it."""
    try:
        return np.array(rows, dtype=np.float64).reshape(-1, 3)
    except ValueError:
        return np.array([[number(token) for token in row] for row in rows], np.float64).reshape(-1, 3)


def number(token: str) -> float:
    """A number, also with Fortran's exponent (1.5D-3) or a decimal comma; NaN for anything else."""
    try:
        return float(token)
    except ValueError:
        pass
    token = token.lower().replace("d", "e")
    if _COMMA.fullmatch(token):
        token = token.replace(",", ".")
    try:
        return float(token)
    except ValueError:
        return np.nan


def whole(token: str) -> int:
    """A whole number, also as `3.0`; raises ValueError."""
    try:
        return int(token)
    except ValueError:
        value = number(token)
        if not value.is_integer():
            raise ValueError(f"{token[:40]!r} is no whole number") from None
        return int(value)


def checked(polygons: list[list[int]], first: int, count: int) -> list[list[int]]:
    """Polygons with indices from 0; raises ValueError for an index that is out of range.

    Args:
        first: the number of the first vertex, 0 or 1.
        count: of vertices.
    """
    low = min((min(polygon) for polygon in polygons if polygon), default=first)
    high = max((max(polygon) for polygon in polygons if polygon), default=first + count - 1)
    if low < first or high >= first + count:
        raise ValueError(f"a face names vertex {low if low < first else high}, but there are {count} vertices")
    return polygons if first == 0 else [[index - first for index in polygon] for polygon in polygons]
