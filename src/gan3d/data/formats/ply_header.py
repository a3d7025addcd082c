"""The header of a PLY file: its encoding, elements and properties."""

import re
from dataclasses import dataclass, field

_HEADER = re.compile(rb"\s*ply\b.*?\bend_header[ \t]*(\r\n|\n|\r|$)", re.DOTALL | re.IGNORECASE)
_TYPES = {
    "char": "b", "int8": "b", "uchar": "B", "uint8": "B", "short": "h", "int16": "h", "ushort": "H", "uint16": "H",
    "int": "i", "int32": "i", "uint": "I", "uint32": "I", "int64": "q", "uint64": "Q",
    "float": "f", "float32": "f", "double": "d", "float64": "d",
}  # fmt: skip
_ENCODINGS = ("ascii", "binary_little_endian", "binary_big_endian")
_INDICES = ("vertex_indices", "vertex_index", "vertex_indexes", "indices")


@dataclass(frozen=True)
class Property:
    """A column: `kind` is the `struct` letter of its values, `length` that of the count before a list."""

    name: str
    kind: str
    length: str | None = None


@dataclass
class Element:
    """A table of `count` rows, such as the vertices."""

    name: str
    count: int
    properties: list[Property] = field(default_factory=list)

    def has_lists(self) -> bool:
        return any(prop.length for prop in self.properties)

    def index_property(self) -> str | None:
        """Name of the property that lists vertices: one of the usual names, else the first list of integers."""
        named = [prop.name for prop in self.properties if prop.length and prop.name.lower() in _INDICES]
        lists = [prop.name for prop in self.properties if prop.length and prop.kind not in "fd"]
        return next(iter(named or lists), None)


def parse_header(content: bytes) -> tuple[str, list[Element], int]:
    """Parse the header.

    Returns:
        The encoding (`ascii`, `binary_little_endian` or `binary_big_endian`), the elements in file order, and the
        offset of the data.

    Raises:
        ValueError: if the header is missing or broken.
    """
    match = _HEADER.match(content)
    if match is None:
        raise ValueError("it has no header from `ply` to `end_header`")
    end = match.end()
    if match[1] == b"\r\n" and b"\n" not in match[0][:-2]:
        end -= 1  # lines end in \r alone, so the \n is the first byte of the data
    encoding, elements = "", []
    for line in re.split(r"\r\n|\r|\n", match[0].decode("latin-1")):
        tokens = line.split()
        word = tokens[0].lower() if tokens else ""
        try:
            if word == "format":
                encoding = tokens[1].lower()
            elif word == "element":
                elements.append(Element(tokens[1], int(tokens[2])))
            elif word == "property" and tokens[1].lower() == "list":
                elements[-1].properties.append(Property(tokens[4], _type(tokens[3]), _type(tokens[2])))
            elif word == "property":
                elements[-1].properties.append(Property(tokens[2], _type(tokens[1])))
        except IndexError:
            raise ValueError(f"its header has the invalid line {line[:60]!r}") from None
    if encoding not in _ENCODINGS:
        raise ValueError(f"its header names the unknown format {encoding[:40]!r}")
    if any(element.count < 0 for element in elements):
        raise ValueError("its header has a negative count")
    return encoding, elements, end


def _type(name: str) -> str:
    if name.lower() not in _TYPES:
        raise ValueError(f"its header names the unknown type {name[:40]!r}")
    return _TYPES[name.lower()]
