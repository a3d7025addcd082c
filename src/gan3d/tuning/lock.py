"""Whose turn it is: a lock that all workers of a study share, wherever they run."""

import hashlib
from pathlib import Path
from types import TracebackType

from filelock import FileLock
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool


class StudyLock:
    """Taken while a study is made and while a trial is begun; a process that dies gives it back.

    On PostgreSQL it is an advisory lock of the database, which machines that share nothing else have in common. Else it
    is a file: beside an SQLite database, or in `folder`.

    Raises:
        SQLAlchemyError: from `acquire`, when the database does not answer.
    """

    def __init__(self, url: str, study: str, folder: Path):
        made = make_url(url)
        self.connection: Connection | None = None
        self.file: FileLock | None = None
        self.key = int.from_bytes(hashlib.sha256(study.encode()).digest()[:8], signed=True)
        if made.get_backend_name() == "postgresql":
            self.engine = create_engine(url, poolclass=NullPool)
            return
        if made.get_backend_name() == "sqlite" and made.database:
            folder = Path(made.database).resolve().parent
        folder.mkdir(parents=True, exist_ok=True)
        self.file = FileLock(folder / f".tune-{study}.lock")

    def acquire(self) -> None:
        """Wait until nobody else has it."""
        if self.file is not None:
            self.file.acquire()
            return
        self.connection = self.engine.connect()
        self.connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": self.key})

    def release(self) -> None:
        """Give it back; nothing happens when it was given back already."""
        if self.file is not None:
            self.file.release(force=True)
        elif self.connection is not None:
            connection, self.connection = self.connection, None
            connection.close()  # the lock ends with its connection

    def __enter__(self) -> "StudyLock":
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
