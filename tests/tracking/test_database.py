"""The first second of a store's life: after a killed process, the next command goes on or names the remedy."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from importlib import import_module

import pytest

from gan3d.errors import UserError
from gan3d.tracking import database, store
from gan3d.tuning import storage

SCHEMAS = {"MLflow": store.SCHEMA, "Optuna": storage.SCHEMA}
FILL = {
    "MLflow": "INSERT INTO runs (run_uuid, lifecycle_stage) VALUES ('a', 'active')",
    "Optuna": "INSERT INTO studies (study_name) VALUES ('a')",
}
CREATE = """
import sys
from pathlib import Path
from gan3d.tracking import database, store
from gan3d.tuning import storage
print("begin", flush=True)
database.ensure(Path(sys.argv[1]), {"MLflow": store.SCHEMA, "Optuna": storage.SCHEMA}[sys.argv[2]])
"""
OLD_WAY = """
import sys
from gan3d.tracking import database, store
from mlflow.store.db import utils
print("begin", flush=True)
utils._initialize_tables(utils.create_sqlalchemy_engine(database.url_of(sys.argv[1])))
"""


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A whole database of each library."""
    made = {}
    for name, schema in SCHEMAS.items():
        made[name] = tmp_path_factory.mktemp("whole") / f"{name}.db"
        database.ensure(made[name], schema)
    return made


@pytest.fixture(params=SCHEMAS)
def name(request):
    return request.param


@pytest.fixture
def path(whole, name, tmp_path):
    """A copy of it."""
    copy = tmp_path / "a store.db"
    copy.write_bytes(whole[name].read_bytes())
    return copy


@pytest.fixture
def schema(whole, name):
    """Creates by copying, since MLflow takes seconds."""
    made = whole[name]
    return replace(SCHEMAS[name], create=lambda url: shutil.copy(made, url.removeprefix("sqlite:///")))


def sql(path, *statements):
    with closing(sqlite3.connect(path)) as base, base:
        return [base.execute(statement).fetchall() for statement in statements][-1]


def others(path):
    return sorted(found.name for found in path.parent.iterdir() if found != path)


def is_whole(path, name):
    (found,) = sql(path, "SELECT version_num FROM alembic_version")
    return found[0] == SCHEMAS[name].newest() and database._complete(path, SCHEMAS[name])


def test_a_whole_database_stays_as_it_is(path, name, schema):
    before = path.read_bytes()
    database.ensure(path, schema)
    assert path.read_bytes() == before
    assert others(path) == []


@pytest.mark.parametrize("left", ["nothing", "an empty file", "journals", "an unfinished copy"])
def test_what_holds_nothing_is_created(tmp_path, name, schema, left):
    path = tmp_path / "store.db"
    if left == "an empty file":
        path.touch()
    if left == "journals":
        path.with_name("store.db-journal").write_bytes(b"of a deleted database")
    if left == "an unfinished copy":
        path.with_name(".store.db.new").write_bytes(b"half")
    database.ensure(path, schema)
    assert is_whole(path, name)
    assert others(path) == []


def test_an_older_schema_is_migrated_after_a_copy_was_put_aside(path, name, schema, capsys):
    sql(path, FILL[name])
    database._copy(path, path.with_name("older.db"))
    older = path.with_name("older.db")
    known = [*SCHEMAS[name].known() - {SCHEMAS[name].newest()}]
    revision = sorted(known)[0]
    sql(older, f"UPDATE alembic_version SET version_num = '{revision}'")  # the tables are ahead
    database.ensure(older, SCHEMAS[name])
    assert is_whole(older, name)
    backup = older.with_name(f"older.db.backup-{revision}")
    assert sql(backup, "SELECT version_num FROM alembic_version") == [(revision,)]
    assert capsys.readouterr().err.count("\n") == 1


