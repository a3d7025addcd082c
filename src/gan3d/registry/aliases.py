"""List the registry, and promote or roll back its champion by hand, with a reason.

Imports MLflow but not Keras, so that listing is quick.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from gan3d.errors import UserError
from gan3d.tracking.store import connect, connect_read_only

CHAMPION = "champion"
OLD_NAME = "gan3d"
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


def versions(client: MlflowClient, model: str) -> list[ModelVersion]:
    """All versions of a registered model, newest first."""
    found = client.search_model_versions(f"name = '{model}'")
    return sorted(found, key=lambda version: int(version.version), reverse=True)


def champion(client: MlflowClient, model: str) -> int | None:
    """The champion's version number; None if there is no champion."""
    try:
        number = client.get_registered_model(model).aliases.get(CHAMPION)
    except MlflowException:
        return None
    return None if number is None else int(number)


def find_version(client: MlflowClient, wanted: str, model: str) -> tuple[str, int]:
    """The model and number of a version by any of its names: 3, champion, chairs/3, chairs@champion, models:/chairs/3.

    Args:
        model: the registered model that is meant where `wanted` names none.

    Raises:
        UserError: if there is no such version; lists the known ones.
    """
    named = re.fullmatch(r"(?:models:/)?([^/@:]+)[/@]([^/@:]+)", wanted)
    model, short = (named[1], named[2]) if named else (model, wanted.lstrip("@"))
    known = [int(version.version) for version in versions(client, model)]
    if short.isdigit() and int(short) in known:
        return model, int(short)
    aliases = client.get_registered_model(model).aliases if known else {}
    if short in aliases:
        return model, int(aliases[short])
    if not known:
        raise UserError(
            f"version {wanted} does not exist: no version of {model} is registered yet; register one first."
        )
    names = ", ".join([*(str(number) for number in sorted(known)), *sorted(aliases)])
    raise UserError(f"version {wanted} of {model} does not exist: choose one of {names}.")


def promote(client: MlflowClient, model: str, number: int, reason: str) -> Move:
    """Make a version champion, regardless of its score; both versions keep the reason in their tags.

    Raises:
        UserError: if it is the champion already.
    """
    old = champion(client, model)
    if old == number:
        raise UserError(f"version {number} is the champion already: name another one.")
    if old is not None:
        remember(client, model, old)
        note(client, model, old, BY_HAND, f"by version {number}: {reason}")
    note(client, model, number, "promoted", reason)
    client.set_registered_model_alias(model, CHAMPION, str(number))  # last, so that a killed command can be repeated
    return Move(old, number)


def rollback(client: MlflowClient, model: str, reason: str) -> Move:
    """Make the previous champion champion again; repeated, it goes further back.

    Raises:
        UserError: if no former champion is left.
    """
    current, known = champion(client, model), {int(version.version) for version in versions(client, model)}
    if current is None:
        raise UserError(f"{model} has no champion to roll back from: promote a version first.")
    past = former(client, model)
    while past and (past[-1] == current or past[-1] not in known):
        past.pop()
    if not past:
        raise UserError(f"version {current} has no former champion to roll back to: promote a version by its number.")
    back = past.pop()
    note(client, model, current, ROLLED_BACK, f"to version {back}: {reason}")
    note(client, model, back, "promoted", f"rolled back from version {current}: {reason}")
    client.set_registered_model_alias(model, CHAMPION, str(back))
    client.set_registered_model_tag(model, FORMER, json.dumps(past))
    return Move(current, back)


def remember(client: MlflowClient, model: str, number: int) -> None:
    """Add a version that is about to be replaced to the former champions."""
    past = [*former(client, model), number]
    client.set_registered_model_tag(model, FORMER, json.dumps(past[-MAX_FORMER:]))


def former(client: MlflowClient, model: str) -> list[int]:
    """Former champions' version numbers, the latest last."""
    return json.loads(client.get_registered_model(model).tags.get(FORMER, "[]"))


def note(client: MlflowClient, model: str, number: int, what: str, reason: str) -> None:
    """Tag a version with what became of it, and why."""
    client.set_model_version_tag(model, str(number), "promotion", what)
    client.set_model_version_tag(model, str(number), "promotion_reason", reason)


def adopt(client: MlflowClient, model: str) -> None:
    """Copy the champion that a model had under `gan3d`, as all models were called before 0.2, if it has none yet."""
    number = champion(client, OLD_NAME)
    if model == OLD_NAME or number is None or champion(client, model) is not None:
        return
    old = client.get_model_version(OLD_NAME, str(number))
    if old.tags.get("name") != model:
        return
    copies = [each for each in versions(client, model) if each.tags.get("content") == old.tags.get("content")]
    copy = copies[0] if copies else client.copy_model_version(f"models:/{OLD_NAME}/{number}", model)
    note(client, model, int(copy.version), "promoted", f"it was champion of {OLD_NAME}, as version {number}")
    client.set_registered_model_alias(model, CHAMPION, str(copy.version))
