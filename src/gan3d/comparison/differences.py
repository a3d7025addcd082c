"""Which parameters differ, and which scores differ by more than chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gan3d.comparison.subject import Subject
from gan3d.metrics.rows import MEAN, Z_95
from gan3d.metrics.table import SCORES, Score

ABSENT = "–"


@dataclass(frozen=True)
class Difference:
    """A score of another subject minus that of the first.

    Attributes:
        value: the difference.
        half: half the width of its 95 % interval; None if a score has no standard error.
        better: whether the other subject is the better one; None if neither is.
    """

    value: float
    half: float | None
    better: bool | None

    @property
    def more_than_chance(self) -> bool:
        """Whether 0 is outside of the interval."""
        return self.half is not None and abs(self.value) > self.half


def difference(score: Score, first: Mapping[str, Any], other: Mapping[str, Any]) -> Difference | None:
    """The difference of a score between two rows of generated shapes; None if one lacks the score.

    Both sets are scored against the same test shapes, so their errors are positively correlated: the interval, which
    adds variances as if they were independent, is rather too wide than too narrow.
    """
    a, b = first.get(score.key), other.get(score.key)
    if a is None or b is None:
        return None
    errors = [row.get(f"{score.key}_se") for row in (first, other)]
    half = None if None in errors else Z_95 * math.hypot(*errors)  # type: ignore[arg-type]
    losses = [_loss(score, row) for row in (first, other)]
    better = None if None in losses or losses[0] == losses[1] else losses[1] < losses[0]  # type: ignore[operator]
    return Difference(b - a, half, better)


def _loss(score: Score, row: Mapping[str, Any]) -> float | None:
    """Lower is better; of a score that should match the real shapes, how far it is from them."""
    value = row[score.key]
    if score.better != "match the real shapes":
        return score.loss(value)
    real = row.get(str(score.reference))
    return None if real is None else abs(value - real)


def differing_params(subjects: Sequence[Subject]) -> list[list[str]]:
    """Rows of a name and each subject's value, of parameters that are known of all and differ."""
    known = [subject for subject in subjects if subject.params]
    if len(known) < 2:
        return []
    names = [name for name in known[0].params if all(name in subject.params for subject in known)]
    return [
        [name, *(subject.params.get(name) or ABSENT for subject in subjects)]
        for name in names
        if len({_canonical(subject.params[name]) for subject in known}) > 1
    ]


def _canonical(text: str) -> str:
    """Equal values as equal text: MLflow keeps tuples and None as Python writes them."""
    try:
        return repr(float(text))
    except ValueError:
        return "" if text == "None" else text.replace("(", "[").replace(")", "]")


def incomparable(subjects: Sequence[Subject]) -> str | None:
    """Why the scores cannot be compared, as a sentence; None if they can."""
    scored = [subject for subject in subjects if subject.scores]
    if len({subject.resolution for subject in scored}) > 1:
        sizes = ", ".join(f"{subject.name} has {subject.resolution}³" for subject in scored)
        return f"The scores cannot be compared, since the resolutions differ: {sizes}."
    classes = [{scores.name for scores in subject.scores} for subject in scored]
    if any(each != classes[0] for each in classes):
        return "The scores cannot be compared, since the classes differ."
    if any(_differ(_floors(scored[0]), _floors(subject)) for subject in scored[1:]):
        return "The scores cannot be compared: they come from different test shapes, or from other numbers of shapes."
    return None


def _floors(subject: Subject) -> list[float | None]:
    """1-NNA-CD and MMD-CD of the real shapes: equal for equal shapes, numbers of shapes and draws."""
    return [scores.floor.get(key) for scores in subject.scores for key in ("one_nna_cd", "mmd_cd_x1e3")]


def _differ(one: list[float | None], two: list[float | None]) -> bool:
    pairs = zip(one, two, strict=True)
    return any(not math.isclose(a, b, rel_tol=1e-4) for a, b in pairs if a is not None and b is not None)


def verdicts(subjects: Sequence[Subject]) -> list[str]:
    """One sentence for each subject after the first: which scores differ from the first's by more than chance."""
    first = subjects[0]
    if not first.scores or incomparable(subjects):
        return []
    sentences = []
    for other in subjects[1:]:
        if not other.scores:
            continue
        found = {score: difference(score, _mean(first), _mean(other)) for score in SCORES}
        clear = {score: d for score, d in found.items() if d and d.more_than_chance and d.better is not None}
        parts = [
            f"{'better' if d.better else 'worse'} in {score.heading} ({d.value:+.{score.digits}f} ±"
            f" {score.text(d.half)})"
            for score, d in clear.items()
        ]
        if parts:
            sentences.append(f"{other.name} is {', '.join(parts)} than {first.name}.")
        elif not any(d and d.half is not None for d in found.values()):
            sentences.append(f"{other.name} or {first.name} has no intervals: what is chance cannot be told.")
        else:
            sentences.append(f"No score tells {other.name} from {first.name}: all differences are within chance.")
    return sentences


def _mean(subject: Subject) -> Mapping[str, Any]:
    return next(scores.generated for scores in subject.scores if scores.name == MEAN)
