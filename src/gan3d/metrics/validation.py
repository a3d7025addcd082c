"""Scores against the validation split, which steer a sweep and pick a checkpoint. The test split is never used."""

from typing import Any

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.metrics import chamfer
from gan3d.metrics.reference import reference_rows
from gan3d.metrics.scores import MIN_SHAPES, SET_SCORES, mean_if_complete, scores

SPLIT = "validation"


class ValidationScorer:
    """Scores samples of all classes at one resolution against fixed validation shapes.

    The reference is the same in every call, so scores of different trainings can be compared.

    Args:
        count: samples per class in a draw, against as many validation shapes, if there are that many.
        draws: number of draws that a score is averaged over. At 4³, the score of one draw of 50 shapes varies by 0.025,
            about as much as good learning rates differ.

    Raises:
        UserError: if a class has too few validation shapes.
    """

    def __init__(self, data: VoxelDataset, resolution: int, count: int, draws: int = 1):
        self.draws = draws
        self.references = []
        for name in data.classes:
            voxels = data.voxels(resolution, reference_rows(data, name, count, SPLIT))
            voxels = voxels[voxels.any((1, 2, 3))]
            if len(voxels) < MIN_SHAPES:
                raise UserError(
                    f"{data.folder} has {len(voxels)} validation shapes of class {name!r}, and a sweep needs"
                    f" {MIN_SHAPES}: raise data.validation in params.yaml and prepare the data again."
                )
            self.references.append(chamfer.prepare(voxels))

    @property
    def count(self) -> int:
        """Samples per class that `scores` expects."""
        return self.draws * max(len(reference) for reference in self.references)

    def scores(self, voxels: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
        """SET_SCORES of samples, booleans (n, R, R, R) with labels (n,), averaged over draws and classes.

        As in `gan3d.metrics.protocol`, empty shapes are left out of both sets. A score is None if any draw of any class
        has too few other shapes.
        """
        rows = [
            row for label in range(len(self.references)) for row in self.draw_scores(voxels[labels == label], label)
        ]
        return {name: mean_if_complete([row[name] for row in rows]) for name in SET_SCORES}

    def draw_scores(self, voxels: np.ndarray, label: int) -> list[dict[str, Any]]:
        """The scores of each draw of one class, from all samples of it."""
        rows, reference = [], self.references[label]
        for draw in np.array_split(voxels, self.draws):
            draw = draw[: len(reference)]
            shapes = chamfer.prepare(draw[draw.any((1, 2, 3))])
            rows.append(scores(shapes, reference if len(shapes) == len(reference) else reference.first(len(shapes))))
        return rows
