"""The registry as it stands, and moving its champion by hand, and back again, with the reason written down.

Needs MLflow alone, so that a look at the list does not wait for Keras.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from gan3d.errors import UserError
from gan3d.tracking.store import MODEL, connect

CHAMPION = "champion"
FORMER = "former_champions"  # tag of the registered model: numbers of versions, the last one last
REMEMBERED = 100
BY_HAND, ROLLED_BACK = "replaced by hand", "rolled back"  # what a person has decided of a version


def open_registry(mlruns: Path, wanted: str) -> MlflowClient:
    """The store that holds the registry, which is not made when it is missing.

    Raises:
        UserError: when there is none; the sentence says that `wanted` is not known.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (mlruns / "mlflow.db").is_file():
        raise UserError(f"{wanted} is not known: {mlruns} holds no registry yet, so register a model first.")
    return connect(mlruns)


@dataclass(frozen=True)
class Move:
    """The champion before (None: there was none) and after."""

    old: int | None
    new: int


def versions(client: MlflowClient) -> list[ModelVersion]:
    """All versions, the newest first."""
    found = client.search_model_versions(f"name = '{MODEL}'")
    return sorted(found, key=lambda version: int(version.version), reverse=True)


def champion(client: MlflowClient) -> int | None:
    """The number of the champion; None where there is none."""
    try:
        number = client.get_registered_model(MODEL).aliases.get(CHAMPION)
    except MlflowException:
        return None
    return None if number is None else int(number)


def number_of(client: MlflowClient, wanted: str) -> int:
    """A version's number for what a person writes: 3, champion, @champion, gan3d/3, models:/gan3d@champion.

    Raises:
        UserError: when there is no such version; the sentence says which there are.
    """
    short = wanted.removeprefix("models:/").removeprefix(MODEL).lstrip("/@")
    known = [int(version.version) for version in versions(client)]
    if short.isdigit() and int(short) in known:
        return int(short)
    aliases = client.get_registered_model(MODEL).aliases if known else {}
    if short in aliases:
        return int(aliases[short])
    if not known:
        raise UserError(f"version {wanted} does not exist, since no version is registered yet: run `gan3d register`.")
    names = ", ".join([*(str(number) for number in sorted(known)), *sorted(aliases)])
    raise UserError(f"version {wanted} does not exist: choose one of {names}.")


def promote(client: MlflowClient, number: int, reason: str) -> Move:
    """Make a version champion, whatever its score.

    The reason is in the tags `promotion` and `promotion_reason` of both versions.

    Raises:
        UserError: when it is champion already.
    """
    old = champion(client)
    if old == number:
        raise UserError(f"version {number} is the champion already: name another one.")
    if old is not None:
        remember(client, old)
        note(client, old, BY_HAND, f"by version {number}: {reason}")
    note(client, number, "promoted", reason)
    client.set_registered_model_alias(MODEL, CHAMPION, str(number))  # last: a command that was killed is given again
    return Move(old, number)


def rollback(client: MlflowClient, reason: str) -> Move:
    """Make the version champion that was it before; given again, it goes one further back.

    Raises:
        UserError: when no former champion is left.
    """
    present, known = champion(client), {int(version.version) for version in versions(client)}
    if present is None:
        raise UserError(f"{MODEL} has no champion to roll back from: promote a version first.")
    past = former(client)
    while past and (past[-1] == present or past[-1] not in known):
        past.pop()
    if not past:
        raise UserError(f"version {present} has no former champion to roll back to: promote a version by its number.")
    back = past.pop()
    note(client, present, ROLLED_BACK, f"to version {back}: {reason}")
    note(client, back, "promoted", f"rolled back from version {present}: {reason}")
    client.set_registered_model_alias(MODEL, CHAMPION, str(back))
    client.set_registered_model_tag(MODEL, FORMER, json.dumps(past))
    return Move(present, back)


def remember(client: MlflowClient, number: int) -> None:
    """Put the version that is about to be replaced on top of the former champions."""
    past = [*former(client), number]
    client.set_registered_model_tag(MODEL, FORMER, json.dumps(past[-REMEMBERED:]))


def former(client: MlflowClient) -> list[int]:
    """Champions before the present one, the last one last."""
    return json.loads(client.get_registered_model(MODEL).tags.get(FORMER, "[]"))


def note(client: MlflowClient, number: int, what: str, reason: str) -> None:
    """Write down what became of a version, and why."""
    client.set_model_version_tag(MODEL, str(number), "promotion", what)
    client.set_model_version_tag(MODEL, str(number), "promotion_reason", reason)
