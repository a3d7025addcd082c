"""One set of generated shapes against real ones: all scores, their floors and errors. `evaluate` does it per class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from gan3d.metrics import chamfer
from gan3d.metrics.chamfer import Prepared
from gan3d.metrics.intervals import REPLICATES, PairedSets, standard_errors
from gan3d.metrics.rows import Row
from gan3d.metrics.scores import (
    DRAWN_SCORES,
    EXCESS_SCORE,
    MIN_SHAPES,
    NOVELTY_SCORES,
    TELL_SCORES,
    average_draws,
    copying_z,
    floor_draws,
    novelty_scores,
    stands_scores,
    too_few_note,
    too_few_training_note,
)
from gan3d.metrics.shape_features import shape_features
from gan3d.metrics.structure import look, standing
from gan3d.metrics.tell import DIVISIONS, LOOKS, Tell, choose, excess_error, tells

EXCESS = "one_nna_cd_excess"
EXCESSES = (EXCESS, *(f"{name}_excess" for name in TELL_SCORES))  # of which the score `excess` is the mean
CHANCE = 0.5  # of 1-NNA and of both tells

Progress = Callable[[int, int], None]
Known = tuple[Prepared, np.ndarray]  # real shapes and their features (n, d)


@dataclass(frozen=True, eq=False)
class RealSets:
    """The real shapes that a score needs, booleans (n, R, R, R), none of them empty.

    Attributes:
        reference: what generated shapes are scored against.
        train: what generated shapes are told from, and the draws of the floor.
        test: what judges who is told.
        floor_reference: what the draws of the floor are scored against.
        trained: whether the generator learned from `train`, so that there is novelty.
        up: the axis that points up.
    """

    reference: np.ndarray
    train: np.ndarray
    test: np.ndarray
    floor_reference: np.ndarray
    trained: bool = True
    up: str = "y"


@dataclass(frozen=True, eq=False)
class ClassEvaluation:
    """The scores of one class, and the shapes behind them.

    Attributes:
        rows: of the generated shapes and of the floor, as `gan3d.metrics.protocol.evaluate` describes them.
        generated: the first draw of generated shapes, booleans (n, R, R, R), none empty.
        reference: the real shapes, likewise.
        neighbours: rows of the training shapes nearest to those of the first draw; None if there are too few shapes for
            novelty.
        measures: by name ("novelty", "largest_component", "occupancy"), the values of all draws of generated shapes
            and of the real ones; novelty only if it is known. Empty, as the shapes, beyond the kept classes.
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


@threadpool_limits.wrap(limits=1)  # small matrices: several threads would wait for each other
def compare(
    draw: Callable[[int], np.ndarray],
    pool: Callable[[list[np.ndarray]], np.ndarray],
    real: RealSets,
    head: Row,
    replicates: int = REPLICATES,
    divisions: int = DIVISIONS,
    report: Callable[[], None] = lambda: None,
) -> ClassEvaluation:
    """Score draws of generated shapes, and of real ones beside them.

    Args:
        draw: from the number of a draw to generated shapes, booleans (n, R, R, R).
        pool: from all draws, without empty shapes, to the generated shapes that are told from real ones, likewise.
        real: the real shapes.
        head: what both rows say besides scores: class, resolution, draws, seed.
        replicates: random halves from which errors are estimated.
        divisions: see `gan3d.metrics.tell.tells`.
        report: called after each draw, and once at the end.
    """
    known = _with_features(real.reference)
    generated, pairs, neighbours = _generated_row(draw, head["draws"], known, real, report)
    floor, floor_pairs = _floor_row(real, head["draws"], head["seed"], known)
    errors, floor_errors, excess_of_nna = standard_errors(_large_enough(pairs), _large_enough(floor_pairs), replicates)
    for row, row_errors in ((generated, errors), (floor, floor_errors)):
        row |= {f"{name}_se": row_errors.get(name) for name in DRAWN_SCORES if name in row}
    generated[EXCESS] = None if excess_of_nna is None else generated["one_nna_cd"] - floor["one_nna_cd"]
    generated[f"{EXCESS}_se"] = excess_of_nna
    _add_tells(generated, floor, pool([pair.generated.voxels for pair in pairs]), real, divisions)
    _add_copying(generated, floor, pairs, head)
    _add_excess(generated)
    measures = _measures(pairs, known[0])
    first = pairs[0].generated.voxels
    rows = {"kind": "generated"} | head | generated, {"kind": "floor"} | head | floor
    report()
    return ClassEvaluation(rows, first, real.reference, neighbours, measures)


