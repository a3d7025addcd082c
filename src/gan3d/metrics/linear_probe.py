"""Linear probe: how well a linear SVM tells the classes apart by the discriminator's features.

The protocol of 3D-GAN (Wu et al. 2016, §4.2) on `gan3d.metrics.features`, next to the same SVM on the pooled shapes.
The SVM is trained on all shapes outside the test split: those that the GAN was trained on, and the validation split.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from joblib import parallel_config
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.metrics.features import features, pooled_voxels
from gan3d.networks.discriminator import Discriminator

FOLDS = 5
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # C of the SVM
FOLD_SEED = 0
BATCH = 512  # shapes that are unpacked at once
BASELINE_SIDE = 8  # edge of the grid that the shapes themselves are pooled to


@dataclass(frozen=True)
class ProbeResult:
    """How well a linear SVM tells classes apart by one kind of feature vectors.

    Attributes:
        dimensions: numbers in a vector.
        strength: the C that is best in cross-validation.
        by_strength: accuracy in cross-validation for each C.
        validated: accuracy of the best C in cross-validation; slightly optimistic, since C was chosen by it.
        validated_se, tested_se: standard errors.
        tested: accuracy on the test split; None if it is empty.
        confusion: number of shapes per true class (row) and predicted class (column), of the test split or, if that is
            empty, of cross-validation.
    """

    dimensions: int
    strength: float
    by_strength: dict[str, float]
    validated: float
    validated_se: float
    tested: float | None
    tested_se: float | None
    confusion: list[list[int]]


def probe_discriminator(
    discriminator: Discriminator, data: VoxelDataset, resolution: int
) -> tuple[ProbeResult, ProbeResult]:
    """Probe the discriminator's features, and the pooled voxels as a baseline.

    Raises:
        UserError: if the data set has one class only, or too few shapes of a class.
    """
    check_classes(data)
    of_features = extract(data, resolution, lambda voxels: features(discriminator, voxels))
    side = min(BASELINE_SIDE, resolution)
    of_voxels = extract(data, resolution, lambda voxels: pooled_voxels(voxels, side))
    return probe(of_features, data), probe(of_voxels, data)


def check_classes(data: VoxelDataset) -> None:
    """Raise UserError if no SVM can be cross-validated on a data set."""
    if len(data.classes) < 2:
        raise UserError(f"{data.folder} has one class, and a linear probe tells classes apart: add another class.")
    for label, name in enumerate(data.classes):
        groups = {
            row["group"]
            for row, row_label, split in zip(data.rows, data.labels, data.splits, strict=True)
            if row_label == label and split != "test"
        }
        if len(groups) < FOLDS:
            raise UserError(
                f"{data.folder} has {len(groups)} shapes of class {name!r} outside the test split, too few for"
                f" {FOLDS} folds: add some, or leave it out of data.classes."
            )


def extract(data: VoxelDataset, resolution: int, vectors: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Vectors of all shapes at a resolution, computed in batches of bounded memory."""
    batches = np.array_split(np.arange(len(data)), -(-len(data) // BATCH))
    return np.concatenate([vectors(data.voxels(resolution, rows)) for rows in batches])


def probe(vectors: np.ndarray, data: VoxelDataset) -> ProbeResult:
    """Choose C by cross-validation, train on all shapes outside the test split, and test on it.

    Related shapes (`group` in the manifest) are never on both sides of a fold.

    Args:
        vectors: one per shape of the data set, (N, dimensions).
    """
    trained, tested = np.flatnonzero(data.splits != "test"), data.select("test")
    x, y = vectors[trained], data.labels[trained]
    groups = [data.rows[i]["group"] for i in trained]
    folds = list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=FOLD_SEED).split(x, y, groups))
    with parallel_config("threading"):  # the solver releases the GIL
        search = GridSearchCV(classifier(), {"svc__C": STRENGTHS}, cv=folds, n_jobs=-1).fit(x, y)
    accuracies = dict(zip(STRENGTHS, search.cv_results_["mean_test_score"], strict=True))
    if len(tested):
        true, predicted = data.labels[tested], search.predict(vectors[tested])
    else:
        true, predicted = y, cross_val_predict(search.best_estimator_, x, y, cv=folds)
    accuracy = float((true == predicted).mean()) if len(tested) else None
    return ProbeResult(
        dimensions=vectors.shape[1],
        strength=search.best_params_["svc__C"],
        by_strength={f"{c:g}": float(value) for c, value in accuracies.items()},
        validated=float(search.best_score_),
        validated_se=standard_error(search.best_score_, len(y)),
        tested=accuracy,
        tested_se=None if accuracy is None else standard_error(accuracy, len(tested)),
        confusion=confusion_matrix(true, predicted, labels=range(len(data.classes))).tolist(),
    )


def classifier() -> Pipeline:
    """A linear SVM on standardised features, one per pair of classes, with equal weight for each class."""
    return make_pipeline(StandardScaler(), SVC(kernel="linear", class_weight="balanced"))


def standard_error(accuracy: float, count: int) -> float:
    """Standard error of a share of `count` shapes."""
    return float(np.sqrt(accuracy * (1 - accuracy) / count))
