"""Files in folders, zips and tars; nothing is unpacked under a name that an archive gives.

A compressed tar, and an archive inside an archive, is first decompressed into a scratch folder under a name of our
own, so that its members can be read in any order.
"""

import bz2
import errno
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

from gan3d.data.formats.array_files import compression_fault
from gan3d.data.formats.extensions import ARCHIVES, ARRAY_SETS, MAX_FILE_BYTES, suffix
from gan3d.data.formats.readers import UnreadableFile, read_bytes
from gan3d.data.sources.dvc_cache import cache_folders
from gan3d.errors import UserError

MAX_NESTED_BYTES = 4 * MAX_FILE_BYTES  # of a decompressed archive inside another one
MIN_FREE_BYTES = 2**30  # left on the disk after decompression
Reject = tuple[str, str, str]  # file, reason, advice
_DECOMPRESSORS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".tgz": gzip.open,
    ".bz2": bz2.open,
    ".tbz2": bz2.open,
    ".xz": lzma.open,
    ".txz": lzma.open,
}
_DAMAGE_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, ValueError)
_ESCAPES = ("Its path leads out of the archive.", "Pack it with relative paths.")
_LINK = ("It is a symbolic link.", "Replace it with the file that it points to.")
_TOO_LARGE = ("It unpacks to more than 1 GiB.", "Simplify the shape, or split the file.")
_NOT_REGULAR = "It is not a regular file."


@dataclass(frozen=True)
class Location:
    """Where the bytes of a file are.

    Args:
        path: a file on disk, or the zip or uncompressed tar that holds it.
        member: its name in that archive; None for a file on disk.
        root: the folder that its sibling files must lie in; None is the file's own folder.
    """

    path: Path
    member: str | None = None
    root: Path | None = None

    def read(self) -> bytes:
        """All bytes; raises `UnreadableFile`."""
        if self.member is None:
            return read_bytes(self.path)
        try:
            with _open_member(self.path, self.member) as stream:
                content = stream.read(MAX_FILE_BYTES + 1)
        except (*_DAMAGE_ERRORS, KeyError, NotImplementedError, RuntimeError) as error:
            raise UnreadableFile("Its data in the archive is damaged.", "Pack the archive again.") from error
        if len(content) > MAX_FILE_BYTES:
            raise UnreadableFile(*_TOO_LARGE)
        return content

    def open(self) -> IO[bytes]:
        """A seekable stream; an archive member is read into memory. Raises `UnreadableFile`."""
        if self.member is not None:
            return io.BytesIO(self.read())
        try:
            return self.path.open("rb")
        except OSError as error:
            raise UnreadableFile(f"It cannot be opened: {error.strerror}.", "Check its permissions.") from None

    def read_sibling(self, address: str) -> bytes:
        """The content of another file of the same source.

        Args:
            address: URL-quoted path relative to this file.

        Raises:
            UnreadableFile: if the address leaves the source, or the file does not exist.
        """
        from urllib.parse import unquote

        relative = PurePosixPath(unquote(address).replace("\\", "/"))
        outside = UnreadableFile(f"Its buffer {address[:80]} lies outside the source.", "Put it next to the file.")
        missing = UnreadableFile(f"Its buffer {address[:80]} is missing.", "Put it next to the file, or export a GLB.")
        if relative.is_absolute() or ":" in str(relative):
            raise outside
        if self.member is not None:
            name = os.path.normpath(str(PurePosixPath(self.member).parent / relative))
            if name.startswith(".."):
                raise outside
            if name not in _index(self.path):
                raise missing
            return Location(self.path, name).read()
        root = (self.root or self.path.parent).resolve()
        path = (self.path.parent / relative).resolve()
        if not path.is_relative_to(root):
            raise outside
        if not path.is_file():
            raise missing
        return read_bytes(path)


@lru_cache(maxsize=4)
def _zip(path: Path) -> zipfile.ZipFile:
    """One open handle per process, so that the directory of a large archive is read once."""
    return zipfile.ZipFile(path)


