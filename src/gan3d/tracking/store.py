"""The MLflow store: SQLite and artifacts in mlruns/, unless MLFLOW_TRACKING_URI names another one."""

import contextlib
import functools
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import sqlalchemy
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage
from mlflow.exceptions import RESOURCE_DOES_NOT_EXIST, ErrorCode, MlflowException
from mlflow.store.db import utils as mlflow_db
from mlflow.store.db.base_sql_model import Base
from sqlalchemy.pool import StaticPool

from gan3d.addresses import mask
from gan3d.errors import UserError
from gan3d.tracking import database
from gan3d.tracking.address import URI_VARIABLE, check_address, check_addresses
from gan3d.tracking.limits import bounded, limit_requests

EXPERIMENT = "gan3d"
RUN_VARIABLE = "MLFLOW_RUN_ID"
CREATION_SECONDS = 120.0  # on a busy machine; 3 s on an idle one
NAME_VARIABLE, ID_VARIABLE = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"

# MLflow stores what is set here in environment variables, where it would look like the user's choice
_set_here: dict[str, set[str]] = {URI_VARIABLE: set(), ID_VARIABLE: set()}
_parent: list[str] = []  # the caller's run
_experiments: dict[tuple[str, str | None, str | None], str] = {}  # ids by store and what the user set


def connect(mlruns: Path) -> MlflowClient:
    """Connect MLflow to the project's store and experiment within seconds; create them if they are missing.

    Args:
        mlruns: folder of the store; ignored if MLFLOW_TRACKING_URI is set.

    Raises:
        UserError: if the store does not answer or cannot be used, or the experiment was deleted.
    """
    parent_run()
    uri = store_uri(mlruns)
    with bounded(uri):
        client, experiment = _connect(mlruns, uri)
        mlflow.set_tracking_uri(uri)
        _set_here[ID_VARIABLE].add(experiment)
        with _without(NAME_VARIABLE):
            mlflow.set_experiment(experiment_id=experiment)
    return client


def _connect(mlruns: Path, uri: str) -> tuple[MlflowClient, str]:
    """The client, and the id of the experiment."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    check_addresses()
    local, path = _given(URI_VARIABLE) is None, database.path_of(uri)
    with contextlib.nullcontext() if path is None else _lock(path.parent):
        if local:
            _set_here[URI_VARIABLE].add(uri)
        if path is not None:
            database.ensure(path, SCHEMA)
        client = MlflowClient(uri)
        experiment = _experiment(client, (mlruns / "artifacts").as_uri() if local else None, mask(uri))
    _experiments[uri, _given(NAME_VARIABLE), _given(ID_VARIABLE)] = experiment.experiment_id
    return client, experiment.experiment_id


class LazyClient:
    """An `MlflowClient` that connects on first use, so that only the thread that delivers waits for the store."""

    def __init__(self, mlruns: Path):
        self._mlruns = mlruns
        self._client: MlflowClient | None = None
        self._tried = threading.Event()

    def __getattr__(self, name: str) -> Any:
        if self._client is None:
            limit_requests()
            try:
                self._client, _ = _connect(self._mlruns, store_uri(self._mlruns))
            finally:
                self._tried.set()
        return getattr(self._client, name)

    def wait_for_creation(self) -> None:
        """Wait while a new project's store is created, once, which is work and no fault."""
        path = database.path_of(store_uri(self._mlruns))
        if path is not None and not path.exists():
            self._tried.wait(CREATION_SECONDS)


def connect_later(mlruns: Path) -> LazyClient:
    """The client of a run whose calls go through an outbox; see `connect`.

    Raises:
        UserError: from the first use, as `connect`.
    """
    parent_run()
    return LazyClient(mlruns)


def store_uri(mlruns: Path) -> str:
    """The address of the project's store.

    Raises:
        UserError: if MLFLOW_TRACKING_URI is no address of a store.
    """
    given = _given(URI_VARIABLE)
    if given is None:
        return database.url_of(mlruns / "mlflow.db")
    check_address(given)
    return given


def parent_run() -> str | None:
    """The run that the caller is in, as `mlflow run` sets it: parent of ours.

    Otherwise MLflow would log each stage into that one run.
    """
    if given := os.environ.pop(RUN_VARIABLE, ""):
        _parent[:] = [given]
    return _parent[0] if _parent else None


