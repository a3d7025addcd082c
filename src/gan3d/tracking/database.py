"""SQLite databases of MLflow and Optuna: created beside their place and moved there whole, migrated from a copy.

Both libraries create their tables over seconds, in steps. A process that dies in between would leave a database that
neither creation nor migration can finish.
"""

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from gan3d.errors import UserError

LOCK_SECONDS = 5.0  # to wait for another process that writes


@dataclass(frozen=True)
class Schema:
    """What a library knows about its tables.

    Attributes:
        library: its name.
        create: creates all tables in the database of a URL.
        migrate: brings an older database to the newest revision.
        newest: the newest revision.
        known: all revisions.
        columns: the columns of each table at the newest revision.
        content: tables that hold what people would miss.
    """

    library: str
    create: Callable[[str], None]
    migrate: Callable[[str], None]
    newest: Callable[[], str]
    known: Callable[[], set[str]]
    columns: Callable[[], Mapping[str, set[str]]]
    content: tuple[str, ...]


def ensure(path: Path, schema: Schema) -> None:
    """Make sure that `path` is a whole database of the newest revision; the caller holds a lock.

    Raises:
        UserError: if it is damaged, half-made with content, of a newer library, or locked.
    """
    _remove(_beside(path))  # of a process that died
    try:
        revision, tables = _inspect(path)
        if not tables:
            _create(path, schema)
        elif revision is None:
            if not _complete(path, schema):
                _replace_unfinished(path, schema, "it is only half created")
        elif revision != schema.newest():
            _migrate(path, schema, revision)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise UserError(f"{path} is locked by another process: wait for it, or end it.") from error
        raise UserError(f"{path} cannot be opened ({error}): check its folder's permissions and the disk.") from error
    except sqlite3.DatabaseError as error:
        raise _broken(path, str(error)) from error


def url_of(path: Path) -> str:
    """A database's URL for SQLAlchemy."""
    return f"sqlite:///{path}"


def path_of(url: str) -> Path | None:
    """The file of a database; None if it is none of SQLite's."""
    if not url.startswith("sqlite"):
        return None
    name = make_url(url).database
    return Path(name) if name and name != ":memory:" else None


def _inspect(path: Path) -> tuple[str | None, set[str]]:
    """Revision and tables; the revision is None before the first migration ended."""
    if not path.exists() or path.stat().st_size == 0:
        return None, set()
    with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" not in tables:
            return None, tables
        found = database.execute("SELECT version_num FROM alembic_version").fetchone()
    return (found[0] if found else None), tables


def _complete(path: Path, schema: Schema) -> bool:
    """Whether all columns of the newest revision are there, whatever the revision says."""
    with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as database:
        return all(
            columns <= {row[1] for row in database.execute(f'PRAGMA table_xinfo("{table}")')}
            for table, columns in schema.columns().items()
        )


def _create(path: Path, schema: Schema) -> None:
    made = _beside(path)
    try:
        schema.create(url_of(made))
        _remove(path)  # an empty file, and journals of a deleted database, which SQLite would apply to this one
        _move(made, path)
    finally:
        _remove(made)


def _migrate(path: Path, schema: Schema, revision: str) -> None:
    """Migrate a copy, and put it in place only if that succeeds; the old database stays as a backup."""
    if revision not in schema.known():
        raise UserError(
            f"{path} was written by a newer {schema.library} (revision {revision}): install that version, or move the"
            f" file aside with `mv {path} {path}.newer`; the next command creates a new one."
        )
    made, backup = _beside(path), path.with_name(f"{path.name}.backup-{revision}")
    try:
        _copy(path, made)
        try:
            schema.migrate(url_of(made))
        except Exception:  # the tables are ahead of the revision, as after a killed migration
            if not _complete(path, schema):
                _remove(made)
                _replace_unfinished(path, schema, f"its migration from revision {revision} fails")
                return
            _copy(path, made)
            with closing(sqlite3.connect(made)) as database, database:
                database.execute("UPDATE alembic_version SET version_num = ?", (schema.newest(),))
        if not backup.exists():
            _copy(path, _beside(backup))
            _move(_beside(backup), backup)
        _move(made, path)
    finally:
        _remove(made)
        _remove(_beside(backup))
    _say(f"{path} had an older schema of {schema.library} and was upgraded; the old file is {backup.name}.")


def _replace_unfinished(path: Path, schema: Schema, why: str) -> None:
    """Create anew what a killed process left half-made, unless something would be lost."""
    with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if any(database.execute(f'SELECT 1 FROM "{name}"').fetchone() for name in tables & set(schema.content)):
            raise _broken(path, why)
    aside = _free_name(path, "unfinished")
    path.replace(aside)
    _create(path, schema)
    _say(f"{path} was left unfinished by a killed process and held nothing: it is now {aside.name}.")


def _broken(path: Path, why: str) -> UserError:
    return UserError(
        f"{path} cannot be used ({why}), as after a process was killed while it changed the tables: move it aside with"
        f" `mv {path} {path}.broken`; the next command creates a new one."
    )


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _free_name(path: Path, word: str) -> Path:
    names = [path.with_name(f"{path.name}.{word}")]
    while names[-1].exists():
        names.append(path.with_name(f"{path.name}.{word}-{len(names)}"))
    return names[-1]


def _copy(path: Path, target: Path) -> None:
    """A consistent copy, also while others write."""
    _remove(target)
    with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    shutil.copymode(path, target)


def _move(made: Path, path: Path) -> None:
    """Onto the disk, then into its place: after a power cut, the file is there whole or not at all."""
    descriptor = os.open(made, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    made.replace(path)


def _remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-journal", f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr)
