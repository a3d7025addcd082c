"""The one protocol by which a generator is scored on a prepared data set, class by class."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.errors import short_list
from gan3d.metrics.comparison import EXCESS, EXCESSES, ClassEvaluation, Progress, RealSets, compare, occupied
from gan3d.metrics.intervals import REPLICATES
from gan3d.metrics.reference import reference_rows
from gan3d.metrics.rows import MEAN, Row
from gan3d.metrics.scores import ALL_SCORES, TELL_SCORES, mean_if_complete
from gan3d.metrics.tell import DIVISIONS, GENERATED

__all__ = [
    "EXCESS",
    "EXCESSES",
    "ClassEvaluation",
    "Progress",
    "evaluate",
    "evaluate_classes",
    "mean_over_classes",
]

MANY_CLASSES = 64  # beyond them, standard errors are estimated from fewer random halves per class
MIN_REPLICATES = 20

SampleFunction = Callable[[int, int, int], np.ndarray]


def evaluate(
    sample: SampleFunction,
    dataset: VoxelDataset,
    resolution: int,
    count: int = 100,
    draws: int = 3,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Row]:
    """Score a generator, and real training shapes beside it, against the test shapes of each class.

    Args:
        sample: (class index, count, seed) to booleans (count, R, R, R).
        dataset: a data set prepared at this resolution.
        count: largest number of shapes in each set; as many shapes are generated as there are test shapes, up to it.
        draws: how often shapes are generated (with seeds `seed`, `seed + 1`, …) and training shapes are drawn.
        progress: called with (parts done, parts in all).

    Returns:
        Two flat rows per class, of `kind` "generated" and "floor": each score as the mean over draws, its standard
        deviation over draws as `<key>_std`, and its standard error as `<key>_se` (see `gan3d.metrics.intervals`). The
        row of generated shapes also has the `_excess` of 1-NNA-CD and both tells above the floor, with its `_se`, and
        the tells of single statistics as `_alone`. Empty shapes are left out of both sets; `empty_generated` counts
        them over all draws, and the reference of such a draw is cut to the same number. If too few shapes remain in
        every draw, a score is None, and `note` says why.

    Raises:
        UserError: if the data set was not prepared at this resolution.
    """
    evaluations = evaluate_classes(sample, dataset, resolution, count, draws, seed, progress)
    return [row for evaluation in evaluations for row in evaluation.rows]


def evaluate_classes(
    sample: SampleFunction,
    dataset: VoxelDataset,
    resolution: int,
    count: int = 100,
    draws: int = 3,
    seed: int = 0,
    progress: Progress | None = None,
    kept: int | None = None,
    divisions: int = DIVISIONS,
) -> list[ClassEvaluation]:
    """Do what `evaluate` does, and return the shapes as well, class by class.

    Args:
        divisions: see `gan3d.metrics.tell.tells`; of many classes, one.
        kept: classes whose shapes are returned, the first ones; None: all. Those of a thousand classes fill the memory.
    """
    result: list[ClassEvaluation] = []
    total, done = len(dataset.classes) * (draws + 1), 0
    many = len(dataset.classes) > MANY_CLASSES
    replicates = max(MIN_REPLICATES, min(REPLICATES, MANY_CLASSES * REPLICATES // len(dataset.classes)))

    def report() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    for index in range(len(dataset.classes)):
        evaluation = _evaluate_class(
            sample, dataset, index, resolution, count, draws, seed, replicates, 1 if many else divisions, report
        )
        if kept is not None and index >= kept:
            none = evaluation.reference[:0].copy()
            evaluation = replace(evaluation, generated=none, reference=none, neighbours=None, measures={})
        result.append(evaluation)
    return result


def _evaluate_class(
    sample: SampleFunction,
    dataset: VoxelDataset,
    label: int,
    resolution: int,
    count: int,
    draws: int,
    seed: int,
    replicates: int,
    divisions: int,
    report: Callable[[], None],
) -> ClassEvaluation:
    name = dataset.classes[label]
    reference = occupied(dataset.voxels(resolution, reference_rows(dataset, name, count)))
    rows = dataset.select("train", name)
    train = dataset.voxels(resolution, rows)
    rows, train = rows[train.any((1, 2, 3))], occupied(train)
    evaluation = compare(
        lambda draw: sample(label, len(reference), seed + draw),
        lambda drawn: _pool(drawn, len(train), label, len(reference), sample, seed),
        RealSets(reference, train, reference, reference, up=dataset.up),
        {"class": name, "resolution": resolution, "draws": draws, "seed": seed},
        replicates,
        divisions,
        report,
    )
    neighbours = evaluation.neighbours
    return replace(evaluation, neighbours=None if neighbours is None else rows[neighbours])


def _pool(drawn: list[np.ndarray], train: int, label: int, count: int, sample: SampleFunction, seed: int) -> np.ndarray:
    """The shapes of all draws, and as many draws more as it takes to tell them from so many training shapes."""
    wanted, more = min(GENERATED, 4 * train), list(drawn)
    if count and len(drawn[0]):
        for draw in range(len(drawn), len(drawn) + -(-(wanted - sum(map(len, drawn))) // count)):
            more.append(occupied(np.asarray(sample(label, count, seed + draw), bool)))
    return np.concatenate(more)


def mean_over_classes(rows: Sequence[Row]) -> list[Row]:
    """Average each score over the classes: one row per kind, of class "mean".

    The standard deviation and error of the mean treat classes as independent. A score that any class lacks is None, and
    `note` names the classes that have notes.
    """
    result = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_classes = [row for row in rows if row["kind"] == kind and row["class"] != MEAN]
        mean = {name: of_classes[0][name] for name in ("kind", "class", "resolution", "draws", "seed")}
        mean["class"] = MEAN
        for name in ("generated", "reference", "empty_generated"):
            mean[name] = sum(row[name] for row in of_classes)
        for name in (name for name in (*ALL_SCORES, *EXCESSES) if all(name in row for row in of_classes)):
            mean[name] = mean_if_complete([row[name] for row in of_classes])
            for error in (f"{name}_std", f"{name}_se"):
                if all(error in row for row in of_classes):
                    mean[error] = _error_of_mean([row[error] for row in of_classes])
        for key in (f"{name}_alone" for name in TELL_SCORES):
            if all(row.get(key) for row in of_classes):
                names = of_classes[0][key]
                mean[key] = {name: float(np.mean([row[key][name] for row in of_classes])) for name in names}
        noted = [row["class"] for row in of_classes if "note" in row]
        if noted:
            mean["note"] = f"scores or draws are missing for {short_list(noted, 24)}: see the notes there"
        result.append(mean)
    return result


def _error_of_mean(errors: list[float | None]) -> float | None:
    known = [error for error in errors if error is not None]
    return float(np.sqrt(np.sum(np.square(known))) / len(errors)) if len(known) == len(errors) else None
