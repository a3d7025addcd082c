"""The real shapes that a class is scored against: the same for every model, run and resolution."""

import numpy as np

from gan3d.dataset import VoxelDataset

REFERENCE_SEED = 0  # fixed, so that scores of different models can be compared


def reference_rows(dataset: VoxelDataset, class_name: str, count: int, split: str = "test") -> np.ndarray:
    """Row numbers of the real shapes that a class is scored against, at most `count`.

    The class's shapes of the split, ordered by content hash and name, are shuffled with REFERENCE_SEED, and the first
    `count` are taken. A smaller count gives a prefix of a larger one.
    """
    rows = sorted(dataset.select(split, class_name), key=lambda i: (dataset.rows[i]["hash"], dataset.rows[i]["name"]))
    return np.array(rows, np.int64)[np.random.default_rng(REFERENCE_SEED).permutation(len(rows))[:count]]
