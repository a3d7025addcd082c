"""PLY: ASCII and both binary byte orders, with any elements and properties beside vertices and faces.

Format: http://paulbourke.net/dataformats/ply. Faces of any number of corners, and triangle strips.
"""

import re
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gan3d.data.formats.polygons import triangulate
from gan3d.data.formats.text import NEWLINE, checked, number, whole

_HEAD = re.compile(rb"\s*ply\b.*?\bend_header[ \t]*(\r\n|\n|\r|$)", re.DOTALL | re.IGNORECASE)
_TYPES = {
    "char": "b", "int8": "b", "uchar": "B", "uint8": "B", "short": "h", "int16": "h", "ushort": "H", "uint16": "H",
    "int": "i", "int32": "i", "uint": "I", "uint32": "I", "int64": "q", "uint64": "Q",
    "float": "f", "float32": "f", "double": "d", "float64": "d",
}  # fmt: skip
_INDICES = ("vertex_indices", "vertex_index", "vertex_indexes", "indices")


@dataclass(frozen=True)
class _Property:
    """`kind` is a letter of `struct`; `length` that of a list's count, if it is a list."""

    name: str
    kind: str
    length: str | None = None


@dataclass
class _Element:
    name: str
    count: int
    properties: list[_Property] = field(default_factory=list)

    def lists(self) -> bool:
        return any(prop.length for prop in self.properties)

    def index(self) -> str | None:
        """The property that names vertices: by its name, else the only list of whole numbers."""
        named = [prop.name for prop in self.properties if prop.length and prop.name.lower() in _INDICES]
        lists = [prop.name for prop in self.properties if prop.length and prop.kind not in "fd"]
        return next(iter(named or lists), None)


Columns = dict[str, Any]  # of an element: an array a property, or a list of lists


