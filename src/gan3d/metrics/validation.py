"""How good a trial is: the shapes of the fixed latents against the validation split."""

from typing import Any

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.metrics import chamfer
from gan3d.metrics.reference import reference_rows
from gan3d.metrics.scores import MINIMUM, scores

SPLIT = "validation"
DIRECTIONS = {"one_nna_cd": "minimize", "mmd_cd_x1e3": "minimize", "cov_cd": "maximize", "jsd": "minimize"}


class ValidationScorer:
    """Scores shapes of all classes at one resolution.

    All trials draw from the same latents and meet the same validation shapes, so that what differs between their
    scores is the training. The test split is never seen.

    Args:
        count: shapes a class in a draw, and validation shapes that it meets, if there are as many.
        draws: a score is the mean over so many draws. At 4³ that of one draw of 50 shapes strays by 0.025, about as
            much as good learning rates differ.

    Raises:
        UserError: when a class has too few validation shapes.
    """

    def __init__(self, data: VoxelDataset, resolution: int, count: int, draws: int = 1):
        self.draws = draws
        self.references = []
        for name in data.classes:
            voxels = data.voxels(resolution, reference_rows(data, name, count, SPLIT))
            voxels = voxels[voxels.any((1, 2, 3))]
            if len(voxels) < MINIMUM:
                raise UserError(
                    f"{data.folder} has {len(voxels)} validation shapes of class {name!r}, and a search needs"
                    f" {MINIMUM}: raise data.validation in params.yaml and prepare it again."
                )
            self.references.append(chamfer.prepare(voxels))

    @property
    def count(self) -> int:
        """Shapes a class that are to be drawn."""
        return self.draws * max(len(reference) for reference in self.references)

    def scores(self, voxels: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
        """Means over draws and classes of the scores of shapes, booleans (n, R, R, R), with labels (n,).

        As in `gan3d.metrics.protocol`, empty shapes are left out of both sets; a score is None where any draw of a
        class has too few others.
        """
        rows: list[dict[str, Any]] = []
        for label, reference in enumerate(self.references):
            for own in np.array_split(voxels[labels == label], self.draws):
                own = own[: len(reference)]
                shapes = chamfer.prepare(own[own.any((1, 2, 3))])
                rows.append(
                    scores(shapes, reference if len(shapes) == len(reference) else reference.first(len(shapes)))
                )
        return {name: _mean([row[name] for row in rows]) for name in DIRECTIONS}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None
