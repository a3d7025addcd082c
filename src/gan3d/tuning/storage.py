"""The SQLite database of the studies: created whole, migrated from a copy; see `gan3d.tracking.database`."""

from collections.abc import Mapping

from filelock import FileLock
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import BaseModel

from gan3d.tracking import database


def ensure_database(url: str) -> None:
    """Create or migrate the database of a URL, if it is a file of SQLite.

    Raises:
        UserError: if it cannot be used as it is; says what to do.
    """
    path = database.path_of(url)
    if path is None:
        return
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        database.ensure(path, SCHEMA)


def _create(url: str) -> None:
    _close(RDBStorage(url))


def _migrate(url: str) -> None:
    storage = RDBStorage(url, skip_compatibility_check=True)
    try:
        storage.upgrade()
    finally:
        _close(storage)


def _newest() -> str:
    return RDBStorage("sqlite://").get_head_version()


def _known() -> set[str]:
    return set(RDBStorage("sqlite://").get_all_versions())


def _columns() -> Mapping[str, set[str]]:
    return {name: {column.name for column in table.columns} for name, table in BaseModel.metadata.tables.items()}


def _close(storage: RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()


SCHEMA = database.Schema("Optuna", _create, _migrate, _newest, _known, _columns, ("studies", "trials"))
