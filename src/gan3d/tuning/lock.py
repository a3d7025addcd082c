"""A lock that all workers of a study share, on whichever machine they run."""

import hashlib
from pathlib import Path
from types import TracebackType

from filelock import FileLock
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool


class StudyLock:
    """Held while a study is created and while a trial starts; released when its process dies.

    On PostgreSQL it is an advisory lock of the database, since machines may share nothing else. Otherwise it is a file
    beside the SQLite database, or in `folder`.

    Raises:
        SQLAlchemyError: from `acquire`, if the database cannot be reached.
    """

    def __init__(self, url: str, study: str, folder: Path):
        parsed = make_url(url)
        self.connection: Connection | None = None
        self.file: FileLock | None = None
        self.key = int.from_bytes(hashlib.sha256(study.encode()).digest()[:8], signed=True)
        if parsed.get_backend_name() == "postgresql":
            self.engine = create_engine(url, poolclass=NullPool)
            return
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            folder = Path(parsed.database).resolve().parent
        folder.mkdir(parents=True, exist_ok=True)
        self.file = FileLock(folder / f".tune-{study}.lock")

    def acquire(self) -> None:
        """Wait until the lock is free, and take it."""
        if self.file is not None:
            self.file.acquire()
            return
        self.connection = self.engine.connect()
        self.connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": self.key})

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self.file is not None:
            self.file.release(force=True)
        elif self.connection is not None:
            connection, self.connection = self.connection, None
            connection.close()  # an advisory lock ends with its connection

    def __enter__(self) -> "StudyLock":
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
