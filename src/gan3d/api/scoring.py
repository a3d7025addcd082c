"""`gan3d.score`: the protocol of `gan3d evaluate`, for a model, for shapes, or for arrays of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gan3d import dataset
from gan3d.api.data import ArrayDataset
from gan3d.api.models import Model
from gan3d.api.shapes import Shapes
from gan3d.backend_choice import choose_backend
from gan3d.errors import UserError, short_list
from gan3d.metrics.protocol import evaluate, mean_over_classes
from gan3d.metrics.rows import MEAN, Row, class_scores, rounded
from gan3d.metrics.sets import score_sets
from gan3d.metrics.table import SCORES
from gan3d.monitoring.progress import progress_bar
from gan3d.rendering.document import table

ONLY = "shape"  # the class of shapes without one
Given = Model | Shapes | np.ndarray | str | Path


class Scores:
    """Scores of generated shapes beside those of real ones; a table in a notebook.

    >>> model = gan3d.load("modelnet10-chairs-r32")
    >>> scores = gan3d.score(model.sample(count=12, seed=1), model.sample(count=12, seed=2))
    >>> 0 <= scores["one_nna_cd"] <= 1
    True

    Attributes:
        rows: as `gan3d.metrics.protocol.evaluate` describes them, with the mean over classes: of `kind` "generated" and
            "floor".
    """

    def __init__(self, rows: list[Row]):
        self.rows = rows

    def __getitem__(self, key: str) -> float | None:
        """The mean over classes of a score by its key, such as one_nna_cd (`gan3d.metrics.table`)."""
        mean = next(row for row in self.rows if row["kind"] == "generated" and row["class"] == MEAN)
        if key not in mean:
            known = [score.key for score in SCORES if score.key in mean]
            raise UserError(f"score {key!r} does not exist: choose one of {', '.join(known)}.")
        return mean[key]

    def __repr__(self) -> str:
        from gan3d.reports.score_text import score_text

        return score_text(self.rows)

    def _repr_html_(self) -> str:
        """Rows of generated shapes, each above that of real ones, with the half width of 95 % intervals."""
        from gan3d.reports.score_text import score_cells

        resolution = self.rows[0]["resolution"]
        body: list[tuple[str, ...]] = []
        for scores in class_scores(self.rows, resolution):
            generated, real = score_cells(scores)
            body += [(scores.name, "generated", *generated), ("", "real", *real)]
        head = ("class", f"{resolution}³", *(score.heading for score in SCORES))
        notes = dict.fromkeys(row["note"] for row in self.rows if "note" in row and row["class"] != MEAN)
        lines = "".join(f"<p><small>{table_note}</small></p>" for table_note in map(_escaped, notes))
        return table(head, body, numeric=range(2, len(head))) + lines


def score(
    generated: Given,
    reference: dataset.VoxelDataset | Shapes | np.ndarray | str | Path,
    train: Shapes | np.ndarray | str | Path | None = None,
    count: int = 100,
    draws: int = 3,
    seed: int | None = None,
) -> Scores:
    """Score generated shapes against real ones by the protocol of `gan3d evaluate`.

    >>> data = gan3d.VoxelDataset("data/voxels")  # doctest: +SKIP
    >>> gan3d.score(gan3d.load("models/r16"), data)  # as `gan3d evaluate` does  # doctest: +SKIP

    Args:
        generated: a model, which is sampled; or shapes: the result of `Model.sample`, booleans (N, R, R, R), or a file
            with them. More shapes than the reference has make more draws.
        reference: a prepared data set, whose test split is taken; or shapes, likewise.
        train: the training shapes, for the floor and novelty; a data set has them. Without them, the floor comes from
            halves of the reference.
        count: largest number of shapes per class in each set.
        draws: how often a model is sampled, or into how many draws shapes are divided at most; scores are averaged.
        seed: of a model's first draw; that of `gan3d evaluate` by default.

    Raises:
        gan3d.errors.UserError: if resolutions or classes do not fit each other, or a file cannot be read.
    """
    if isinstance(generated, Model):
        choose_backend()
        resolution, classes = generated.resolution, generated.classes
        sets: dict[str, np.ndarray] = {}
    else:
        sets = _by_class(generated)
        resolution, classes = next(iter(sets.values())).shape[-1], tuple(sets)
    real = _data(reference, train, classes, resolution)
    known = tuple(real.classes)
    if isinstance(generated, Model) and known != classes:
        raise UserError(
            f"the model knows {short_list(classes)}, but the reference has {short_list(known)}: score shapes of one"
            " class, or use the data that the model was trained on."
        )
    missing = [name for name in known if sets and name not in sets]
    if missing:
        raise UserError(f"no shapes of class {missing[0]!r} are given: sample each class of the reference.")

    if isinstance(generated, Model):
        from gan3d.metrics.evaluation import SAMPLE_SEED

        first = SAMPLE_SEED if seed is None else seed
        with progress_bar("score", "parts") as update:
            rows = evaluate(generated.sampler.shapes, real, resolution, count, draws, first, update)
    else:
        rows = []
        for name in known:
            reals, trained = (real.voxels(resolution, real.select(split, name)) for split in ("test", "train"))
            given = trained if len(trained) else None
            rows += score_sets(sets[name], reals, given, real.up, count, draws, seed or 0, name).rows
    return Scores([rounded(row) for row in [*rows, *mean_over_classes(rows)]])


def _data(reference: Any, train: Any, classes: tuple[str, ...], resolution: int) -> dataset.VoxelDataset:
    """The real shapes as a data set."""
    if isinstance(reference, str | Path) and (Path(reference) / "manifest.csv").is_file():
        reference = dataset.VoxelDataset(reference, conditional=classes != (dataset.UNCONDITIONAL,))
    if isinstance(reference, dataset.VoxelDataset):
        chosen = [name for name in reference.classes if name in classes]
        if classes == (ONLY,) and reference.classes != [ONLY]:
            raise UserError(
                "the data set has classes, but the shapes have none: give it with conditional=False, or the shapes as"
                " `Model.sample` returns them."
            )
        if chosen in ([], list(reference.classes)):
            return reference
        parts = {
            split: {name: reference.voxels(resolution, reference.select(split, name)) for name in chosen}
            for split in ("test", "train")
        }
        return ArrayDataset(parts["test"], parts["train"])
    test, training = _by_class(reference), {} if train is None else _by_class(train)
    if set(test) == {ONLY} and len(classes) == 1:  # arrays have no classes
        test = {classes[0]: test[ONLY]}
    if set(training) == {ONLY} and len(test) == 1:
        training = {next(iter(test)): training[ONLY]}
    for shapes in (*test.values(), *training.values()):
        if shapes.shape[-1] != resolution:
            raise UserError(
                f"shapes at {resolution}³ and {shapes.shape[-1]}³ cannot be compared: give both at one resolution."
            )
    return ArrayDataset(test, training)


def _by_class(given: Any) -> dict[str, np.ndarray]:
    """Booleans (n, R, R, R) by class; those of an array or a file under ONLY."""
    if isinstance(given, Shapes):
        names = np.array(given.names)
        return {name: given.voxels[names == name] for name in dict.fromkeys(given.names)}
    if isinstance(given, str | Path):
        from gan3d.shape_io.files import load_shapes

        return {ONLY: load_shapes(Path(given), 32)}
    shapes = np.asarray(given)
    if shapes.ndim != 4 or len(set(shapes.shape[1:])) != 1 or not len(shapes):
        raise UserError(f"an array of shape {shapes.shape} holds no shapes: give booleans (n, R, R, R).")
    return {ONLY: shapes.astype(bool)}


def _escaped(text: str) -> str:
    from gan3d.rendering.document import text as escaped

    return escaped(text)
