"""Validate a training stage: score its model against the validation split at every checkpoint."""

from collections.abc import Callable

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.metrics.scores import MIN_SHAPES
from gan3d.metrics.validation import ValidationScorer
from gan3d.model_file import TrainedModel
from gan3d.networks.weights import assign_weights
from gan3d.sampling.sampler import Sampler
from gan3d.training.callback import Row, TrainingView

SEED = 7  # of the samples
COUNT = 100  # samples per class, against as many validation shapes
TOTAL = 6400  # samples, and validation shapes, over all classes: beyond 64 classes, fewer of each


def validation(data: VoxelDataset, start: TrainedModel) -> Callable[[TrainingView], Row] | None:
    """The `validate` of a training stage: mean 1-NNA-CD over classes against the validation split.

    Models that are still fading in are not scored. None where the split is too small.
    """
    try:
        count = max(MIN_SHAPES, min(COUNT, TOTAL // len(data.classes)))
        scorer = ValidationScorer(data, start.architecture.resolution, count)
    except UserError:
        return None
    sampler = Sampler(start)

    def score(view: TrainingView) -> Row:
        if view.row["alpha"] < 1:
            return {}
        assign_weights(sampler.generator, view.model().ema)
        labels = range(len(data.classes))
        shapes = np.concatenate([sampler.shapes(label, scorer.count, seed=SEED) for label in labels])
        found = scorer.scores(shapes, np.repeat(labels, scorer.count))["one_nna_cd"]
        return {"validation/score": 1.0 if found is None else found}

    return score
