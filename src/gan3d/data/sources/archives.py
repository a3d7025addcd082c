"""Folders, zips and tars as places that hold files; nothing is ever unpacked by the names that an archive gives.

A tar that is compressed, and an archive inside an archive, is first copied into a scratch folder under a name of our
own, so that every file in it can be reached at once.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

from gan3d.data.formats.extensions import ARCHIVES, LARGEST, suffix
from gan3d.data.formats.readers import Unreadable, contents
from gan3d.errors import UserError

NESTED = 4 * LARGEST  # bytes of an archive inside another one, unpacked
SPARE = 2**30  # bytes that unpacking leaves free on the disk
Reject = tuple[str, str, str]  # file, reason, advice
_OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".tgz": gzip.open,
    ".bz2": bz2.open,
    ".tbz2": bz2.open,
    ".xz": lzma.open,
    ".txz": lzma.open,
}
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, ValueError)
_CLIMBS = ("Its path climbs out of the archive.", "Pack it with relative paths.")
_LINK = ("It is a symbolic link.", "Replace it by the file that it points to.")


@dataclass(frozen=True)
class Place:
    """Where a file's bytes are: a file on disk, or the member of a zip or a plain tar.

    `root` is the folder that side files of a file on disk may lie in.
    """

    path: Path
    member: str | None = None
    root: Path | None = None

    def read(self) -> bytes:
        """All bytes; raises `Unreadable`."""
        if self.member is None:
            return contents(self.path)
        try:
            with _opened(self.path, self.member) as stream:
                content = stream.read(LARGEST + 1)
        except (*_DAMAGED, KeyError, NotImplementedError, RuntimeError) as error:
            raise Unreadable("Its part of the archive is damaged.", "Pack the archive again.") from error
        if len(content) > LARGEST:
            raise Unreadable("It unpacks to more than 1 GiB.", "Simplify the shape, or split the file.")
        return content

    def open(self) -> IO[bytes]:
        """A stream that can seek; a member is read into memory. Raises `Unreadable`."""
        if self.member is not None:
            return io.BytesIO(self.read())
        try:
            return self.path.open("rb")
        except OSError as error:
            raise Unreadable(f"It cannot be opened: {error.strerror}.", "Check that it may be read.") from None

    def beside(self, address: str) -> bytes:
        """The content of a side file by its address relative to this file, inside the same source alone.

        Raises:
            Unreadable: when the address leaves the source, or there is no such file.
        """
        from urllib.parse import unquote

        where = PurePosixPath(unquote(address).replace("\\", "/"))
        outside = Unreadable(f"Its side file {address[:80]} lies outside the source.", "Put it beside the file.")
        missing = Unreadable(f"Its side file {address[:80]} is missing.", "Put it beside the file, or export a GLB.")
        if where.is_absolute() or ":" in str(where):
            raise outside
        if self.member is not None:
            name = os.path.normpath(str(PurePosixPath(self.member).parent / where))
            if name.startswith(".."):
                raise outside
            if name not in _index(self.path):
                raise missing
            return Place(self.path, name).read()
        root = (self.root or self.path.parent).resolve()
        path = (self.path.parent / where).resolve()
        if not path.is_relative_to(root):
            raise outside
        if not path.is_file():
            raise missing
        return contents(path)


@lru_cache(maxsize=4)
def _zip(path: Path) -> zipfile.ZipFile:
    """One open handle a process: the directory of a large archive is read once."""
    return zipfile.ZipFile(path)


@lru_cache(maxsize=4)
def _tar(path: Path) -> dict[str, tuple[int, int]]:
    """Offset and length of each plain file of a tar."""
    with tarfile.open(path, "r:") as archive:
        plain = (info for info in archive if info.isreg() and not info.sparse)
        return {info.name.removeprefix("./"): (info.offset_data, info.size) for info in plain}


@lru_cache(maxsize=64)
def is_zip(path: Path) -> bool:
    """Does a file start as a zip does? (A tar that ends in a zip would pass for one elsewhere.)"""
    with path.open("rb") as stream:
        head = stream.read(512)
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06") and head[257:262] != b"ustar"


def forget() -> None:
    """Close the archives that this process holds: their files may change from here on."""
    _zip.cache_clear()
    _tar.cache_clear()
    is_zip.cache_clear()


def _index(path: Path) -> Mapping[str, Any]:
    return _zip(path).NameToInfo if is_zip(path) else _tar(path)


def _opened(path: Path, member: str) -> IO[bytes]:
    if is_zip(path):
        return _zip(path).open(member)
    return io.BufferedReader(_Part(path, *_tar(path)[member]))


class _Part(io.RawIOBase):
    """Bytes of a file from an offset on, read as they are asked for."""

    def __init__(self, path: Path, offset: int, size: int):
        self.stream, self.left = path.open("rb"), size
        self.stream.seek(offset)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self.stream.read(min(len(buffer), self.left))
        buffer[: len(block)] = block
        self.left -= len(block)
        return len(block)

    def close(self) -> None:
        self.stream.close()
        super().close()


def members(path: Path) -> tuple[list[tuple[str, str]], list[Reject]]:
    """The files of a zip or a plain tar as (clean name, member), sorted, and what is suspicious.

    Raises:
        Unreadable: when the archive is damaged or encrypted.
    """
    try:
        listed = list(_zip_members(path) if is_zip(path) else _tar_members(path))
    except (*_DAMAGED, NotImplementedError, UnicodeDecodeError) as error:
        raise Unreadable("The archive is damaged.", "Download or pack it again.") from error
    good, rejects, seen = [], [], set()
    for name, member, fault in sorted(listed, key=lambda row: row[0]):
        parts = name.split("/")
        if name.startswith("/") or ":" in parts[0] or ".." in parts:
            fault = _CLIMBS
        elif name in seen and fault is None:
            fault = ("Another file of the archive has the same path.", "Pack it under a path of its own.")
        if fault:
            rejects.append((name, *fault))
        else:
            seen.add(name)
            good.append((name, member))
    return good, rejects


def _zip_members(path: Path) -> Iterator[tuple[str, str, tuple[str, str] | None]]:
    with zipfile.ZipFile(path) as archive:
        infos = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.header_offset)
    if any(info.flag_bits & 1 for info in infos):
        raise Unreadable("The archive is encrypted.", "Unpack it, and give the folder instead.")
    end = 0
    for info in infos:
        fault = None
        if stat.S_ISLNK(info.external_attr >> 16):
            fault = _LINK
        elif info.file_size > LARGEST and suffix(info.filename) not in (*ARCHIVES, ".npz", ".h5", ".hdf5"):
            fault = ("It unpacks to more than 1 GiB.", "Simplify the shape, or split the file.")
        elif info.header_offset < end:
            fault = ("It shares its bytes with another file, as in a zip bomb.", "Pack the archive again.")
        end = max(end, info.header_offset + info.compress_size)
        yield info.filename.replace("\\", "/"), info.filename, fault


def _tar_members(path: Path) -> Iterator[tuple[str, str, tuple[str, str] | None]]:
    with tarfile.open(path, "r:") as archive:
        for info in archive:
            fault = None
            if info.isdir():
                continue
            if info.issym() or info.islnk():
                fault = _LINK
            elif not info.isreg() or info.sparse:
                fault = ("It is no plain file.", "Pack plain files alone.")
            elif info.offset_data + info.size > path.stat().st_size:
                fault = ("Its part of the archive is cut off.", "Pack or download the archive again.")
            yield info.name.removeprefix("./"), info.name.removeprefix("./"), fault


def unpacked(place: Place, kind: str, scratch: Path, limit: int | None = None) -> Path:
    """The path of an archive whose members can be reached: itself, or a copy in `scratch`, at most `limit` bytes.

    Raises:
        Unreadable: when it is damaged, or larger than the limit or the disk.
    """
    compressed = _OPENERS.get("." + kind.rsplit(".", 1)[-1])
    if place.member is None and compressed is None:
        return place.path
    status = place.path.stat()
    mark = f"{place.path}\n{place.member}\n{status.st_size}\n{status.st_mtime_ns}"
    path = scratch / (hashlib.sha256(mark.encode("utf-8", "surrogateescape")).hexdigest()[:24] + ".archive")
    if path.exists():  # from a run that was stopped
        return path
    scratch.mkdir(parents=True, exist_ok=True)
    room = max(shutil.disk_usage(scratch).free - SPARE, 0)
    partial = path.with_suffix(".partial")
    try:
        with _raw(place) as packed, partial.open("wb") as out:
            stream = compressed(packed) if compressed else packed
            _copy(stream, out, min(limit or room, room))
        partial.rename(path)
    except (*_DAMAGED, KeyError, NotImplementedError, RuntimeError) as error:
        raise Unreadable("The archive is damaged.", "Download or pack it again.") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _raw(place: Place) -> IO[bytes]:
    return place.path.open("rb") if place.member is None else _opened(place.path, place.member)


def _copy(stream: IO[bytes], out: IO[bytes], limit: int) -> None:
    total = 0
    while block := stream.read(1 << 20):
        total += len(block)
        if total > limit:
            raise Unreadable(
                f"It unpacks to more than {limit / 2**30:.1f} GiB.", "Unpack it yourself, and give the folder instead."
            )
        out.write(block)


def files(folder: Path) -> tuple[list[tuple[str, int, int]], list[Reject]]:
    """All plain files below a folder as (relative path, bytes, time of change), sorted; and what is suspicious.

    A link is followed only inside the folder, and into a DVC cache.

    Raises:
        UserError: when the folder itself cannot be read.
    """
    good, rejects = [], []
    root = folder.resolve()

    def unreadable(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise UserError(f"the data source {folder} cannot be read ({error.strerror}): change its permissions.")
        name = Path(error.filename).relative_to(folder).as_posix()
        rejects.append((name, f"The folder cannot be read: {error.strerror}.", "Change its permissions."))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        for name in (*names, *(name for name in folders if (Path(parent) / name).is_symlink())):
            path = Path(parent) / name
            relative = path.relative_to(folder).as_posix()
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                target = path.resolve()
                if path.is_dir() or not path.exists() or not (target.is_relative_to(root) or ".dvc" in target.parts):
                    rejects.append((relative, *_LINK))
                    continue
                status = target.stat()
            if stat.S_ISREG(status.st_mode):
                good.append((relative, status.st_size, status.st_mtime_ns))
            else:
                rejects.append((relative, "It is no plain file.", "Remove it from the source."))
    return sorted(good), rejects
