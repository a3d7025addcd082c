"""Which study a command means: its stage, its name, and the database that holds it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from gan3d.config.project import Project
from gan3d.config.schema import Params, Tune
from gan3d.errors import UserError
from gan3d.tuning.lock import StudyLock


@dataclass(frozen=True)
class StudySpec:
    """Which study: a stage with its parameters in a project, a storage and a name."""

    params: Params
    stage: str
    project: Project
    url: str
    name: str

    @property
    def tune(self) -> Tune:
        return self.params.tune

    @property
    def shown(self) -> str:
        """The storage without its password."""
        return make_url(self.url).render_as_string(hide_password=True)

    def turn(self) -> StudyLock:
        """Taken while the study is made and while a trial is begun."""
        return StudyLock(self.url, self.name, self.project.mlruns)

    def reached(self) -> contextlib.AbstractContextManager[None]:
        """Within it, a database that does not answer is an error of the user's."""
        return reached(self.url)


def study_spec(
    params: Params, stage: str, project: Project, storage: str | None = None, name: str | None = None
) -> StudySpec:
    """The study of a stage.

    Args:
        storage: instead of tune.storage.
        name: instead of the model's name and the stage.

    Raises:
        UserError: for a stage that does not exist or that cannot be searched as params.yaml says.
    """
    stages = params.train.stages
    if stage not in stages:
        raise UserError(f"stage {stage!r} is not in train.stages: choose one of {', '.join(stages)}, or all.")
    if "width" in params.tune.space and len(stages[stage].widths) > 1:
        raise UserError(f"{stage} has several widths, which cannot be searched: take width out of tune.space.")
    return StudySpec(params, stage, project, database(params, project, storage), name or f"{params.name}-{stage}")


def database(params: Params, project: Project, storage: str | None = None) -> str:
    """URL of the database that holds the studies.

    Args:
        storage: instead of tune.storage; the path of an SQLite file is relative to the project.

    Raises:
        UserError: when it is no URL, or when the database's driver is missing.
    """
    url = storage or params.tune.storage or f"sqlite:///{project.mlruns / 'optuna.db'}"
    try:
        made = make_url(url)
        if made.drivername in ("postgresql", "postgres"):  # whose default driver depends on SQLAlchemy's version
            made = made.set(drivername="postgresql+psycopg")
        made.get_dialect().import_dbapi()
    except SQLAlchemyError:
        raise UserError(f"storage {url!r} is no database URL: use one such as sqlite:///studies.db.") from None
    except ImportError as error:
        raise UserError(f"storage {made!r} needs the driver {error.name}: install gan3d[postgres], or it.") from None
    if made.get_backend_name() == "sqlite" and made.database:  # workers begin in other folders
        made = made.set(database=str(project.work / made.database))
    return made.render_as_string(hide_password=False)


@contextlib.contextmanager
def reached(url: str) -> Iterator[None]:
    """Within it, a database that does not answer is an error of the user's.

    Raises:
        UserError: when it does not answer.
    """
    shown = make_url(url).render_as_string(hide_password=True)
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
        why = " ".join(str(getattr(cause, "orig", None) or cause or error).split()).rstrip(". ")
        raise UserError(
            f"the studies in {shown} cannot be reached ({why}): check tune.storage; the same command continues."
        ) from error
