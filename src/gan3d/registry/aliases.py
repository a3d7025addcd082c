"""List the registry, and promote or roll back its champion by hand, with a reason.

Imports MLflow but not Keras, so that listing is quick.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from gan3d.errors import UserError
from gan3d.tracking.store import MODEL, connect, connect_read_only

CHAMPION = "champion"
FORMER = "former_champions"  # tag of the registered model: version numbers, the latest last
MAX_FORMER = 100
BY_HAND, ROLLED_BACK = "replaced by hand", "rolled back"  # what a person decided about a version


def open_registry(mlruns: Path, wanted: str) -> MlflowClient:
    """Connect to the store that holds the registry, without creating it.

    Raises:
        UserError: if there is no store, and so no version `wanted`.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (mlruns / "mlflow.db").is_file():
        raise UserError(f"{wanted} is not known: {mlruns} holds no registry yet; register a model first.")
    if not os.environ.get("MLFLOW_TRACKING_URI") and not os.access(mlruns, os.W_OK):
        return connect_read_only(mlruns)
    return connect(mlruns)


@dataclass(frozen=True)
class Move:
    """The champion's version before (None: there was none) and after."""

    old: int | None
    new: int


def versions(client: MlflowClient) -> list[ModelVersion]:
    """All versions, newest first."""
    found = client.search_model_versions(f"name = '{MODEL}'")
    return sorted(found, key=lambda version: int(version.version), reverse=True)


def champion(client: MlflowClient) -> int | None:
    """The champion's version number; None if there is no champion."""
    try:
        number = client.get_registered_model(MODEL).aliases.get(CHAMPION)
    except MlflowException:
        return None
    return None if number is None else int(number)


def number_of(client: MlflowClient, wanted: str) -> int:
    """The number of a version by any of its names: 3, champion, @champion, gan3d/3, models:/gan3d@champion.

    Raises:
        UserError: if there is no such version; lists the known ones.
    """
    short = wanted.removeprefix("models:/").removeprefix(MODEL).lstrip("/@")
    known = [int(version.version) for version in versions(client)]
    if short.isdigit() and int(short) in known:
        return int(short)
    aliases = client.get_registered_model(MODEL).aliases if known else {}
    if short in aliases:
        return int(aliases[short])
    if not known:
        raise UserError(f"version {wanted} does not exist: no version is registered yet; run `gan3d register`.")
    names = ", ".join([*(str(number) for number in sorted(known)), *sorted(aliases)])
    raise UserError(f"version {wanted} does not exist: choose one of {names}.")


def promote(client: MlflowClient, number: int, reason: str) -> Move:
    """Make a version champion, regardless of its score; both versions keep the reason in their tags.

    Raises:
        UserError: if it is the champion already.
    """
    old = champion(client)
    if old == number:
        raise UserError(f"version {number} is the champion already: name another one.")
    if old is not None:
        remember(client, old)
        note(client, old, BY_HAND, f"by version {number}: {reason}")
    note(client, number, "promoted", reason)
    client.set_registered_model_alias(MODEL, CHAMPION, str(number))  # last, so that a killed command can be repeated
    return Move(old, number)


def rollback(client: MlflowClient, reason: str) -> Move:
    """Make the previous champion champion again; repeated, it goes further back.

    Raises:
        UserError: if no former champion is left.
    """
    current, known = champion(client), {int(version.version) for version in versions(client)}
    if current is None:
        raise UserError(f"{MODEL} has no champion to roll back from: promote a version first.")
    past = former(client)
    while past and (past[-1] == current or past[-1] not in known):
        past.pop()
    if not past:
        raise UserError(f"version {current} has no former champion to roll back to: promote a version by its number.")
    back = past.pop()
    note(client, current, ROLLED_BACK, f"to version {back}: {reason}")
    note(client, back, "promoted", f"rolled back from version {current}: {reason}")
    client.set_registered_model_alias(MODEL, CHAMPION, str(back))
    client.set_registered_model_tag(MODEL, FORMER, json.dumps(past))
    return Move(current, back)


def remember(client: MlflowClient, number: int) -> None:
    """Add a version that is about to be replaced to the former champions."""
    past = [*former(client), number]
    client.set_registered_model_tag(MODEL, FORMER, json.dumps(past[-MAX_FORMER:]))


def former(client: MlflowClient) -> list[int]:
    """Former champions' version numbers, the latest last."""
    return json.loads(client.get_registered_model(MODEL).tags.get(FORMER, "[]"))


def note(client: MlflowClient, number: int, what: str, reason: str) -> None:
    """Tag a version with what became of it, and why."""
    client.set_model_version_tag(MODEL, str(number), "promotion", what)
    client.set_model_version_tag(MODEL, str(number), "promotion_reason", reason)