@lru_cache(maxsize=4)
def _tar(path: Path) -> dict[str, tuple[int, int]]:
    """Offset and length of each regular file of a tar."""
    with tarfile.open(path, "r:") as archive:
        regular = (info for info in archive if info.isreg() and not info.sparse)
        return {info.name.removeprefix("./"): (info.offset_data, info.size) for info in regular}


@lru_cache(maxsize=64)
def is_zip(path: Path) -> bool:
    """Whether a file starts as a zip does; `zipfile.is_zipfile` also accepts a tar that ends in a zip."""
    with path.open("rb") as stream:
        head = stream.read(512)
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06") and head[257:262] != b"ustar"


def clear_caches() -> None:
    """Close the archives that this process holds open, since their files may change from now on."""
    _zip.cache_clear()
    _tar.cache_clear()
    is_zip.cache_clear()


def _index(path: Path) -> Mapping[str, Any]:
    return _zip(path).NameToInfo if is_zip(path) else _tar(path)


def _open_member(path: Path, member: str) -> IO[bytes]:
    if is_zip(path):
        return _zip(path).open(member)
    return io.BufferedReader(_FileSlice(path, *_tar(path)[member]))


class _FileSlice(io.RawIOBase):
    """A byte range of a file, as a stream."""

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


def list_members(path: Path) -> tuple[list[tuple[str, str]], list[Reject]]:
    """The files of a zip or uncompressed tar as (clean path, member name), sorted, and the suspicious ones.

    Raises:
        UnreadableFile: if the archive is damaged or encrypted.
    """
    try:
        listed = list(_list_zip(path) if is_zip(path) else _list_tar(path))
    except UnreadableFile:
        raise
    except (*_DAMAGE_ERRORS, NotImplementedError, UnicodeDecodeError) as error:
        raise UnreadableFile("The archive is damaged.", "Download or pack it again.") from error
    good, rejects, seen = [], [], set()
    for name, member, fault in sorted(listed, key=lambda row: row[0]):
        parts = name.split("/")
        if name.startswith("/") or ":" in parts[0] or ".." in parts:
            fault = _ESCAPES
        elif name in seen and fault is None:
            fault = ("Another file of the archive has the same path.", "Pack it under a different path.")
        if fault:
            rejects.append((name, *fault))
        else:
            seen.add(name)
            good.append((name, member))
    return good, rejects


def _list_zip(path: Path) -> Iterator[tuple[str, str, tuple[str, str] | None]]:
    with zipfile.ZipFile(path) as archive:
        infos = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.header_offset)
    if any(info.flag_bits & 1 for info in infos):
        raise UnreadableFile("The archive is encrypted.", "Unpack it, and use the folder instead.")
    faults = [compression_fault(info) for info in infos]
    if infos and all(faults):
        reason, advice = faults[0] or ("", "")
        raise UnreadableFile(reason.replace("It is", "The archive is"), advice)
    end = 0
    for info, fault in zip(infos, faults, strict=True):
        if stat.S_ISLNK(info.external_attr >> 16):
            fault = _LINK
        elif info.file_size > MAX_FILE_BYTES and suffix(info.filename) not in (*ARCHIVES, *ARRAY_SETS):
            fault = _TOO_LARGE
        elif info.header_offset < end:
            fault = ("It shares its bytes with another file, as in a zip bomb.", "Pack the archive again.")
        end = max(end, info.header_offset + info.compress_size)
        yield info.filename.replace("\\", "/"), info.filename, fault


def _list_tar(path: Path) -> Iterator[tuple[str, str, tuple[str, str] | None]]:
    with tarfile.open(path, "r:") as archive:
        for info in archive:
            fault = None
            if info.isdir():
                continue
            if info.issym() or info.islnk():
                fault = _LINK
            elif not info.isreg() or info.sparse:
                fault = (_NOT_REGULAR, "Pack regular files only.")
            elif info.offset_data + info.size > path.stat().st_size:
                fault = ("The archive ends before it does.", "Pack or download the archive again.")
            yield info.name.removeprefix("./"), info.name.removeprefix("./"), fault


