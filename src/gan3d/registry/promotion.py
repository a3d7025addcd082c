"""Promote a candidate to champion: moves the alias if the candidate is better, and records the reason either way."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from gan3d.metrics.rows import Z_95
from gan3d.metrics.table import BY_KEY
from gan3d.registry.aliases import BY_HAND, CHAMPION, ROLLED_BACK, note, remember

EXCESS = BY_KEY["excess"]
ROUNDING = 1e-9  # 0.7 - 0.65 beats a margin of 0.05

Rescore = Callable[[int], float | None]


@dataclass(frozen=True)
class Decision:
    """Whether the alias moved, why, and the mean excesses over classes that were compared (None without a score)."""

    promoted: bool
    reason: str
    candidate: float | None
    champion: float | None


def promote(client: MlflowClient, model: str, candidate: int, margin: float, rescore: Rescore) -> Decision:
    """Make the candidate champion if its mean excess is lower than the present champion's by `margin`.

    The excess is that of 1-NNA-CD and of both tells above their floors (`gan3d.metrics.table`): how much more easily
    than real shapes generated ones are told.
    Both scores must come from the same test split and protocol; if the champion's tags name others, it is scored again.
    The rules, in order:

    - The candidate is the champion: nothing changes.
    - A person has rolled back the candidate, or replaced it by hand: nothing changes.
    - There is no champion: the candidate becomes champion, with or without a score.
    - The candidate has no score: the champion stays.
    - The champion has other classes or another resolution: it stays, since users of the alias would get other shapes
      than they expect; a person may move the alias by hand.
    - The champion cannot be scored on the present data, although it has the same classes and resolution: the candidate
      becomes champion, since a model that this code can no longer sample should not be served.
    - Otherwise the scores decide.

    Args:
        model: name of the registered model.
        candidate: number of its version, registered by `gan3d.registry.log.log_candidate`.
        margin: smallest difference by which the candidate's score must be lower.
        rescore: maps a version's number to its mean excess on the present test split, or None if it has none.

    Returns:
        The decision. Its reason is also in the tags `promotion` and `promotion_reason` of the candidate and of the
        champion that it replaces.
    """
    aliases = client.get_registered_model(model).aliases
    holder = int(aliases[CHAMPION]) if CHAMPION in aliases else None
    new = client.get_model_version(model, str(candidate))
    if holder == candidate:
        score = score_of(new)
        return Decision(False, f"version {candidate} is the champion already", score, score)
    if new.tags.get("promotion") in (BY_HAND, ROLLED_BACK):
        reason = f"it was {new.tags['promotion']} {new.tags.get('promotion_reason', '')}; promote it by hand"
        return Decision(False, reason, score_of(new), None)
    old = None if holder is None else client.get_model_version(model, str(holder))
    decision = decide(new, old, margin, rescore)
    now = client.get_registered_model(model).aliases.get(CHAMPION)
    if (None if now is None else int(now)) != holder:  # the alias moved while the champion was scored
        return promote(client, model, candidate, margin, rescore)
    note(client, model, candidate, "promoted" if decision.promoted else "not promoted", decision.reason)
    if decision.promoted:
        if holder is not None:
            note(client, model, holder, "replaced", f"by version {candidate}: {decision.reason}")
            remember(client, model, holder)
        # the alias moves last: a killed step decides again
        client.set_registered_model_alias(model, CHAMPION, str(candidate))
    return decision


def decide(new: ModelVersion, old: ModelVersion | None, margin: float, rescore: Rescore) -> Decision:
    """Apply the rules of `promote` to two different versions, without changing anything."""
    score = score_of(new)
    if old is None:
        known = (
            "without a score, since too few test shapes remain"
            if score is None
            else f"at an excess of {_text(new, score)}"
        )
        return Decision(True, f"the first champion, {known}", score, None)
    if score is None:
        return Decision(
            False, f"no score to compare, since too few test shapes remain; version {old.version} stays", None, None
        )
    for name, shown in (("resolution", "resolution {}³"), ("classes", "classes {}")):
        if new.tags.get(name) != old.tags.get(name):
            of_new, of_old = (shown.format(_readable(version.tags.get(name))) for version in (new, old))
            reason = (
                f"not comparable: {of_new} here, {of_old} in version {old.version}, which stays until moved by hand"
            )
            return Decision(False, reason, score, None)
    same = all(new.tags.get(name) == old.tags.get(name) for name in ("test_split", "protocol"))
    present = score_of(old) if same else rescore(int(old.version))
    rescored = "" if same else ", scored again on the present test split"
    if present is None:
        reason = f"excess {_text(new, score)}; version {old.version} cannot be scored on the present test split"
        return Decision(True, reason, score, None)
    gain = present - score
    promoted = gain > 0 and gain + ROUNDING >= margin
    beats = "beats" if promoted else "does not beat"
    reason = (
        f"excess {_text(new, score)} {beats} the {_text(old if same else None, present)} of version"
        f" {old.version}{rescored} by the margin of {margin:g}"
    )
    return Decision(promoted, reason, score, present)


def score_of(version: ModelVersion) -> float | None:
    """The mean excess over classes that a version was registered with."""
    value = version.tags.get(EXCESS.key)
    return None if value is None else float(value)


def _text(version: ModelVersion | None, score: float) -> str:
    """A score with half the width of its 95 % interval, where the version's tags have it."""
    error = None if version is None else version.tags.get(f"{EXCESS.key}_se")
    return EXCESS.text(score) + ("" if error is None else f" ± {EXCESS.text(Z_95 * float(error))}")


def _readable(value: str | None) -> str:
    """A tag for people: a list without brackets."""
    decoded = json.loads(value) if value else "unknown"
    return ", ".join(decoded) if isinstance(decoded, list) else str(decoded)
