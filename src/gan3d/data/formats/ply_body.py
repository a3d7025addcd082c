"""The data of a PLY file: one table per element, from text or from either byte order."""

import struct
from typing import Any

import numpy as np

from gan3d.data.formats.ply_header import Element
from gan3d.data.formats.text import NEWLINE, parse_float, parse_int

Columns = dict[str, Any]  # values per property of an element: an array, or a list of lists


def _truncated(element: Element) -> ValueError:
    return ValueError(f"it ends before the {element.count} rows of {element.name[:40]} that its header claims")


def parse_ascii(body: str, elements: list[Element]) -> list[Columns]:
    """Parse one row per line, ignoring what follows on it; if that fails, line breaks anywhere.

    Raises:
        ValueError: if the text is shorter than the header claims.
    """
    lines = [tokens for line in NEWLINE.split(body) if (tokens := line.split())]
    try:
        return _parse_lines(lines, elements)
    except ValueError as error:
        try:
            return _parse_tokens([token for line in lines for token in line], elements)
        except ValueError:
            raise error from None


def _parse_lines(lines: list[list[str]], elements: list[Element]) -> list[Columns]:
    start, tables = 0, []
    for element in elements:
        rows = lines[start : start + element.count]
        start += element.count
        if len(rows) < element.count:
            raise _truncated(element)
        names = [prop.name for prop in element.properties]
        if element.has_lists():
            columns: Columns = {name: [] for name in names}
            for row in rows:
                _append_row(columns, element, row, 0, {element.index_property()})
        elif any(len(row) < len(names) for row in rows):
            raise ValueError(f"a row of {element.name[:40]} has fewer numbers than its header claims")
        else:
            columns = {name: _parse_floats([row[i] for row in rows]) for i, name in enumerate(names)}
        tables.append(columns)
    return tables


def _parse_tokens(tokens: list[str], elements: list[Element]) -> list[Columns]:
    at, tables = 0, []
    for element in elements:
        names = [prop.name for prop in element.properties]
        least = element.count * len(names)
        if at + least > len(tokens):
            raise _truncated(element)
        if element.has_lists():
            columns: Columns = {name: [] for name in names}
            for _ in range(element.count):
                at = _append_row(columns, element, tokens, at)
        else:
            columns = {name: _parse_floats(tokens[at + i : at + least : len(names)]) for i, name in enumerate(names)}
            at += least
        tables.append(columns)
    return tables


def _append_row(
    columns: Columns, element: Element, tokens: list[str], at: int, wanted: set[str | None] | None = None
) -> int:
    """Append one row of an element with lists to its columns; returns the offset of the next row.

    With `wanted`, stop once these properties are read: some programs write numbers that the header does not name.
    """
    missing = set(wanted or ())
    for prop in element.properties:
        if wanted is not None and not missing:
            break
        if at >= len(tokens):
            raise _truncated(element)
        if prop.length is None:
            columns[prop.name].append(parse_float(tokens[at]))
            at += 1
        else:
            length = parse_int(tokens[at])
            if not 0 <= length < len(tokens) - at:
                raise _truncated(element)
            values = tokens[at + 1 : at + 1 + length]
            columns[prop.name].append([] if prop.kind in "fd" else [parse_int(token) for token in values])
            at += 1 + length
        missing.discard(prop.name)
    return at


def _parse_floats(tokens: list[str]) -> np.ndarray:
    try:
        return np.array(tokens, np.float64)
    except ValueError:
        return np.array([parse_float(token) for token in tokens], np.float64)


def parse_binary(content: bytes, at: int, elements: list[Element], order: str) -> list[Columns]:
    """Parse binary data from an offset; `order` is `<` or `>`.

    Raises:
        ValueError: if the data is shorter than the header claims.
    """
    tables = []
    for element in elements:
        least = sum(struct.calcsize(order + (prop.length or prop.kind)) for prop in element.properties)
        if at + least * element.count > len(content):
            raise _truncated(element)
        if not element.has_lists() or not element.count:
            columns, at = _read_fixed_rows(content, at, element, order)
        elif found := _read_equal_lists(content, at, element, order):
            columns, at = found
        else:
            columns, at = _read_varying_lists(content, at, element, order)
        tables.append(columns)
    return tables


def _read_fixed_rows(content: bytes, at: int, element: Element, order: str) -> tuple[Columns, int]:
    """Read rows without lists."""
    dtype = np.dtype([(f"f{i}", order + prop.kind) for i, prop in enumerate(element.properties)])
    rows = np.frombuffer(content, dtype, element.count if dtype.itemsize else 0, at)
    columns = {prop.name: rows[f"f{i}"] for i, prop in enumerate(element.properties)}
    return columns, at + dtype.itemsize * element.count


def _read_equal_lists(content: bytes, at: int, element: Element, order: str) -> tuple[Columns, int] | None:
    """Read rows whose lists are as long as in the first row, as in a mesh of triangles; None if they are not."""
    fields: list[tuple] = []
    offset = at
    for i, prop in enumerate(element.properties):
        if prop.length:
            length = struct.unpack_from(order + prop.length, content, offset)[0]
            offset += struct.calcsize(order + prop.length) + length * struct.calcsize(order + prop.kind)
            if length < 0 or offset > len(content):
                raise _truncated(element)
            fields += [(f"n{i}", order + prop.length), (f"f{i}", order + prop.kind, (length,))]
        else:
            offset += struct.calcsize(order + prop.kind)
            fields.append((f"f{i}", order + prop.kind))
    dtype = np.dtype(fields)
    if at + dtype.itemsize * element.count > len(content):
        return None
    rows = np.frombuffer(content, dtype, element.count, at)
    lists = [i for i, prop in enumerate(element.properties) if prop.length]
    if any((rows[f"n{i}"] != rows[f"n{i}"][0]).any() for i in lists):
        return None
    columns = {
        prop.name: rows[f"f{i}"].tolist() if prop.length else rows[f"f{i}"]
        for i, prop in enumerate(element.properties)
        if prop.kind not in "fd" or not prop.length
    }
    return columns, at + dtype.itemsize * element.count


def _read_varying_lists(content: bytes, at: int, element: Element, order: str) -> tuple[Columns, int]:
    """Read rows with lists of any length one by one; lists of floats are skipped."""
    columns: Columns = {prop.name: [] for prop in element.properties}
    sizes = {kind: struct.calcsize(order + kind) for kind in "bBhHiIqQfd"}
    try:
        for _ in range(element.count):
            for prop in element.properties:
                if prop.length is None:
                    columns[prop.name] += struct.unpack_from(order + prop.kind, content, at)
                    at += sizes[prop.kind]
                    continue
                (length,) = struct.unpack_from(order + prop.length, content, at)
                at += sizes[prop.length]
                if not 0 <= length <= len(content) - at:
                    raise _truncated(element)
                if prop.kind not in "fd":
                    columns[prop.name].append(list(struct.unpack_from(f"{order}{length}{prop.kind}", content, at)))
                at += length * sizes[prop.kind]
    except struct.error:
        raise _truncated(element) from None
    if at > len(content):
        raise _truncated(element)
    return columns, at
