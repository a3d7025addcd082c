"""`gan3d evaluate --features`: whether a linear SVM can tell the classes apart by what the discriminator sees.

The protocol of 3D-GAN (Wu et al. 2016, §4.2) on `gan3d.metrics.features`, beside the same SVM on the shapes
themselves. It learns from all shapes but the test split: those that the GAN was trained on, and the validation split.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import mlflow
import numpy as np
from joblib import parallel_config
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from gan3d import model_file
from gan3d.config.project import Project
from gan3d.config.schema import Params, resolution_of
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.metrics.features import features, pooled_voxels
from gan3d.metrics.intervals import WIDE
from gan3d.stages.evaluate import rounded, write_json
from gan3d.tracking.provenance import provenance_tags
from gan3d.tracking.store import connect

FOLDS = 5
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # C of the SVM
SEED = 0  # of the folds
PART = 512  # shapes that are unpacked at once
PLAIN = 8  # side of the grid that the shapes themselves are pooled to


@dataclass(frozen=True)
class Outcome:
    """How well a linear SVM tells classes apart by one kind of vectors.

    Attributes:
        dimensions: of a vector.
        strength: C, that of the best cross-validation.
        by_strength: accuracy in cross-validation for each C.
        validated: that of the best one, on the shapes that it may learn from; a little too good, since C was chosen by
            it.
        tested: accuracy on the test split; None where it is empty.
        confusion: of the test split, or else of cross-validation: shapes of the class of the row that were taken for
            the class of the column.
    """

    dimensions: int
    strength: float
    by_strength: dict[str, float]
    validated: float
    validated_se: float
    tested: float | None
    tested_se: float | None
    confusion: list[list[int]]


def run(params: Params, project: Project) -> dict[str, Any]:
    """Judge the discriminator of the final stage; writes `evaluation/features.json` and a run of MLflow.

    Raises:
        UserError: when there are not two classes, or too few shapes of one.
    """
    data = VoxelDataset(project.voxels)
    able(data)
    discriminator = model_file.load(project.model(params.final)).build_discriminator()
    at = resolution_of(params.final)
    vectors = {
        "discriminator": extract(data, at, lambda voxels: features(discriminator, voxels)),
        "voxels": extract(data, at, lambda voxels: pooled_voxels(voxels, min(PLAIN, at))),
    }
    result = {
        "stage": params.final,
        "conditional": params.gan.conditional,
        "classes": data.classes,
        "shapes": {"learned": int((data.splits != "test").sum()), "tested": len(data.select("test"))},
        **{name: plain(judge(values, data)) for name, values in vectors.items()},
    }
    write_json(project.features, result)
    track(params, project, result)
    return result


def able(data: VoxelDataset) -> None:
    """Raise UserError when no SVM can be cross-validated on a data set."""
    if len(data.classes) < 2:
        raise UserError(f"{data.folder} has one class, and features are judged by telling classes apart: add another.")
    for label, name in enumerate(data.classes):
        groups = {
            row["group"]
            for row, own, split in zip(data.rows, data.labels, data.splits, strict=True)
            if own == label and split != "test"
        }
        if len(groups) < FOLDS:
            raise UserError(
                f"{data.folder} has {len(groups)} shapes of class {name!r} outside the test split, too few for"
                f" {FOLDS} folds: add some, or leave it out of data.classes."
            )


def extract(data: VoxelDataset, at: int, vectors: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Vectors of all shapes at a resolution, a part at a time, so that memory stays bounded."""
    parts = np.array_split(np.arange(len(data)), -(-len(data) // PART))
    return np.concatenate([vectors(data.voxels(at, rows)) for rows in parts])


def judge(vectors: np.ndarray, data: VoxelDataset) -> Outcome:
    """Choose C by cross-validation, learn from all shapes but the test split, and score both.

    Relatives (`group` in the manifest) are never on both sides of a fold.
    """
    learned, tested = np.flatnonzero(data.splits != "test"), data.select("test")
    x, y = vectors[learned], data.labels[learned]
    groups = [data.rows[i]["group"] for i in learned]
    folds = list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED).split(x, y, groups))
    with parallel_config("threading"):  # the solver lets go of the interpreter's lock
        search = GridSearchCV(classifier(), {"svc__C": STRENGTHS}, cv=folds, n_jobs=-1).fit(x, y)
    accuracies = dict(zip(STRENGTHS, search.cv_results_["mean_test_score"], strict=True))
    strength = search.best_params_["svc__C"]
    if len(tested):
        real, taken = data.labels[tested], search.predict(vectors[tested])
    else:
        real, taken = y, cross_val_predict(search.best_estimator_, x, y, cv=folds)
    accuracy = float((real == taken).mean()) if len(tested) else None
    return Outcome(
        dimensions=vectors.shape[1],
        strength=strength,
        by_strength={f"{c:g}": float(value) for c, value in accuracies.items()},
        validated=float(search.best_score_),
        validated_se=error(search.best_score_, len(y)),
        tested=accuracy,
        tested_se=None if accuracy is None else error(accuracy, len(tested)),
        confusion=confusion_matrix(real, taken, labels=range(len(data.classes))).tolist(),
    )