def _generated_row(
    draw: Callable[[int], np.ndarray], draws: int, known: Known, real: RealSets, report: Callable[[], None]
) -> tuple[Row, list[PairedSets], np.ndarray | None]:
    """Score all draws of generated shapes against `known`, the reference and its features.

    Returns:
        The row; the paired sets; for each shape of the first draw, the position of its nearest training shape.
    """
    reference, features_of_real = known
    count, train = len(reference), real.train
    has_novelty = real.trained and too_few_note(count, count) is None and too_few_training_note(len(train)) is None
    novelty_of_real = chamfer.nearest_distances(reference, train) if has_novelty else np.zeros(count)
    standing_reals = standing(real.reference, real.up)
    results, pairs, neighbours = [], [], None
    for number in range(draws):
        drawn = np.asarray(draw(number), bool) if count else reference.voxels
        shapes = chamfer.prepare(occupied(drawn))
        stand = standing(shapes.voxels, real.up), standing_reals
        features = shape_features(shapes.voxels), features_of_real[: len(shapes)]
        paired = reference if len(shapes) == count else reference.first(len(shapes))
        pair = PairedSets(shapes, paired, stands=stand, features=features)
        result = pair.scores()
        enough = "note" not in result
        stood = stands_scores(stand[0], stand[1][: len(pair.reference)]) if enough else {}
        result |= {name: stood.get(name) for name in ("stands_generated", "stands_reference")}
        if has_novelty and enough:
            distances, nearest = chamfer.nearest_shapes(shapes, train)
            result |= novelty_scores(distances, novelty_of_real)
            pair = replace(pair, novelty=(distances, novelty_of_real))
            neighbours = nearest if number == 0 else neighbours
        else:
            result |= dict.fromkeys(NOVELTY_SCORES)
        result["empty_generated"] = len(drawn) - len(shapes)
        results.append(result)
        pairs.append(pair)
        report()
    row = average_draws(results)
    if "note" not in row and real.trained and not has_novelty:
        row["note"] = too_few_training_note(len(train))
    return row, pairs, neighbours


def _measures(pairs: Sequence[PairedSets], reference: Prepared) -> dict[str, tuple[np.ndarray, np.ndarray]]:
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


def _floor_row(real: RealSets, draws: int, seed: int, known: Known) -> tuple[Row, list[PairedSets]]:
    """`gan3d.metrics.scores.floor`, with the paired sets; `known` are the reference and its features."""
    same = real.floor_reference is real.reference
    reference, features = known if same else _with_features(real.floor_reference)
    if len(real.train) < len(reference):
        reference, features = reference.first(len(real.train)), features[: len(real.train)]
    drawn = floor_draws(len(real.train), len(reference), draws, seed)
    if sum(map(len, drawn)) > len(real.train):  # some are drawn again
        features_of_train = shape_features(real.train)
        features_of_drawn = [features_of_train[rows] for rows in drawn]
    else:
        features_of_drawn = [shape_features(real.train[rows]) for rows in drawn]
    pairs = [
        PairedSets(chamfer.prepare(real.train[rows]), reference, features=(of_drawn, features))
        for rows, of_drawn in zip(drawn, features_of_drawn, strict=True)
    ]
    return average_draws([pair.scores() for pair in pairs]), pairs


def _with_features(voxels: np.ndarray) -> Known:
    return chamfer.prepare(voxels), shape_features(voxels)


def _large_enough(pairs: Sequence[PairedSets]) -> list[PairedSets]:
    return [pair for pair in pairs if too_few_note(len(pair.generated), len(pair.reference)) is None]


def _add_tells(generated: Row, floor: Row, pool: np.ndarray, real: RealSets, divisions: int) -> None:
    """Add how well generated shapes, and training shapes in their place, are told from real ones."""
    found: list[dict[str, Tell | None]] = [dict.fromkeys(LOOKS), dict.fromkeys(LOOKS)]
    if min(len(pool), len(real.train), len(real.test)) >= MIN_SHAPES:
        sets = (pool, real.train, real.test)
        shapes, train, test = (look(voxels[rows]) for voxels, rows in zip(sets, choose(*map(len, sets)), strict=True))
        found = [tells(shapes, train, test, is_floor, divisions) for is_floor in (False, True)]
    for name, statistics in LOOKS.items():
        key = f"tell_{name}"
        told, told_real = (tell[name] for tell in found)
        for row, tell in ((generated, told), (floor, told_real)):
            row[key], row[f"{key}_std"], row[f"{key}_se"] = (tell.auc, tell.std, tell.error) if tell else (None,) * 3
        generated[f"{key}_alone"] = dict(zip(statistics, told.alone.tolist(), strict=True)) if told else {}
        generated[f"{key}_excess"] = told.auc - (told_real.auc if told_real else CHANCE) if told else None
        error = None if told is None else told.error if told_real is None else excess_error(told, told_real)
        generated[f"{key}_excess_se"] = error


def _add_copying(generated: Row, floor: Row, pairs: Sequence[PairedSets], head: Row) -> None:
    """The floor of the copying test: one half of the real shapes in the place of generated ones, against the other."""
    novelty = next((pair.novelty for pair in pairs if pair.novelty is not None), None)
    if novelty is None or generated.get("copying_z") is None:
        return
    real, rng = novelty[1], np.random.default_rng(head["seed"])
    halves = [np.array_split(rng.permutation(real), 2) for _ in range(head["draws"])]
    values = [copying_z(*half) for half in halves]
    floor["copying_z"], floor["copying_z_se"] = float(np.mean(values)), 1.0
    floor["copying_z_std"] = float(np.std(values, ddof=1)) if len(values) > 1 else None


def _add_excess(row: Row) -> None:
    """Add the mean of the three excesses above their floors, none of them below 0; its error as if they were one."""
    known = [row[name] for name in EXCESSES]
    errors = [row[f"{name}_se"] for name in EXCESSES]
    complete = None not in known
    row[EXCESS_SCORE] = float(np.mean(np.maximum(known, 0.0))) if complete else None
    row[f"{EXCESS_SCORE}_se"] = float(np.mean(errors)) if complete else None


def occupied(voxels: np.ndarray) -> np.ndarray:
    """The shapes that are not empty."""
    return voxels[voxels.any((1, 2, 3))]