def parse_ply(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and triangles (F, 3) of a PLY file.

    Raises:
        ValueError: for a broken header, for less than it claims, or for indices out of range.
    """
    head = _HEAD.match(content)
    if head is None:
        raise ValueError("it has no header from `ply` to `end_header`")
    end = head.end()
    if head[1] == b"\r\n" and b"\n" not in head[0][:-2]:
        end -= 1  # lines end in \r alone; what follows is the first byte of the data
    kind, elements = _header(head[0].decode("latin-1"))
    if kind == "ascii":
        tables = _ascii(content[end:].decode("latin-1"), elements)
    else:
        tables = _binary(content, end, elements, "<" if kind == "binary_little_endian" else ">")
    vertices = np.empty((0, 3))
    polygons: list[list[int]] = []
    for element, columns in zip(elements, tables, strict=True):
        name, index = element.name.lower(), element.index()
        if name in ("vertex", "vertices") and not len(vertices):
            lower = {key.lower(): values for key, values in columns.items()}
            if not {"x", "y", "z"} <= set(lower):
                raise ValueError("its vertices have no x, y and z")
            vertices = np.stack([np.asarray(lower[axis], np.float64) for axis in "xyz"], -1)
        elif name in ("face", "faces", "polygon") and index:
            polygons += columns[index]
        elif name in ("tristrips", "tristrip") and index:
            polygons += [triangle for strip in columns[index] for triangle in _strip(strip)]
    return vertices, triangulate(vertices, checked(polygons, 0, len(vertices)))


def _header(head: str) -> tuple[str, list[_Element]]:
    kind, elements = "", []
    for line in re.split(r"\r\n|\r|\n", head):
        tokens = line.split()
        word = tokens[0].lower() if tokens else ""
        try:
            if word == "format":
                kind = tokens[1].lower()
            elif word == "element":
                elements.append(_Element(tokens[1], int(tokens[2])))
            elif word == "property" and tokens[1].lower() == "list":
                elements[-1].properties.append(_Property(tokens[4], _type(tokens[3]), _type(tokens[2])))
            elif word == "property":
                elements[-1].properties.append(_Property(tokens[2], _type(tokens[1])))
        except IndexError:
            raise ValueError(f"its header has the line {line[:60]!r}") from None
    if kind not in ("ascii", "binary_little_endian", "binary_big_endian"):
        raise ValueError(f"its header names the format {kind[:40]!r}")
    if any(element.count < 0 for element in elements):
        raise ValueError("its header claims a negative count")
    return kind, elements


def _type(name: str) -> str:
    if name.lower() not in _TYPES:
        raise ValueError(f"its header names the type {name[:40]!r}")
    return _TYPES[name.lower()]


def _short(element: _Element) -> ValueError:
    return ValueError(f"it ends before the {element.count} rows of {element.name[:40]} that its header claims")


def _ascii(body: str, elements: list[_Element]) -> list[Columns]:
    """A line a row, whatever follows on it, as nearly all write it; or else line breaks anywhere."""
    lines = [tokens for line in NEWLINE.split(body) if (tokens := line.split())]
    try:
        return _by_lines(lines, elements)
    except ValueError as error:
        try:
            return _by_tokens([token for line in lines for token in line], elements)
        except ValueError:
            raise error from None


def _by_lines(lines: list[list[str]], elements: list[_Element]) -> list[Columns]:
    start, tables = 0, []
    for element in elements:
        rows = lines[start : start + element.count]
        start += element.count
        if len(rows) < element.count:
            raise _short(element)
        names = [prop.name for prop in element.properties]
        if element.lists():
            columns: Columns = {name: [] for name in names}
            for row in rows:
                _add_row(columns, element, row, 0, {element.index()})
        elif any(len(row) < len(names) for row in rows):
            raise ValueError(f"a row of {element.name[:40]} has fewer numbers than its header says")
        else:
            columns = {name: _floats([row[i] for row in rows]) for i, name in enumerate(names)}
        tables.append(columns)
    return tables


def _by_tokens(tokens: list[str], elements: list[_Element]) -> list[Columns]:
    at, tables = 0, []
    for element in elements:
        names = [prop.name for prop in element.properties]
        least = element.count * len(names)
        if at + least > len(tokens):
            raise _short(element)
        if element.lists():
            columns: Columns = {name: [] for name in names}
            for _ in range(element.count):
                at = _add_row(columns, element, tokens, at)
        else:
            columns = {name: _floats(tokens[at + i : at + least : len(names)]) for i, name in enumerate(names)}
            at += least
        tables.append(columns)
    return tables


def _add_row(
    columns: Columns, element: _Element, tokens: list[str], at: int, wanted: set[str | None] | None = None
) -> int:
    """Put a row of an element with lists into its columns; returns where the next one begins.

    Given `wanted`, it ends as soon as these are read: some writers add numbers that the header does not name.
    """
    missing = set(wanted or ())
    for prop in element.properties:
        if wanted is not None and not missing:
            break
        if at >= len(tokens):
            raise _short(element)
        if prop.length is None:
            columns[prop.name].append(number(tokens[at]))
            at += 1
        else:
            length = whole(tokens[at])
            if not 0 <= length < len(tokens) - at:
                raise _short(element)
            values = tokens[at + 1 : at + 1 + length]
            columns[prop.name].append([] if prop.kind in "fd" else [whole(token) for token in values])
            at += 1 + length
        missing.discard(prop.name)
    return at


def _floats(tokens: list[str]) -> np.ndarray:
    try:
        return np.array(tokens, np.float64)
    except ValueError:
        return np.array([number(token) for token in tokens], np.float64)


def _binary(content: bytes, at: int, elements: list[_Element], order: str) -> list[Columns]:
    tables = []
    for element in elements:
        least = sum(struct.calcsize(order + (prop.length or prop.kind)) for prop in element.properties)
        if at + least * element.count > len(content):
            raise _short(element)
        read = _varied if element.lists() and element.count else _alike
        columns, at = _same_lengths(content, at, element, order) or read(content, at, element, order)
        tables.append(columns)
    return tables


def _alike(content: bytes, at: int, element: _Element, order: str) -> tuple[Columns, int]:
    """Rows without lists."""
    dtype = np.dtype([(f"f{i}", order + prop.kind) for i, prop in enumerate(element.properties)])
    rows = np.frombuffer(content, dtype, element.count if dtype.itemsize else 0, at)
    columns = {prop.name: rows[f"f{i}"] for i, prop in enumerate(element.properties)}
    return columns, at + dtype.itemsize * element.count


def _same_lengths(content: bytes, at: int, element: _Element, order: str) -> tuple[Columns, int] | None:
    """Rows whose lists are all as long as those of the first row, as in a mesh of triangles; None if they are not."""
    if not element.lists() or not element.count:
        return None
    fields: list[tuple] = []
    place = at
    for i, prop in enumerate(element.properties):
        if prop.length:
            length = struct.unpack_from(order + prop.length, content, place)[0]
            place += struct.calcsize(order + prop.length) + length * struct.calcsize(order + prop.kind)
            if length < 0 or place > len(content):
                raise _short(element)
            fields += [(f"n{i}", order + prop.length), (f"f{i}", order + prop.kind, (length,))]
        else:
            place += struct.calcsize(order + prop.kind)
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


def _varied(content: bytes, at: int, element: _Element, order: str) -> tuple[Columns, int]:
    """Rows with lists of any length, one after the other; lists of fractions are passed over."""
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
                    raise _short(element)
                if prop.kind not in "fd":
                    columns[prop.name].append(list(struct.unpack_from(f"{order}{length}{prop.kind}", content, at)))
                at += length * sizes[prop.kind]
    except struct.error:
        raise _short(element) from None
    if at > len(content):
        raise _short(element)
    return columns, at


def _strip(strip: list[int]) -> list[list[int]]:
    """Triangles of a strip, in which -1 begins anew; every other one is turned."""
    triangles, start = [], 0
    for i in range(len(strip)):
        if strip[i] < 0:
            start = i + 1
        elif i - start >= 2:
            a, b = (i - 2, i - 1) if (i - start) % 2 == 0 else (i - 1, i - 2)
            triangle = [strip[a], strip[b], strip[i]]
            if len(set(triangle)) == 3:  # the others only lead from one strip to the next
                triangles.append(triangle)
    return triangles
