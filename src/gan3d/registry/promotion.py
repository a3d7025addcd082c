"""Who is champion: a step of its own, which moves an alias and writes down why, either way."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from gan3d.registry.aliases import BY_HAND, CHAMPION, ROLLED_BACK, note, remember
from gan3d.tracking.store import MODEL

IDEAL = 0.5  # of 1-NNA-CD; a value below comes from chance or copying and is no better, so it counts as 0.5
ROUNDING = 1e-9  # 0.7 - 0.65 beats a margin of 0.05

Rescoring = Callable[[int], float | None]


@dataclass(frozen=True)
class Decision:
    """Whether the alias moved, why, and the mean 1-NNA-CD over classes that were compared (None: no score)."""

    promoted: bool
    reason: str
    candidate: float | None
    champion: float | None


def promote(client: MlflowClient, candidate: int, margin: float, rescoring: Rescoring) -> Decision:
    """Make the candidate champion when its mean 1-NNA-CD beats the present champion's by `margin`.

    Both count on the same test split, drawn by the same protocol; where the champion's tags name another one, it is
    scored anew. The rules, in order:

    - The candidate is the champion: nothing changes.
    - A person has rolled the candidate back, or has put another version in its place: nothing changes.
    - There is no champion: the candidate becomes it, with or without a score.
    - The candidate has no score: the champion stays.
    - The champion draws other classes or another resolution: it stays, since those who load the alias would suddenly
      get other shapes than they ask for; a person may move it by hand.
    - The champion cannot be scored on today's data though it draws the same kind of shapes: the candidate becomes
      champion, since a model that this code cannot sample any more cannot be trusted to serve.
    - Otherwise the scores decide.

    Args:
        candidate: number of a version of `gan3d`, registered by `gan3d.registry.log.log_candidate`.
        margin: by how much the candidate's score must be lower, at least.
        rescoring: a version's number to its mean 1-NNA-CD on today's test split, None when that is impossible.

    Returns:
        What was decided. The reason is also in the tags `promotion` and `promotion_reason` of the candidate, and of
        the champion that it replaces.
    """
    aliases = client.get_registered_model(MODEL).aliases
    holder = int(aliases[CHAMPION]) if CHAMPION in aliases else None
    new = client.get_model_version(MODEL, str(candidate))
    if holder == candidate:
        score = score_of(new)
        return Decision(False, f"version {candidate} is the champion already", score, score)
    if new.tags.get("promotion") in (BY_HAND, ROLLED_BACK):
        reason = f"it was {new.tags['promotion']} {new.tags.get('promotion_reason', '')}; promote it by hand"
        return Decision(False, reason, score_of(new), None)
    old = None if holder is None else client.get_model_version(MODEL, str(holder))
    decision = decide(new, old, margin, rescoring)
    now = client.get_registered_model(MODEL).aliases.get(CHAMPION)
    if (None if now is None else int(now)) != holder:  # moved while an old champion was scored
        return promote(client, candidate, margin, rescoring)
    note(client, candidate, "promoted" if decision.promoted else "not promoted", decision.reason)
    if decision.promoted:
        if holder is not None:
            note(client, holder, "replaced", f"by version {candidate}: {decision.reason}")
            remember(client, holder)
        # the alias comes last: a step that was killed decides anew
        client.set_registered_model_alias(MODEL, CHAMPION, str(candidate))
    return decision


def decide(new: ModelVersion, old: ModelVersion | None, margin: float, rescoring: Rescoring) -> Decision:
    """The rules of `promote` for two different versions; changes nothing."""
    score = score_of(new)
    if old is None:
        known = "without a score, since too few test shapes remain" if score is None else f"at 1-NNA-CD {score:.3f}"
        return Decision(True, f"the first champion, {known}", score, None)
    if score is None:
        return Decision(
            False, f"no score to compare, since too few test shapes remain; version {old.version} stays", None, None
        )
    for name, shown in (("resolution", "resolution {}³"), ("classes", "classes {}")):
        if new.tags.get(name) != old.tags.get(name):
            own, other = (shown.format(_plain(version.tags.get(name))) for version in (new, old))
            reason = f"not comparable: {own} here, {other} in version {old.version}, which stays until moved by hand"
            return Decision(False, reason, score, None)
    same = all(new.tags.get(name) == old.tags.get(name) for name in ("test_split", "protocol"))
    present = score_of(old) if same else rescoring(int(old.version))
    anew = "" if same else ", scored anew on today's test split"
    if present is None:
        reason = f"1-NNA-CD {score:.3f}; version {old.version} cannot be scored on today's test split"
        return Decision(True, reason, score, None)
    gain = max(present, IDEAL) - max(score, IDEAL)
    promoted = gain > 0 and gain + ROUNDING >= margin
    reason = (
        f"1-NNA-CD {score:.3f} {'beats' if promoted else 'does not beat'} the {present:.3f} of version {old.version}"
        f"{anew} by the margin of {margin:g}"
    )
    return Decision(promoted, reason, score, present)


def score_of(version: ModelVersion) -> float | None:
    """The mean 1-NNA-CD over classes that a version was registered with."""
    value = version.tags.get("one_nna_cd")
    return None if value is None else float(value)


def _plain(value: str | None) -> str:
    """A tag for people: a list without its brackets."""
    found = json.loads(value) if value else "unknown"
    return ", ".join(found) if isinstance(found, list) else str(found)
