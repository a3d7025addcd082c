"""The one protocol by which a generator is scored on a prepared data set, class by class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.errors import short_list
from gan3d.metrics import chamfer
from gan3d.metrics.chamfer import Prepared
from gan3d.metrics.intervals import REPLICATES, PairedSets, standard_errors
from gan3d.metrics.reference import reference_rows
from gan3d.metrics.scores import (
    ALL_SCORES,
    NOVELTY_SCORES,
    average_draws,
    floor_draws,
    mean_if_complete,
    novelty_scores,
    too_few_note,
    too_few_training_note,
)

MANY_CLASSES = 64  # beyond them, standard errors are estimated from fewer random halves per class
MIN_REPLICATES = 20
EXCESS = "one_nna_cd_excess"
MEAN = "mean"  # the class of the rows that average over classes

Row = dict[str, Any]
SampleFunction = Callable[[int, int, int], np.ndarray]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class ClassEvaluation:
    """The scores of one class, and the shapes behind them.

    Attributes:
        rows: of the generated shapes and of the floor, as `evaluate` describes them.
        generated: the first draw of generated shapes, booleans (n, R, R, R), none empty.
        reference: the real shapes, likewise.
        neighbours: data set rows of the training shapes nearest to those of the first draw; None if there are too few
            shapes for novelty.
        measures: by name ("novelty", "largest_component", "occupancy"), the values of all draws of generated shapes
            and of the real ones; novelty only if it is known. Empty, as the shapes, beyond `kept` classes.
    """

    rows: tuple[Row, Row]
    generated: np.ndarray
    reference: np.ndarray
    neighbours: np.ndarray | None
    measures: dict[str, tuple[np.ndarray, np.ndarray]]

    @property
    def name(self) -> str:
        """The class."""
        return self.rows[0]["class"]


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
        row of generated shapes also has `one_nna_cd_excess`, 1-NNA-CD above the floor, with its `_se`. Empty shapes are
        left out of both sets; `empty_generated` counts them over all draws, and the reference of such a draw is cut to
        the same number. If too few shapes remain in every draw, a score is None, and `note` says why.

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
) -> list[ClassEvaluation]:
    """Do what `evaluate` does, and return the shapes as well, class by class.

    Args:
        kept: classes whose shapes are returned, the first ones; None: all. Those of a thousand classes fill the memory.
    """
    result: list[ClassEvaluation] = []
    total = len(dataset.classes) * (draws + 1)
    replicates = max(MIN_REPLICATES, min(REPLICATES, MANY_CLASSES * REPLICATES // len(dataset.classes)))
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
        generated, pairs, neighbours = _generated_row(sample, index, prepared, train, draws, seed, report)
        floor, floor_pairs = _floor_row(train, prepared, draws, seed)
        _add_errors(generated, floor, pairs, floor_pairs, replicates)
        head = {"class": name, "resolution": resolution, "draws": draws, "seed": seed}
        rows = {"kind": "generated"} | head | generated, {"kind": "floor"} | head | floor
        neighbours = None if neighbours is None else train_rows[neighbours]
        first, measures = pairs[0].generated.voxels, _measures(pairs, prepared)
        if kept is not None and index >= kept:
            first, reference, neighbours, measures = first[:0].copy(), reference[:0].copy(), None, {}
        result.append(ClassEvaluation(rows, first, reference, neighbours, measures))
        report(draws + 1)
    return result


def _generated_row(
    sample: SampleFunction,
    index: int,
    reference: Prepared,
    train: np.ndarray,
    draws: int,
    seed: int,
    report: Callable[[int], None],
) -> tuple[Row, list[PairedSets], np.ndarray | None]:
    """Score all draws of generated shapes.

    Returns:
        The row; the paired sets; for each shape of the first draw, the position of its nearest training shape.
    """
    count = len(reference)
    has_novelty = too_few_note(count, count) is None and too_few_training_note(len(train)) is None
    novelty_of_real = chamfer.nearest_distances(reference, train) if has_novelty else np.zeros(count)
    results, pairs, neighbours = [], [], None
    for draw in range(draws):
        voxels = _occupied(np.asarray(sample(index, count, seed + draw), bool)) if count else reference.voxels
        shapes = chamfer.prepare(voxels)
        pair = PairedSets(shapes, reference if len(shapes) == count else reference.first(len(shapes)))
        result = pair.scores()
        if has_novelty and "note" not in result:
            distances, nearest = chamfer.nearest_shapes(shapes, train)
            result |= novelty_scores(distances, novelty_of_real)
            pair = replace(pair, novelty=(distances, novelty_of_real))
            neighbours = nearest if draw == 0 else neighbours
        else:
            result |= dict.fromkeys(NOVELTY_SCORES)
        result["empty_generated"] = count - len(shapes)
        results.append(result)
        pairs.append(pair)
        report(draw + 1)
    row = average_draws(results)
    if "note" not in row and not has_novelty:
        row["note"] = too_few_training_note(len(train))
    return row, pairs, neighbours


def _measures(pairs: list[PairedSets], reference: Prepared) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    measures = {
        "largest_component": (
            np.concatenate([pair.generated.component_shares for pair in pairs]),
            reference.component_shares,
        ),
        "occupancy": (np.concatenate([pair.generated.occupancies for pair in pairs]), reference.occupancies),
    }
    novelty = [pair.novelty for pair in pairs if pair.novelty is not None]
    if novelty:
        measures["novelty"] = np.concatenate([generated for generated, _ in novelty]), novelty[0][1]
    return measures


def _floor_row(train: np.ndarray, reference: Prepared, draws: int, seed: int) -> tuple[Row, list[PairedSets]]:
    """`gan3d.metrics.scores.floor`, with the paired sets."""
    reference = reference.first(len(train)) if len(train) < len(reference) else reference
    draws_of_train = floor_draws(len(train), len(reference), draws, seed)
    pairs = [PairedSets(chamfer.prepare(train[rows]), reference) for rows in draws_of_train]
    return average_draws([pair.scores() for pair in pairs]), pairs


def _add_errors(
    generated: Row, floor: Row, pairs: list[PairedSets], floor_pairs: list[PairedSets], replicates: int
) -> None:
    """Add standard errors and the excess over the floor to both rows; None where there is no score."""
    errors, floor_errors, excess_error = standard_errors(_large_enough(pairs), _large_enough(floor_pairs), replicates)
    for row, row_errors in ((generated, errors), (floor, floor_errors)):
        row |= {f"{name}_se": row_errors.get(name) for name in ALL_SCORES if name in row}
    generated[EXCESS] = None if excess_error is None else generated["one_nna_cd"] - floor["one_nna_cd"]
    generated[f"{EXCESS}_se"] = excess_error


def _large_enough(pairs: list[PairedSets]) -> list[PairedSets]:
    return [pair for pair in pairs if too_few_note(len(pair.generated), len(pair.reference)) is None]


def _occupied(voxels: np.ndarray) -> np.ndarray:
    return voxels[voxels.any((1, 2, 3))]


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
        for name in (name for name in (*ALL_SCORES, EXCESS) if all(name in row for row in of_classes)):
            mean[name] = mean_if_complete([row[name] for row in of_classes])
            for error in (f"{name}_std", f"{name}_se"):
                if all(error in row for row in of_classes):
                    mean[error] = _error_of_mean([row[error] for row in of_classes])
        noted = [row["class"] for row in of_classes if "note" in row]
        if noted:
            mean["note"] = f"scores or draws are missing for {short_list(noted, 24)}: see the notes there"
        result.append(mean)
    return result


def _error_of_mean(errors: list[float | None]) -> float | None:
    known = [error for error in errors if error is not None]
    return float(np.sqrt(np.sum(np.square(known))) / len(errors)) if len(known) == len(errors) else None
