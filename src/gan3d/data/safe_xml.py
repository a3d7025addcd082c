"""XML and zipped XML from strangers: no entities, no network, and no more than a directory claims."""

import io
import zipfile
from collections.abc import Callable
from typing import Any
from xml.parsers import expat

from gan3d.data.formats import LARGEST
from gan3d.data.unreadable import Unreadable

_CHUNK = 1 << 16


class _Root(Exception):  # noqa: N818 - the root element is reached: nothing can be declared any more
    pass


def check_prolog(content: bytes) -> None:
    """Refuse a document type, in any encoding: it may declare entities that explode or name other files.

    Raises:
        Unreadable: when there is one.
        ValueError: when it is no XML.
    """

    def refuse(*_: object) -> None:
        raise Unreadable("Its XML declares a document type.", "Export it again: a shape needs none.")

    def stop(*_: object) -> None:
        raise _Root

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = stop
    try:
        for start in range(0, len(content), _CHUNK):
            parser.Parse(content[start : start + _CHUNK], False)
        parser.Parse(b"", True)
    except _Root:
        return
    except expat.ExpatError as error:
        raise ValueError(f"it is no XML ({error})") from None


def parse_xml(content: bytes) -> Any:
    """The root of a document, an element of lxml, without comments.

    Raises:
        Unreadable: for a document type.
        ValueError: for broken XML.
    """
    from lxml import etree

    check_prolog(content)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True, huge_tree=True
    )
    try:
        return etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"its XML is damaged ({error})") from None


def unzipped(content: bytes, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The members of a zip whose lower-case names are wanted; sizes are checked before anything is unpacked.

    Raises:
        Unreadable: when they unpack to more than LARGEST bytes, or are packed in an unusual way.
        Exception: whatever `zipfile` raises for a damaged archive.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [info for info in archive.infolist() if not info.is_dir() and wanted(info.filename.lower())]
        if sum(info.file_size for info in members) > LARGEST:
            raise Unreadable("It unpacks to more than 1 GiB.", "Simplify the shape, or split the file.")
        if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in members):
            raise Unreadable("It is packed with an unusual method.", "Pack it as a plain zip (deflate).")
        found = {}
        for info in members:
            with archive.open(info) as stream:
                found[info.filename] = stream.read(info.file_size + 1)  # a bounded read: the directory may lie
        return found
