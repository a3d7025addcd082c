"""The one protocol by which a generator is scored on a prepared data set, class by class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.metrics import chamfer
from gan3d.metrics.chamfer import Prepared
from gan3d.metrics.intervals import PairedSets, meeting_scores, standard_errors
from gan3d.metrics.reference import reference_rows
from gan3d.metrics.scores import MINIMUM, NOVELTY_SCORES, NUMBERS, average, floor_draws, novelty_scores, too_few

EXCESS = "one_nna_cd_excess"
MEAN = "mean"  # the class of the rows that average over classes

Sampler = Callable[[int, int, int], np.ndarray]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Assessment:
    """All that the protocol finds of one class.

    Attributes:
        rows: the generated shapes' and the floor's, as `evaluate` describes them.
        generated, reference: the first draw's generated shapes and the real ones, booleans (n, R, R, R), none empty.
        neighbours: of the first draw's shapes, the rows of the data set with the closest training shapes; None where
            there are too few shapes for novelty.
        measures: by name ("novelty", "largest_piece", "occupancy"), the values of all draws' shapes and of the real
            ones; novelty only where there is any.
    """

    rows: tuple[dict[str, Any], dict[str, Any]]
    generated: np.ndarray
    reference: np.ndarray
    neighbours: np.ndarray | None
    measures: dict[str, tuple[np.ndarray, np.ndarray]]

    @property
    def name(self) -> str:
        """The class."""
        return self.rows[0]["class"]


def evaluate(
    sample: Sampler,
    dataset: VoxelDataset,
    resolution: int,
    count: int = 100,
    draws: int = 3,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Score a generator against the test shapes of each class, beside real training shapes against the same.

    Args:
        sample: (class index, count, seed) to booleans (count, R, R, R).
        dataset: a prepared data set with this resolution.
        count: shapes in each set, at most; as many are generated as there are test shapes, up to `count`.
        draws: how often shapes are generated (seeds `seed`, `seed + 1`, …) and training shapes are drawn.
        progress: called with (parts done, parts in all).

    Returns:
        Two flat rows a class, `kind` "generated" and "floor": the mean over draws of each score, its standard deviation
        over draws `<score>_std`, and its standard error `<score>_se` (see `gan3d.metrics.intervals`). The generated
        shapes' row also has `one_nna_cd_excess` over the floor, with its `_se`. Empty shapes are left out of both sets
        and counted: `empty_generated` is their number in all draws. The reference of a draw with empties is cut to the
        same number. A score is None, and `note` says why, where too few shapes remain in every draw.

    Raises:
        UserError: when the data set was not prepared at this resolution.
    """
    found = assess(sample, dataset, resolution, count, draws, seed, progress)
    return [row for assessment in found for row in assessment.rows]


def assess(
    sample: Sampler,
    dataset: VoxelDataset,
    resolution: int,
    count: int = 100,
    draws: int = 3,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Assessment]:
    """What `evaluate` does, with the shapes themselves, class by class."""
    result: list[Assessment] = []
    total = len(dataset.classes) * (draws + 1)
    for index, name in enumerate(dataset.classes):
        reference = _occupied(dataset.voxels(resolution, reference_rows(dataset, name, count)))
        train_rows = dataset.select("train", name)
        train = dataset.voxels(resolution, train_rows)
        train_rows, train = train_rows[train.any((1, 2, 3))], _occupied(train)
        done = index * (draws + 1)

        def report(part: int, before: int = done) -> None:
            if progress is not None:
                progress(before + part, total)

        prepared = chamfer.prepare(reference)
        generated, meetings, neighbours = _generated(sample, index, prepared, train, draws, seed, report)
        least, floor_meetings = _floor(train, prepared, draws, seed)
        _add_errors(generated, least, meetings, floor_meetings)
        head = {"class": name, "resolution": resolution, "draws": draws, "seed": seed}
        rows = {"kind": "generated"} | head | generated, {"kind": "floor"} | head | least
        closest = None if neighbours is None else train_rows[neighbours]
        first = meetings[0].generated.voxels
        result.append(Assessment(rows, first, reference, closest, _measures(meetings, prepared)))
        report(draws + 1)
    return result