def experiment_name() -> str:
    """The name of the project's experiment, or of the caller's."""
    return _given(NAME_VARIABLE) or EXPERIMENT


def experiment_id(client: MlflowClient) -> str:
    """The id of the project's experiment, or of the caller's."""
    key = client.tracking_uri, _given(NAME_VARIABLE), _given(ID_VARIABLE)
    if key not in _experiments:
        _experiments[key] = _experiment(client, None, "the store").experiment_id
    return _experiments[key]


def _experiment(client: MlflowClient, artifacts: str | None, place: str) -> Experiment:
    """The experiment, created if it is missing."""
    name, number = _given(NAME_VARIABLE), _given(ID_VARIABLE)
    if number is not None:
        found = _by_id(client, number)
        if found is None:
            raise UserError(f"{ID_VARIABLE}={number} is no experiment of {place}: unset it, or set that of one there.")
        if name is not None and found.name != name:
            raise UserError(
                f"{ID_VARIABLE}={number} is the experiment {found.name}, but {NAME_VARIABLE} is {name}: unset one."
            )
    else:
        name = experiment_name()
        found = client.get_experiment_by_name(name)
        if found is None:
            with contextlib.suppress(MlflowException):  # another process was faster
                client.create_experiment(name, artifact_location=artifacts)
            found = client.get_experiment_by_name(name)
    if found is None:
        raise UserError(f"the experiment {name} cannot be created: get permission to write the MLflow store {place}.")
    if found.lifecycle_stage != LifecycleStage.ACTIVE:
        raise UserError(
            f"the experiment {found.name} was deleted in MLflow: restore it with `mlflow experiments restore"
            f" --experiment-id {found.experiment_id}`, {URI_VARIABLE}={place}."
        )
    return found


def _by_id(client: MlflowClient, number: str) -> Experiment | None:
    try:
        return client.get_experiment(number)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return None
        raise


def _given(variable: str) -> str | None:
    """What the user has set."""
    value = os.environ.get(variable)
    return value if value and value not in _set_here.get(variable, ()) else None


def connect_read_only(mlruns: Path) -> MlflowClient:
    """Connect MLflow to the store in a folder that may not be written, to read it: nothing is created or locked."""
    limit_requests()
    uri = database.url_of(mlruns / "mlflow.db")
    _set_here[URI_VARIABLE].add(uri)
    mlflow.set_tracking_uri(uri)
    return MlflowClient()


@contextlib.contextmanager
def _without(variable: str) -> Any:
    """Hide a variable that MLflow would compare with the one it sets."""
    value = os.environ.pop(variable, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[variable] = value


def _lock(folder: Path) -> Any:
    """Against processes that create or migrate the database at the same time; none where nothing can be written."""
    with contextlib.suppress(PermissionError):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        return contextlib.nullcontext()
    (folder / ".lock").touch()  # where no file can be made, FileLock would wait forever
    return FileLock(folder / ".lock")


def _create(url: str) -> None:
    """Create MLflow's tables in memory, where its 70 migrations take a third of the time, and write them at once."""
    limit_requests()  # quiet, too
    memory = sqlalchemy.create_engine("sqlite://", poolclass=StaticPool)
    mlflow_db._initialize_tables(memory)
    target = sqlalchemy.create_engine(url)
    with contextlib.closing(memory.raw_connection()) as source, contextlib.closing(target.raw_connection()) as file:
        source.driver_connection.backup(file.driver_connection)  # type: ignore[union-attr]
    memory.dispose()
    target.dispose()


def _migrate(url: str) -> None:
    limit_requests()
    engine = sqlalchemy.create_engine(url)
    try:
        mlflow_db._upgrade_db(engine)
    finally:
        engine.dispose()


@functools.cache
def _newest() -> str:
    return mlflow_db._get_latest_schema_revision()  # loads 70 migrations


def _known() -> set[str]:
    scripts = mlflow_db.ScriptDirectory.from_config(mlflow_db._get_alembic_config(""))
    return {script.revision for script in scripts.walk_revisions()}


def _columns() -> Mapping[str, set[str]]:
    return {name: {column.name for column in table.columns} for name, table in Base.metadata.tables.items()}


SCHEMA = database.Schema(
    "MLflow",
    _create,
    _migrate,
    _newest,
    _known,
    _columns,
    ("runs", "registered_models", "logged_models"),
)
