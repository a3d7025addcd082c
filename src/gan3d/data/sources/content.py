"""What a local source holds, as one hash: files that did not change since the last time are not read again."""

import hashlib
import json
import os
import stat
from contextlib import suppress
from pathlib import Path

from gan3d.errors import UserError
from gan3d.outputs import write_text

Known = dict[str, list]  # path -> size, time of the last change in ns, inode, hash


def hash_source(path: Path, cache: Path) -> str:
    """Hash the names and contents of a file or folder, hidden files excepted.

    Args:
        path: the source.
        cache: folder for the hashes of single files; one file per source.

    Raises:
        UserError: if the source does not exist or cannot be read.
    """
    name = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    place = cache / "hashes" / f"{name}.json"
    before = _read(place)
    now: Known = {}
    digest = hashlib.blake2b(digest_size=16)
    try:
        for name, file in _files(path):
            digest.update(
                f"{name}\0{_hash_file(file, before.get(name), name, now)}\n".encode("utf-8", "surrogateescape")
            )
    except OSError as error:
        raise UserError(
            f"the data source {path} cannot be read ({error.strerror or error}): set data.source in params.yaml to"
            " `synthetic`, or to a path that you can read."
        ) from error
    if now != before:
        with suppress(UserError):  # without it, only time is lost
            write_text(place, json.dumps(now))
    return digest.hexdigest()


def _files(path: Path) -> list[tuple[str, Path]]:
    """All files by relative name, in order; a file by its own name."""
    if not path.is_dir():
        path.stat()
        return [(path.name, path)]
    found: list[tuple[str, Path]] = []
    for folder, folders, names in os.walk(path, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = [Path(folder, name) for name in names if not name.startswith(".")]
        found += [(file.relative_to(path).as_posix(), file) for file in files]
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def _hash_file(path: Path, known: list | None, name: str, now: Known) -> str:
    """The hash of a file's content, from the last time if size, time and inode are the same."""
    try:
        status = path.stat()
    except OSError as error:  # a link to itself or to nothing: prepare rejects it, with its reason
        return f"error {error.errno}"
    if not stat.S_ISREG(status.st_mode):
        return "no file"
    mark = [status.st_size, status.st_mtime_ns, status.st_ino]
    if known is None or known[:-1] != mark:
        with path.open("rb") as stream:
            known = [*mark, hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()]
    now[name] = known
    return str(known[3])


def _read(place: Path) -> Known:
    try:
        known = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