def _generated(
    sample: Sampler, index: int, reference: Prepared, train: np.ndarray, draws: int, seed: int, report: Callable
) -> tuple[dict[str, Any], list[PairedSets], np.ndarray | None]:
    """Mean over draws of generated shapes against the reference, what met, and what is closest to the first draw's."""
    count = len(reference)
    enough = too_few(count, count) is None and len(train) >= MINIMUM
    real = chamfer.closest(reference, train) if enough else np.zeros(count)
    results, meetings, neighbours = [], [], None
    for draw in range(draws):
        voxels = _occupied(np.asarray(sample(index, count, seed + draw), bool)) if count else reference.voxels
        shapes = chamfer.prepare(voxels)
        meeting = PairedSets(shapes, reference if len(shapes) == count else reference.first(len(shapes)))
        part = meeting_scores(meeting)
        if enough and "note" not in part:
            distances, closest = chamfer.nearest(shapes, train)
            part |= novelty_scores(distances, real)
            meeting = replace(meeting, novelty=(distances, real))
            neighbours = closest if draw == 0 else neighbours
        else:
            part |= dict.fromkeys(NOVELTY_SCORES)
        part["empty_generated"] = count - len(shapes)
        results.append(part)
        meetings.append(meeting)
        report(draw + 1)
    merged = average(results)
    if "note" not in merged and not enough:
        merged["note"] = f"no novelty: {len(train)} training shapes remain, and it takes {MINIMUM}"
    return merged, meetings, neighbours


def _measures(meetings: list[PairedSets], reference: Prepared) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = {
        "largest_piece": (np.concatenate([m.generated.pieces for m in meetings]), reference.pieces),
        "occupancy": (np.concatenate([m.generated.shares for m in meetings]), reference.shares),
    }
    novel = [meeting.novelty for meeting in meetings if meeting.novelty is not None]
    if novel:
        found["novelty"] = np.concatenate([own for own, _ in novel]), novel[0][1]
    return found


def _floor(train: np.ndarray, reference: Prepared, draws: int, seed: int) -> tuple[dict[str, Any], list[PairedSets]]:
    """`gan3d.metrics.scores.floor`, and what met."""
    met = reference.first(len(train)) if len(train) < len(reference) else reference
    chosen = floor_draws(len(train), len(met), draws, seed)
    meetings = [PairedSets(chamfer.prepare(train[rows]), met) for rows in chosen]
    return average([meeting_scores(meeting) for meeting in meetings]), meetings


def _add_errors(
    generated: dict[str, Any], least: dict[str, Any], meetings: list[PairedSets], floor_meetings: list[PairedSets]
) -> None:
    """Put standard errors and the excess over the floor into both rows; None where there is no score."""
    own, other, excess = standard_errors(_scored(meetings), _scored(floor_meetings))
    for row, errors in ((generated, own), (least, other)):
        row |= {f"{name}_se": errors.get(name) for name in NUMBERS if name in row}
    generated["one_nna_cd_excess"] = None if excess is None else generated["one_nna_cd"] - least["one_nna_cd"]
    generated["one_nna_cd_excess_se"] = excess


def _scored(meetings: list[PairedSets]) -> list[PairedSets]:
    return [met for met in meetings if too_few(len(met.generated), len(met.reference)) is None]


def _occupied(voxels: np.ndarray) -> np.ndarray:
    return voxels[voxels.any((1, 2, 3))]


def mean_over_classes(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a kind with the mean of each score over its classes, `class` "mean".

    The standard deviation and error of the mean take the classes as independent. A score that any class lacks is None,
    and `note` names the classes, like those in which draws are left out.
    """
    result = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        chosen = [row for row in rows if row["kind"] == kind and row["class"] != MEAN]
        merged = {name: chosen[0][name] for name in ("kind", "class", "resolution", "draws", "seed")} | {"class": MEAN}
        for name in ("generated", "reference", "empty_generated"):
            merged[name] = sum(row[name] for row in chosen)
        for name in (name for name in (*NUMBERS, EXCESS) if all(name in row for row in chosen)):
            merged[name] = _mean([row[name] for row in chosen])
            for error in (f"{name}_std", f"{name}_se"):
                if all(error in row for row in chosen):
                    merged[error] = _error_of_mean([row[error] for row in chosen])
        noted = [row["class"] for row in chosen if "note" in row]
        if noted:
            merged["note"] = f"scores or draws are missing for {', '.join(noted)}: see the notes there"
        result.append(merged)
    return result


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _error_of_mean(errors: list[float | None]) -> float | None:
    known = [error for error in errors if error is not None]
    return float(np.sqrt(np.sum(np.square(known))) / len(errors)) if len(known) == len(errors) else None
