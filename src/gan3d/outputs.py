"""Outputs are new files that are moved into place: never truncated, never written through a link.

DVC may link outputs into its cache (`cache.type symlink` or `hardlink`). Writing into such a file would change the
cache under the hash of another content; replacing it leaves the cache alone.
"""

import errno
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gan3d.errors import FORBIDDEN, FULL, UserError

STALE_SECONDS = 3600.0  # age of a temporary file that no process writes any more


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary path with the same extension, moved to `path` when the block ends, removed if it fails.

    Missing parent folders are created. What was at `path` stays until then. A device such as /dev/stdout is written to.

    Raises:
        UserError: if the file cannot be written: a full disk, no permission, a folder in its place.
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    check_place(path)
    try:
        if _is_device(path):
            with tempfile.TemporaryDirectory() as scratch:
                yield Path(scratch) / path.name
                with (Path(scratch) / path.name).open("rb") as content, path.open("wb") as device:
                    shutil.copyfileobj(content, device)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Refuse, before any work, a file's path that is a folder or lies in a file.

    Raises:
        UserError: if it is refused.
    """
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder: name a file.")
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if not above.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not path.exists() and not os.access(above, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise write_error(path, error) from error


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder, moved to `path` in place of what was there when the block ends, removed if it fails.

    Raises:
        UserError: as `new_file`.
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    replaced = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file: name a folder.")
        temporary.mkdir(parents=True)
        _sweep(path)
        yield temporary
        if path.exists():
            path.rename(replaced)
        temporary.rename(path)
    except OSError as error:
        if replaced.exists() and not path.exists():
            replaced.rename(path)
        raise write_error(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8; see `new_file`."""
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file; see `new_file`."""
    with new_file(path) as temporary:
        temporary.write_bytes(content)


def copy_file(source: Path, path: Path) -> None:
    """Copy a file's content; see `new_file`."""
    with new_file(path) as temporary:
        shutil.copyfile(source, temporary)


def copy_folder(source: Path, folder: Path) -> None:
    """Copy the files of a folder, but not their permissions: those in DVC's cache are read-only."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            copy_file(path, folder / path.relative_to(source))


def remove_others(folder: Path, names: Iterable[str]) -> None:
    """Remove every file of a folder but these, such as those of an earlier run; what is linked stays.

    Raises:
        UserError: if one cannot be removed.
    """
    kept = set(names)
    for path in folder.iterdir():
        if path.name not in kept and (path.is_file() or path.is_symlink()):
            try:
                path.unlink()
            except OSError as error:
                raise write_error(path, error) from error


def write_error(path: Path, error: OSError) -> UserError:
    """One sentence for an error of the machine while writing `path`."""
    if error.errno in FULL:
        return UserError(f"{path} cannot be written because the disk is full: free some space and run this again.")
    if error.errno in FORBIDDEN:
        return UserError(
            f"{path} cannot be written: get permission to write into {path.parent}, or name another place."
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return UserError(f"{path} cannot be written because {path.parent} is not a folder: name another place.")
    if error.errno == errno.ENAMETOOLONG:
        return UserError(f"{path} cannot be written because its name is too long: choose a shorter one.")
    return UserError(f"{path} cannot be written ({error.strerror or error}): check the disk, or name another place.")


def _is_device(path: Path) -> bool:
    """Whether a path is no place for a new file: /dev/null, a pipe, a link to standard output."""
    return path.parent in (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd")) or (
        path.exists() and not path.is_file()
    )


def _sweep(path: Path) -> None:
    """Remove what killed processes have left beside a path."""
    for other in path.parent.iterdir():
        if re.fullmatch(r"\.[0-9a-f]{8}\." + re.escape(path.name), other.name):
            with suppress(OSError):
                if time.time() - other.lstat().st_mtime > STALE_SECONDS:
                    shutil.rmtree(other) if other.is_dir() else other.unlink()


def _flush(path: Path) -> None:
    """Onto the disk, so that a power cut leaves the old file or the new one."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
