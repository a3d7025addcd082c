"""The files of a folder or archive, with archives among them replaced by their own files."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan3d.data.formats.extensions import ARCHIVES, suffix
from gan3d.data.formats.readers import UnreadableFile
from gan3d.data.sandbox.pool import WorkerFailure
from gan3d.data.sources import archives
from gan3d.data.sources.archives import Location, Reject
from gan3d.errors import UserError

MAX_ARCHIVE_DEPTH = 2  # archives inside each other

Call = Callable[..., Any]  # calls a function with arguments, in this process or in the sandbox


@dataclass(frozen=True)
class ListedFile:
    """A file of a source; `name` is its path relative to the source."""

    name: str
    location: Location


@dataclass
class Listing:
    """The files of a source, those that must not be read, and a stamp that changes when the source does."""

    files: list[ListedFile] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    stamp: list[str] = field(default_factory=list)


def list_folder(path: Path, call: Call, scratch: Path | None) -> Listing:
    """List a folder.

    Args:
        path: the folder.
        call: runs a function on an untrusted file.
        scratch: folder for decompressed archives; without it nested archives are rejected.

    Raises:
        UserError: if the folder cannot be read.
    """
    listed, rejects = archives.list_files(path)
    files = [ListedFile(name, Location(path / name, None, path)) for name, *_ in listed]
    listing = Listing([], rejects, [f"{name}\n{size}\n{time}" for name, size, time in listed])
    listing.files = _expand(listing, files, call, scratch)
    return listing


def list_archive(path: Path, kind: str, call: Call, scratch: Path | None) -> Listing:
    """List an archive of an extension; there is no time limit on the outer archive, which may be large.

    Raises:
        UserError: if the archive cannot be opened.
    """
    try:
        seekable = archives.ensure_seekable(Location(path), kind, scratch or Path("/nonexistent"))
        members, rejects = archives.list_members(seekable)
    except UnreadableFile as error:
        raise UserError(f"{path}: {error.reason.rstrip('.')}: {error.advice[:1].lower()}{error.advice[1:]}") from None
    listing = Listing([], rejects, [stamp(path)])
    files = [ListedFile(name, Location(seekable, member)) for name, member in members]
    listing.files = _expand(listing, files, call, scratch)
    return listing


def stamp(path: Path) -> str:
    """Name, size and modification time of a file."""
    status = path.stat()
    return f"{path.name}\n{status.st_size}\n{status.st_mtime_ns}"


def is_hidden(name: str) -> bool:
    """Whether a path has a hidden component, or one that macOS adds to archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _expand(
    listing: Listing, files: list[ListedFile], call: Call, scratch: Path | None, depth: int = 1
) -> list[ListedFile]:
    """Replace each archive among the files by its files; rejects go into the listing."""
    result = []
    for file in files:
        kind = suffix(file.name)
        if kind not in ARCHIVES or is_hidden(file.name):
            result.append(file)
            continue
        if depth > MAX_ARCHIVE_DEPTH or scratch is None:
            listing.rejects.append((file.name, "It is an archive nested too deeply.", "Unpack the outer archive."))
            continue
        try:
            opened = call(_open_nested, file.location, kind, scratch)
        except UnreadableFile as error:
            opened = WorkerFailure(error.reason, error.advice)
        if isinstance(opened, WorkerFailure):
            listing.rejects.append((file.name, opened.reason, opened.advice))
            continue
        seekable, members, rejects = opened
        listing.rejects += [(f"{file.name}/{name}", reason, advice) for name, reason, advice in rejects]
        inner = [ListedFile(f"{file.name}/{name}", Location(seekable, member)) for name, member in members]
        result += _expand(listing, inner, call, scratch, depth + 1)
    return result


def _open_nested(location: Location, kind: str, scratch: Path) -> tuple[Path, list[tuple[str, str]], list[Reject]]:
    seekable = archives.ensure_seekable(location, kind, scratch, archives.MAX_NESTED_BYTES)
    return seekable, *archives.list_members(seekable)