def test_a_real_migration(path, name, schema, capsys):
    """From the revision before the newest, whose change is undone by hand for MLflow."""
    if name == "Optuna":
        pytest.skip("its last change of a column is older than any store of this project")
    sql(path, FILL[name])
    engine = store.sqlalchemy.create_engine(database.url_of(path))
    with engine.begin() as connection:
        config = store.mlflow_db._get_alembic_config(database.url_of(path))
        config.attributes["connection"] = connection
        try:
            import_module("alembic.command").downgrade(config, "-1")
        except Exception:
            pytest.skip("the last migration has no way back")
    engine.dispose()
    (before,) = sql(path, "SELECT version_num FROM alembic_version")
    database.ensure(path, schema)
    assert is_whole(path, name)
    assert sql(path, "SELECT count(*) FROM runs") == [(1,)]
    assert path.with_name(f"{path.name}.backup-{before[0]}").is_file()


HALF = {  # the table of the revision is empty, or behind the tables
    "MLflow": ("DROP TABLE registered_models", "ALTER TABLE model_versions DROP COLUMN run_link"),
    "Optuna": ("DROP TABLE trial_values", "ALTER TABLE trial_heartbeats DROP COLUMN heartbeat"),
}


@pytest.mark.parametrize("revision", [None, "older"])
@pytest.mark.parametrize("damage", [0, 1])
def test_a_half_made_database_without_content_is_replaced(path, name, schema, revision, damage, capsys):
    sql(path, HALF[name][damage])
    sql(
        path,
        "DELETE FROM alembic_version"
        if revision is None
        else f"UPDATE alembic_version SET version_num = '{older(name)}'",
    )
    database.ensure(path, schema)
    assert is_whole(path, name)
    assert others(path) == [f"{path.name}.unfinished"]
    assert "held nothing" in capsys.readouterr().err


@pytest.mark.parametrize("revision", [None, "older"])
def test_a_half_made_database_with_content_is_named_with_its_remedy_and_kept(path, name, schema, revision):
    sql(path, FILL[name], HALF[name][0])
    sql(
        path,
        "DELETE FROM alembic_version"
        if revision is None
        else f"UPDATE alembic_version SET version_num = '{older(name)}'",
    )
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"move it aside with `mv .*a store.db .*a store.db.broken`; the next command"):
        database.ensure(path, schema)
    assert path.read_bytes() == before
    assert others(path) == []


def older(name):
    """The first revision."""
    if name == "Optuna":
        return "v0.9.0.a"
    return "451aebb31d03"


def test_a_newer_or_damaged_database_is_told_in_one_sentence(path, name, schema):
    sql(path, "UPDATE alembic_version SET version_num = 'of the future'")
    with pytest.raises(UserError, match=f"written by a newer {name}"):
        database.ensure(path, schema)
    path.write_bytes(b"not a database, " * 1000)
    with pytest.raises(UserError, match=r"file is not a database.*move it aside"):
        database.ensure(path, schema)


def test_a_locked_database_is_told_in_seconds(path, name, schema, monkeypatch):
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.3)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError, match="is locked by another process"):
            database.ensure(path, schema)
    database.ensure(path, schema)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.full)])
def test_a_creation_that_is_killed_leaves_nothing_or_a_whole_database(tmp_path, name, kills):
    path, chance = tmp_path / "store.db", random.Random(kills)
    for _ in range(kills):
        process = subprocess.Popen([sys.executable, "-c", CREATE, path, name], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(chance.uniform(0, 4 if name == "MLflow" else 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if path.exists():
            assert is_whole(path, name)
            path.unlink()
    database.ensure(path, SCHEMAS[name])
    assert is_whole(path, name)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.2, 0.5, 1.0, 2.0])
def test_what_an_older_version_left_half_made_is_replaced(tmp_path, delay):
    path = tmp_path / "mlflow.db"
    process = subprocess.Popen(
        [sys.executable, "-c", OLD_WAY, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ)
    )
    process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    database.ensure(path, store.SCHEMA)
    assert is_whole(path, "MLflow")
