"""The public API, available as attributes of `gan3d`: load a model, sample, interpolate, score."""

from pathlib import Path
from typing import Any

import numpy as np

from gan3d.metrics.scores import scores
from gan3d.registry.models import open_sampler
from gan3d.sampling.requests import Request, sample_shapes
from gan3d.sampling.sampler import Sampler


def load(address: str | Path, mlruns: str | Path | None = None) -> Sampler:
    """Load a trained model for sampling.

    >>> model = gan3d.load("modelnet10-r32")
    >>> model.classes
    ('bathtub', 'bed', 'chair', ...)

    Args:
        address: a folder such as models/r16; a pretrained model's name; or an MLflow URI such as
            models:/gan3d@champion or runs:/RUN/model.
        mlruns: the MLflow store of a URI; by default that of the project around the current folder.

    Returns:
        A sampler; its attribute `model` is the `TrainedModel`.

    Raises:
        gan3d.errors.UserError: when there is no such model.
    """
    return open_sampler(address, None if mlruns is None else Path(mlruns))


def sample(
    model: Sampler,
    class_name: str | None = None,
    count: int = 1,
    seed: int = 0,
    truncation: float = 1.0,
    threshold: float | None = None,
) -> np.ndarray:
    """Sample shapes of a class; the same seed gives the same shapes, as in `gan3d sample`.

    >>> gan3d.sample(model, "chair", count=4, seed=7).shape
    (4, 32, 32, 32)

    Args:
        model: the result of `load`.
        class_name: optional where the model has one class.
        count: number of shapes.
        seed: of the latent vectors.
        truncation: from 1, full variety, to 0, the mean shape of the class.
        threshold: occupancy above which a voxel is occupied; by default the model's.

    Returns:
        Booleans (count, R, R, R).

    Raises:
        gan3d.errors.UserError: for an unknown class or a number out of range.
    """
    return sample_shapes(model, [Request(class_name, count, seed)], truncation, threshold).voxels


def interpolate(
    model: Sampler,
    class_name: str | None = None,
    start: int = 0,
    end: int = 1,
    steps: int = 9,
    truncation: float = 1.0,
    threshold: float | None = None,
) -> np.ndarray:
    """Interpolate between the shapes of two seeds, ends included.

    >>> gan3d.interpolate(model, "chair", start=7, end=8, steps=5).shape
    (5, 32, 32, 32)

    Args:
        model: the result of `load`.
        class_name: optional where the model has one class.
        start: seed of the first shape.
        end: seed of the last shape.
        steps: number of shapes, at least 2.
        truncation: as of `sample`.
        threshold: as of `sample`.

    Returns:
        Booleans (steps, R, R, R).

    Raises:
        gan3d.errors.UserError: for an unknown class or a number out of range.
    """
    return sample_shapes(model, [Request(class_name, seed=start, to=end, steps=steps)], truncation, threshold).voxels


def score(generated: np.ndarray, reference: np.ndarray, train: np.ndarray | None = None) -> dict[str, Any]:
    """Score generated shapes against real ones, as in `gan3d evaluate` but without intervals.

    >>> data = gan3d.VoxelDataset("data/voxels")
    >>> real = data.voxels(32, data.select("test", "chair"))
    >>> scores = gan3d.score(gan3d.sample(model, "chair", count=len(real)), real)
    >>> sorted(scores)
    ['cov_cd', 'generated', 'jsd', ...]

    Args:
        generated: booleans (N, R, R, R).
        reference: booleans (M, R, R, R); M = N gives the least biased scores.
        train: booleans (T, R, R, R), the training shapes; adds scores of novelty.

    Returns:
        Scores by name, see `gan3d.metrics.scores`; None, with a `note`, where there are too few shapes.
    """
    return scores(generated, reference, train)
