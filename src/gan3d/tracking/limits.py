"""How long anything waits for MLflow: seconds, whatever is wrong with it."""

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator
from typing import Any

import requests
import sqlalchemy
from mlflow import MlflowException
from mlflow.store.db import utils as mlflow_db
from PIL import UnidentifiedImageError
from requests.adapters import HTTPAdapter
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from gan3d.addresses import mask
from gan3d.errors import UserError

SECONDS_VARIABLE = "GAN3D_TRACKER_SECONDS"  # raises the limit for a slow server
DEFAULT_SECONDS = 10.0  # that a command waits for MLflow in all
REQUEST = {  # MLflow's own limits, unless the user set them: it waits 120 s for an answer, and asks 8 times
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.2",
    "PGCONNECT_TIMEOUT": "3",  # PostgreSQL's own library would wait for ever
}
DATABASE_ATTEMPTS = 3  # at a connection: MLflow makes 15, in an hour
PROMPT = 1.0  # seconds; an answer within them counts as no wait
ATTEMPTS = 8  # at one request: of connections that drop 30 %, one in 15,000 requests fails
TRANSIENT = (408, 401, 403, 429)  # HTTP errors below 500 that may pass


def limit_requests() -> None:
    """Give MLflow's requests limits of seconds, and keep its tracebacks out of the log."""
    for name, value in REQUEST.items():
        os.environ.setdefault(name, value)
    mlflow_db.MAX_RETRY_COUNT = DATABASE_ATTEMPTS
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def seconds() -> float:
    """How long a command waits for MLflow in all.

    Raises:
        UserError: if the variable is no number.
    """
    try:
        return float(os.environ.get(SECONDS_VARIABLE) or DEFAULT_SECONDS)
    except ValueError:
        raise UserError(f"{SECONDS_VARIABLE} is not a number of seconds: set it to one, or unset it.") from None


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
        return status >= 500 or status in TRANSIENT
    hopeless = isinstance(error, FileNotFoundError | UnidentifiedImageError)  # an entry's file is lost or damaged
    return isinstance(error, OSError | OperationalError | UserError) and not hopeless


def reason(error: BaseException) -> str:
    """Why MLflow failed, in a few words."""
    text = " ".join(str(error).split())
    for pattern, words in (
        ("Connection refused", "connection refused"),
        ("database is locked", "its database is locked by another process"),
        (r"timed? ?out|no time is left", "no answer in time"),
        ("Remote end closed|Connection aborted|Connection reset|Connection broken", "it drops connections"),
        (r"Failed to resolve|Name or service not known|name resolution", "no such host"),
        (r"too many (\d+) error", r"error \1"),
    ):
        found = re.search(pattern, text, re.I)
        if found:
            return found.expand(words) if "\\" in words else words
    found = re.search(r"error code (\d{3}) != 200", text)
    return f"error {found[1]}" if found else mask(text)[:160].rstrip(". ")


class _Budget:
    """What is left of the time to wait."""

    def __init__(self, limit: float):
        self.left = limit

    def spend(self, elapsed: float) -> None:
        if elapsed > PROMPT:
            self.left -= elapsed


@contextlib.contextmanager
def bounded(place: str) -> Iterator[None]:
    """For a command that needs MLflow's answers: all its calls together wait `seconds`, then it fails.

    Time in which the command or the server works is free: only answers that take more than a second count.

    Args:
        place: of the store, for the error.

    Raises:
        UserError: in place of what MLflow raises when it cannot be reached.
    """
    if HTTPAdapter.send.__name__ == "send_in_time":  # within another block, whose limit holds
        yield
        return
    limit_requests()
    limit = seconds()
    budget, send = _Budget(limit), HTTPAdapter.send

    def send_in_time(self: HTTPAdapter, *args: Any, **kwargs: Any) -> requests.Response:
        for attempt in range(1, ATTEMPTS + 1):
            if budget.left <= 0:
                raise requests.exceptions.Timeout("no time is left")
            if kwargs.get("timeout") is not None:
                kwargs["timeout"] = max(0.1, min(budget.left, max(kwargs["timeout"], limit / 2)))
            start = time.monotonic()
            try:
                answer = send(self, *args, **kwargs)
            except (requests.exceptions.ConnectionError, requests.exceptions.Timeout, requests.exceptions.RetryError):
                budget.left -= time.monotonic() - start
                if attempt == ATTEMPTS:
                    raise
            else:
                budget.spend(time.monotonic() - start)
                return answer
            time.sleep(0.05 * (attempt - 1))
        raise AssertionError

    def before(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> Any:
        if statement.startswith("PRAGMA busy_timeout"):  # MLflow waits 20 s for each lock
            statement = f"PRAGMA busy_timeout = {int(1000 * max(0.1, budget.left))};"
        connection.info["gan3d.start"] = time.monotonic()
        return statement, parameters

    def after(connection: Any, *rest: Any) -> None:
        start = connection.info.pop("gan3d.start", None)
        if start is not None:  # a statement of another thread may be older than this block
            budget.spend(time.monotonic() - start)

    retries = os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"  # `send_in_time` repeats instead
    HTTPAdapter.send = send_in_time  # type: ignore[method-assign]  # MLflow has no limit for all requests together
    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", before, retval=True)
    sqlalchemy.event.listen(sqlalchemy.Engine, "after_cursor_execute", after)
    try:
        yield
    except (MlflowException, requests.exceptions.RequestException, SQLAlchemyError) as error:
        if not is_transient(error):
            raise
        raise unreachable(place, error, limit) from error
    finally:
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = retries
        HTTPAdapter.send = send  # type: ignore[method-assign]
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", before)
        sqlalchemy.event.remove(sqlalchemy.Engine, "after_cursor_execute", after)


def unreachable(place: str, error: BaseException, limit: float) -> UserError:
    """One sentence for a store that does not answer."""
    why = reason(error)
    more = f" (for a slow server, raise {SECONDS_VARIABLE}, now {limit:g})" if "in time" in why else ""
    return UserError(
        f"the MLflow store {mask(place)} cannot be reached ({why}): see to it{more}, then repeat the command, which"
        " continues."
    )
