"""The one exception that means: the user can fix this; and sentences for errors of the machine."""

import errno
import os
import re
from collections.abc import Iterator, Sequence

from gan3d.addresses import mask


class UserError(Exception):
    """One sentence, on one line, that names the file or the key and says what to do; secrets in addresses are masked.

    The command line prints it without a traceback; anything else that is raised is a defect of ours, or an error of the
    machine.
    """

    def __init__(self, sentence: object = ""):
        super().__init__(_on_one_line(mask(str(sentence))))


def _on_one_line(text: str) -> str:
    """A text in which control characters and undecodable bytes, as a file's name may hold, are written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def short_list(names: Sequence[str], count: int = 8) -> str:
    """The first names of a long list, printable, for a message."""
    shown = [name if name.isprintable() and len(name) <= 80 else ascii(name)[:80] for name in names[:count]]
    return ", ".join(shown) + (f" and {len(names) - count:,} more" if len(names) > count else "")


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
OPEN_FILES = (errno.EMFILE, errno.ENFILE)
DATABASE = "the database (in mlruns/, or where MLFLOW_TRACKING_URI or tune.storage says)"
FULL_DISK = "the disk is full: free some space and run this again."

# part of a database's message -> what it means and what to do
_DATABASES = {
    r"database is locked|database table is locked": f"{DATABASE} is locked by another process: run this again when it"
    " has ended.",
    r"database or disk is full|disk I/O error|No space left|Disk quota": f"{DATABASE} cannot be written, probably since"
    f" {FULL_DISK}",
    r"readonly database|read-only": f"{DATABASE} cannot be written: get permission to write its file and folder.",
    r"unable to open database file": f"{DATABASE} cannot be opened: check that its folder exists and may be written.",
    r"malformed|file is not a database|file is encrypted": f"{DATABASE} is damaged: restore its file from a backup, or"
    " move it away to start a new one.",
    r"duplicate column name|no such (table|column)|already exists|Can't locate revision|out-of-date": f"{DATABASE} has"
    " an incomplete schema, or that of another version: move its file away to start a new one, or upgrade it with"
    " `mlflow db upgrade`.",
    r"could not connect|Connection refused|could not translate host|server closed the connection|timeout expired": (
        f"{DATABASE} does not answer: start its server, or check the address."
    ),
}
_DATABASE_PACKAGES = ("sqlite3", "sqlalchemy", "psycopg", "psycopg2", "mlflow", "optuna", "alembic")


def explain(error: BaseException) -> str | None:
    """One sentence for an error of the machine (disk, permission, memory, database, network); None for any other."""
    for cause in _chain(error):
        if isinstance(cause, OSError) and (sentence := _of_system(cause)):
            return sentence
        if isinstance(cause, MemoryError) or "RESOURCE_EXHAUSTED" in str(cause) or _named(cause, "ResourceExhausted"):
            return (
                "the memory is full: end other programs, or lower the batch, the resolution or the number of workers."
            )
        if type(cause).__module__.split(".")[0] in _DATABASE_PACKAGES:
            for pattern, sentence in _DATABASES.items():
                if re.search(pattern, str(cause)):
                    return sentence
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what caused it, the innermost first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return reversed(found)


def _named(error: BaseException, part: str) -> bool:
    return any(part in base.__name__ for base in type(error).__mro__)


def _of_system(error: OSError) -> str | None:
    """A sentence by error number, with the path where the system names one."""
    path = error.filename if isinstance(error.filename, (str, os.PathLike)) else None
    path = os.fspath(path) if path is not None else None
    if error.errno in FULL:
        return f"{path} cannot be written because {FULL_DISK}" if path else FULL_DISK
    if error.errno == errno.EROFS:
        return f"{path or 'the disk'} is on a file system that is read-only: name another place, or mount it writable."
    if error.errno in FORBIDDEN:
        return f"{path or 'a file'} cannot be used: get permission to read and write it and its folder."
    if error.errno in OPEN_FILES:
        return "too many files are open: raise the limit with `ulimit -n 4096` and run this again."
    if error.errno == errno.ENOMEM:
        return "the memory is full: end other programs, or lower the number of workers."
    if error.errno == errno.EIO:
        return f"{path or 'a file'} cannot be read or written since the disk reports an error: check the disk."
    if error.errno == errno.ENOTDIR and path:
        return f"{path} does not exist because a part of it is not a folder: name another place."
    if error.errno == errno.ENAMETOOLONG and path:
        return f"{path[:80]}… is too long a name: choose a shorter one."
    if error.errno == errno.ELOOP and path:
        return f"{path} is a symbolic link to itself: remove it."
    if error.errno == errno.ESTALE:
        return f"{path or 'a file'} was removed on its server meanwhile: run this again."
    if error.errno == errno.ENOENT and path:
        return f"{path} is missing: restore it, with `dvc checkout` if it belongs to the pipeline."
    if error.errno == errno.EEXIST and path:
        return f"{path} is a file where a folder is needed: move it away, or name another place."
    if error.errno == errno.EISDIR and path:
        return f"{path} is a folder where a file is needed: name a file."
    if isinstance(error, (ConnectionError, TimeoutError)) and not isinstance(error, BrokenPipeError):
        return f"a server does not answer ({error.strerror or error}): check the address and the network."
    if path and error.strerror:
        return f"{path} cannot be used ({error.strerror}): check it, or name another place."
    return None