def ensure_seekable(location: Location, kind: str, scratch: Path, limit: int | None = None) -> Path:
    """The path of an archive whose members can be read in any order: itself, or a decompressed copy.

    Args:
        location: the archive.
        kind: its extension.
        scratch: folder for the copy, which is reused if it exists.
        limit: bytes of the copy; the free disk space is always a limit.

    Raises:
        UnreadableFile: if the archive is damaged, or larger than the limit.
    """
    decompress = _DECOMPRESSORS.get("." + kind.rsplit(".", 1)[-1])
    if location.member is None and decompress is None:
        return location.path
    status = location.path.stat()
    identity = f"{location.path}\n{location.member}\n{status.st_size}\n{status.st_mtime_ns}"
    path = scratch / (hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:24] + ".archive")
    if path.exists():  # from an interrupted run
        return path
    scratch.mkdir(parents=True, exist_ok=True)
    room = max(shutil.disk_usage(scratch).free - MIN_FREE_BYTES, 0)
    partial = path.with_suffix(".partial")
    try:
        with _open_raw(location) as raw, partial.open("wb") as out:
            _copy_limited(decompress(raw) if decompress else raw, out, min(limit or room, room))
        partial.rename(path)
    except (*_DAMAGE_ERRORS, KeyError, NotImplementedError, RuntimeError) as error:
        raise UnreadableFile("The archive is damaged.", "Download or pack it again.") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _open_raw(location: Location) -> IO[bytes]:
    if location.member is None:
        return location.path.open("rb")
    return _open_member(location.path, location.member)


def _copy_limited(stream: IO[bytes], out: IO[bytes], limit: int) -> None:
    total = 0
    while block := stream.read(1 << 20):
        total += len(block)
        if total > limit:
            raise UnreadableFile(
                f"It unpacks to more than {limit / 2**30:.1f} GiB.", "Unpack it yourself, and use the folder instead."
            )
        out.write(block)


def _link_fault(path: Path) -> tuple[str, str] | None:
    """Reason and advice for a symbolic link that leads nowhere."""
    try:
        path.stat()
    except OSError as error:
        where = {errno.ELOOP: "leads back to itself", errno.ENOENT: "points to nothing"}.get(
            error.errno or 0, f"cannot be followed ({error.strerror})"
        )
        return f"It is a symbolic link that {where}.", "Remove it, or replace it with the file that is meant."
    return None


def list_files(folder: Path) -> tuple[list[tuple[str, int, int]], list[Reject]]:
    """All regular files below a folder as (relative path, bytes, modification time in ns), sorted, and the suspicious.

    Links are followed only within the folder and into the cache of DVC.

    Raises:
        UserError: if the folder itself cannot be read.
    """
    good, rejects = [], []
    root = folder.resolve()
    caches: tuple[Path, ...] | None = None  # DVC is asked at the first link that leads out

    def on_error(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise UserError(f"the data source {folder} cannot be read ({error.strerror}): change its permissions.")
        name = Path(error.filename).relative_to(folder).as_posix()
        rejects.append((name, f"The folder cannot be read: {error.strerror}.", "Change its permissions."))

    for parent, folders, names in os.walk(folder, onerror=on_error):
        for name in (*names, *(name for name in folders if (Path(parent) / name).is_symlink())):
            path = Path(parent) / name
            relative = path.relative_to(folder).as_posix()
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                if fault := _link_fault(path):
                    rejects.append((relative, *fault))
                    continue
                target = path.resolve()
                if caches is None and not target.is_relative_to(root):
                    caches = cache_folders(folder)
                inside = any(target.is_relative_to(place) for place in (root, *(caches or ())))
                if path.is_dir() or not path.exists() or not inside:
                    rejects.append((relative, *_LINK))
                    continue
                status = target.stat()
            if stat.S_ISREG(status.st_mode):
                good.append((relative, status.st_size, status.st_mtime_ns))
            else:
                rejects.append((relative, _NOT_REGULAR, "Remove it from the source."))
    return sorted(good), rejects
