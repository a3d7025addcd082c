"""An evaluation of a trained model: scores, random samples, interpolations."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from gan3d import model_file
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError, short_list
from gan3d.metrics.protocol import ClassEvaluation, Progress, evaluate_classes, mean_over_classes
from gan3d.metrics.rows import Row, rounded
from gan3d.metrics.tell import DIVISIONS
from gan3d.sampling.latents import draw_latents, slerp
from gan3d.sampling.sampler import Sampler

SAMPLE_SEED = 1  # of the first draw of generated shapes
PICTURED = 8  # samples per class on a sheet, and steps of an interpolation
PICTURED_CLASSES = 24  # the first ones; every class is scored


@dataclass(frozen=True, eq=False)
class ModelEvaluation:
    """What is known of a model at its resolution.

    Attributes:
        resolution: voxels along an edge.
        classes: the protocol's evaluation of each class.
        samples: of each of the first PICTURED_CLASSES, random samples, booleans (PICTURED, R, R, R).
        interpolations: of the same classes, samples on a path between two latents, booleans (PICTURED, R, R, R).
    """

    resolution: int
    classes: list[ClassEvaluation]
    samples: Mapping[str, np.ndarray]
    interpolations: Mapping[str, np.ndarray]

    @cached_property
    def rows(self) -> list[Row]:
        """The protocol's rows and their means over classes, rounded."""
        rows = [row for evaluation in self.classes for row in evaluation.rows]
        return [rounded(row) for row in [*rows, *mean_over_classes(rows)]]


def evaluate_model(
    sampler: Sampler,
    data: VoxelDataset,
    count: int = 100,
    draws: int = 3,
    progress: Progress | None = None,
    divisions: int = DIVISIONS,
) -> ModelEvaluation:
    """Score a model and draw samples and interpolations.

    Args:
        sampler: of a model with the classes of the data set, in the same order.
        count: see `gan3d.metrics.protocol.evaluate`.
        draws: likewise.
        progress: likewise.
        divisions: see `gan3d.metrics.tell.tells`.
    """
    resolution = sampler.model.architecture.resolution
    classes = evaluate_classes(
        sampler.shapes, data, resolution, count, draws, SAMPLE_SEED, progress, PICTURED_CLASSES, divisions
    )
    pictured = enumerate(data.classes[:PICTURED_CLASSES])
    samples = {name: sampler.shapes(label, PICTURED, SAMPLE_SEED) for label, name in pictured}
    return ModelEvaluation(resolution, classes, samples, interpolate(sampler))


def interpolate(sampler: Sampler) -> dict[str, np.ndarray]:
    """Samples on the path between two latents, per pictured class, booleans (PICTURED, R, R, R)."""
    start, end = draw_latents(SAMPLE_SEED, 2, sampler.model.architecture.latent)
    path = slerp(start, end, PICTURED)
    return {
        name: sampler.binary(sampler.occupancy(path, np.full(PICTURED, label)))
        for label, name in enumerate(sampler.classes[:PICTURED_CLASSES])
    }


def load_sampler(folder: Path, data: VoxelDataset) -> Sampler:
    """Load a model that is to be scored on a data set.

    Raises:
        UserError: if it was trained on other classes, whose labels mean something else here.
    """
    model = model_file.load(folder)
    trained_on, present = model.architecture.classes, tuple(data.classes)
    if trained_on != present:
        raise UserError(
            f"{folder} was trained on {short_list(trained_on)}, but {data.folder} has {short_list(present)}: train it"
            " again with `dvc repro`, or restore the data set."
        )
    return Sampler(model)
