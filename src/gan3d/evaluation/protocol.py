"""The one protocol by which a generator is scored on a prepared data set, class by class."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.evaluation import chamfer
from gan3d.evaluation.chamfer import Prepared
from gan3d.evaluation.scores import (
    MINIMUM,
    NOVELTY_SCORES,
    NUMBERS,
    average,
    floor,
    novelty_scores,
    scores,
    too_few,
)

REFERENCE_SEED = 0  # chooses the test shapes; fixed, so that scores of all models and runs can be compared
MEAN = "mean"  # the class of the rows that average over classes

Sampler = Callable[[int, int, int], np.ndarray]
Progress = Callable[[int, int], None]


def reference_rows(dataset: VoxelDataset, class_name: str, count: int, split: str = "test") -> np.ndarray:
    """Row numbers of the shapes that a class is scored against, at most `count`.

    The class's shapes of the split, ordered by content hash and name, are shuffled by the fixed REFERENCE_SEED, and the
    first `count` are taken: the same for every model, resolution and seed, and fewer are a part of more.
    """
    rows = sorted(dataset.select(split, class_name), key=lambda i: (dataset.rows[i]["hash"], dataset.rows[i]["name"]))
    return np.array(rows, np.int64)[np.random.default_rng(REFERENCE_SEED).permutation(len(rows))[:count]]


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
        Two flat rows a class, `kind` "generated" and "floor": the mean over draws of each score and its standard
        deviation `<score>_std`. Empty shapes are left out of both sets and counted: `empty_generated` is their number
        in all draws. The reference of a draw with empties is cut to the same number. A score is None, and `note` says
        why, where too few shapes remain.

    Raises:
        UserError: when the data set was not prepared at this resolution.
    """
    result: list[dict[str, Any]] = []
    total = len(dataset.classes) * (draws + 1)
    for index, name in enumerate(dataset.classes):
        reference = _occupied(dataset.voxels(resolution, reference_rows(dataset, name, count)))
        train = _occupied(dataset.voxels(resolution, dataset.select("train", name)))
        head = {"class": name, "resolution": resolution, "draws": draws, "seed": seed}
        done = index * (draws + 1)

        def report(part: int, before: int = done) -> None:
            if progress is not None:
                progress(before + part, total)

        prepared = chamfer.prepare(reference)
        generated = _generated_row(sample, index, prepared, train, draws, seed, report)
        result.append({"kind": "generated"} | head | generated)
        result.append({"kind": "floor"} | head | floor(train, prepared, draws, seed))
        report(draws + 1)
    return result


def _generated_row(
    sample: Sampler, index: int, reference: Prepared, train: np.ndarray, draws: int, seed: int, report: Callable
) -> dict[str, Any]:
    """Mean over draws of generated shapes against the reference."""
    count = len(reference)
    enough = too_few(count, count) is None and len(train) >= MINIMUM
    real = chamfer.closest(reference, train) if enough else np.zeros(count)
    results = []
    for draw in range(draws):
        voxels = _occupied(np.asarray(sample(index, count, seed + draw), bool)) if count else reference.voxels
        shapes = chamfer.prepare(voxels)
        part = scores(shapes, reference if len(shapes) == count else reference.first(len(shapes)))
        novel = enough and "note" not in part
        part |= novelty_scores(chamfer.closest(shapes, train), real) if novel else dict.fromkeys(NOVELTY_SCORES)
        part["empty_generated"] = count - len(shapes)
        results.append(part)
        report(draw + 1)
    merged = average(results)
    if "note" not in merged and not enough:
        merged["note"] = f"no novelty: {len(train)} training shapes remain, and it takes {MINIMUM}"
    return merged


def _occupied(voxels: np.ndarray) -> np.ndarray:
    return voxels[voxels.any((1, 2, 3))]


def mean_over_classes(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a kind with the mean of each score over its classes, `class` "mean".

    The standard deviation of the mean takes the classes' draws as independent. A score that any class lacks is None,
    and `note` names the classes.
    """
    result = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        chosen = [row for row in rows if row["kind"] == kind and row["class"] != MEAN]
        merged = {name: chosen[0][name] for name in ("kind", "class", "resolution", "draws", "seed")} | {"class": MEAN}
        for name in ("generated", "reference", "empty_generated"):
            merged[name] = sum(row[name] for row in chosen)
        for name in (name for name in NUMBERS if all(name in row for row in chosen)):
            values = np.array([np.nan if row[name] is None else row[name] for row in chosen])
            spread = np.array([np.nan if row[f"{name}_std"] is None else row[f"{name}_std"] for row in chosen])
            merged[name] = None if np.isnan(values).any() else float(values.mean())
            merged[f"{name}_std"] = None if np.isnan(spread).any() else float(np.sqrt((spread**2).sum()) / len(spread))
        lacking = [row["class"] for row in chosen if "note" in row]
        if lacking:
            merged["note"] = f"scores are missing for {', '.join(lacking)}: see the notes there"
        result.append(merged)
    return result
