"""Which study a command means: its stage, its name, and the database that holds it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from gan3d.addresses import mask
from gan3d.config.project import Project
from gan3d.config.schema import Params, Tune
from gan3d.errors import UserError
from gan3d.tuning.lock import StudyLock


@dataclass(frozen=True)
class StudySpec:
    """A study: a stage of a project with its parameters, the database's URL, and the study's name."""

    params: Params
    stage: str
    project: Project
    url: str
    name: str

    @property
    def tune(self) -> Tune:
        return self.params.tune

    @property
    def display_url(self) -> str:
        """The URL without user, password and query."""
        return mask(self.url)

    def lock(self) -> StudyLock:
        """The lock to hold while the study is created and while a trial starts."""
        return StudyLock(self.url, self.name, self.project.mlruns)

    def translate_database_errors(self) -> contextlib.AbstractContextManager[None]:
        """See the function of this name."""
        return translate_database_errors(self.url)


def study_spec(
    params: Params, stage: str, project: Project, storage: str | None = None, name: str | None = None
) -> StudySpec:
    """The study of a stage.

    Args:
        storage: overrides tune.storage.
        name: overrides `<model's name>-<stage>`.

    Raises:
        UserError: for a stage that does not exist or cannot be searched with this space.
    """
    stages = params.train.stages
    if stage not in stages:
        raise UserError(f"stage {stage!r} is not in train.stages: choose one of {', '.join(stages)}, or all.")
    if "width" in params.tune.space and len(stages[stage].widths) > 1:
        raise UserError(f"{stage} has several widths, which cannot be searched: remove width from tune.space.")
    return StudySpec(params, stage, project, database(params, project, storage), name or f"{params.name}-{stage}")


def database(params: Params, project: Project, storage: str | None = None) -> str:
    """URL of the database that holds the studies.

    Args:
        storage: overrides tune.storage; the path of an SQLite file is relative to the project.

    Raises:
        UserError: if it is not a URL, or if the database's driver is missing.
    """
    given = storage or params.tune.storage or f"sqlite:///{project.mlruns / 'optuna.db'}"
    try:
        url = make_url(given)
        if url.drivername in ("postgresql", "postgres"):  # whose default driver depends on SQLAlchemy's version
            url = url.set(drivername="postgresql+psycopg")
        url.get_dialect().import_dbapi()
    except SQLAlchemyError:
        raise UserError(f"storage {given!r} is not a database URL: use one such as sqlite:///studies.db.") from None
    except ImportError as error:
        raise UserError(
            f"storage {url!r} needs the driver {error.name}: install gan3d[postgres], or the driver."
        ) from None
    if url.get_backend_name() == "sqlite" and url.database:  # workers start in other folders
        url = url.set(database=str(project.work / url.database))
    return url.render_as_string(hide_password=False)


@contextlib.contextmanager
def translate_database_errors(url: str) -> Iterator[None]:
    """Translate the errors of a database that cannot be reached into a UserError.

    Raises:
        UserError: if the database cannot be reached.
    """
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
        why = mask(" ".join(str(getattr(cause, "orig", None) or cause or error).split()).rstrip(". "), url)
        raise UserError(
            f"the studies in {mask(url)} cannot be reached ({why}): check tune.storage; the same command continues."
        ) from error
