"""Outputs are new files that are moved into place: never truncated, never written through a link.

DVC may link outputs into its cache (`cache.type symlink` or `hardlink`). Writing into such a file would change the
cache under the hash of another content; replacing it leaves the cache alone.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gan3d.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary path with the same extension, moved to `path` when the block ends, removed if it fails.

    Missing parent folders are created. What was at `path` stays until then.

    Raises:
        UserError: if the file cannot be written: a full disk, no permission, a folder in its place.
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder: name a file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


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


def _flush(path: Path) -> None:
    """Onto the disk, so that a power cut leaves the old file or the new one."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