def classifier() -> Pipeline:
    """A linear SVM on standardised features, one a pair of classes, whose votes decide; each class weighs the same."""
    return make_pipeline(StandardScaler(), SVC(kernel="linear", class_weight="balanced"))


def error(accuracy: float, count: int) -> float:
    """Standard error of a share of `count` shapes."""
    return float(np.sqrt(accuracy * (1 - accuracy) / count))


def plain(outcome: Outcome) -> dict[str, Any]:
    return {name: rounded(value) for name, value in asdict(outcome).items()}


def table(result: Mapping[str, Any]) -> str:
    """What was found as text: a row a kind of vectors, and which classes the discriminator's confuse."""
    tested = result["shapes"]["tested"]
    lines = [f"{'linear SVM on':26}{'numbers':>9}{'C':>8}{'cross-validation':>19}{f'{tested} test shapes':>19}"]
    for name, title in (("discriminator", f"D's activations at {result['stage']}"), ("voxels", "the pooled voxels")):
        own = result[name]
        cells = [share(own["validated"], own["validated_se"]), share(own["tested"], own["tested_se"])]
        lines.append(
            f"{title:26}{own['dimensions']:>9,}{own['strength']:>8g}" + "".join(f"{cell:>19}" for cell in cells)
        )
    lines += [
        "±: half of a 95 % interval.",
        "",
        "D's activations: shapes of a row's class that were taken for a column's",
    ]
    classes = result["classes"]
    width = max(6, *(len(name) + 2 for name in classes))
    lines.append(" " * width + "".join(f"{name:>{width}}" for name in classes))
    for name, row in zip(classes, result["discriminator"]["confusion"], strict=True):
        lines.append(f"{name:{width}}" + "".join(f"{count or '·':>{width}}" for count in row))
    if result["conditional"]:
        lines.append(
            "This discriminator was told the classes in training: set gan.conditional to false to have it find them."
        )
    return "\n".join(lines)


def share(value: float | None, se: float | None) -> str:
    """An accuracy and half the width of its 95 % interval, in percent."""
    return "-" if value is None or se is None else f"{value:.1%} ±{WIDE * se:.1%}"


def track(params: Params, project: Project, result: Mapping[str, Any]) -> None:
    """A run of its own, with accuracies as metrics and the whole result as a file."""
    connect(project.mlruns)
    tags = provenance_tags(project.work) | {"stage": "features", "name": params.name}
    with mlflow.start_run(run_name=f"{params.name} features", tags=tags):
        mlflow.log_params({"stage": result["stage"], "conditional": result["conditional"]})
        for name in ("discriminator", "voxels"):
            mlflow.log_param(f"C.{name}", result[name]["strength"])
            found = {f"features/{name}/{split}": result[name][split] for split in ("validated", "tested")}
            mlflow.log_metrics({metric: value for metric, value in found.items() if value is not None})
        mlflow.log_artifact(str(project.features))
