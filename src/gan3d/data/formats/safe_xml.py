"""Untrusted XML and zipped XML: no entities, no network, and no more bytes than the zip directory claims."""

import io
import zipfile
from collections.abc import Callable
from typing import Any
from xml.parsers import expat

from gan3d.data.formats.extensions import MAX_FILE_BYTES
from gan3d.data.formats.unreadable import UnreadableFile

_CHUNK = 1 << 16  # bytes parsed at once


class _RootReached(Exception):  # noqa: N818 - ends the parse: a document type can only come before the root element
    pass


def check_prolog(content: bytes) -> None:
    """Reject a document type, in any encoding: it may declare entities that expand without end or name other files.

    Raises:
        UnreadableFile: if there is one.
        ValueError: if the content is not XML.
    """

    def reject(*_: object) -> None:
        raise UnreadableFile("Its XML declares a document type.", "Export it again without one.")

    def stop(*_: object) -> None:
        raise _RootReached

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = reject
    parser.StartElementHandler = stop
    try:
        for start in range(0, len(content), _CHUNK):
            parser.Parse(content[start : start + _CHUNK], False)
        parser.Parse(b"", True)
    except _RootReached:
        return
    except expat.ExpatError as error:
        raise ValueError(f"it is not XML ({error})") from None


def parse_xml(content: bytes) -> Any:
    """Parse a document; returns its root as an lxml element, without comments.

    Raises:
        UnreadableFile: if it declares a document type.
        ValueError: if the XML is broken.
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


def unzip(content: bytes, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Unpack members of a zip, after a check of their sizes.

    Args:
        content: of the zip.
        wanted: chooses members by their name in lower case.

    Raises:
        UnreadableFile: if they unpack to more than MAX_FILE_BYTES, or use an unusual compression.
        Exception: any that `zipfile` raises for a damaged archive.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [info for info in archive.infolist() if not info.is_dir() and wanted(info.filename.lower())]
        if sum(info.file_size for info in members) > MAX_FILE_BYTES:
            raise UnreadableFile("It unpacks to more than 1 GiB.", "Simplify the shape, or split the file.")
        if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in members):
            raise UnreadableFile("It uses an unusual zip compression.", "Pack it as a standard zip (deflate).")
        found = {}
        for info in members:
            with archive.open(info) as stream:
                found[info.filename] = stream.read(info.file_size + 1)  # bounded: the directory may be wrong
        return found
