"""Turning shapes of every trial, kept as Optuna artifacts: the dashboard shows them in its gallery."""

import tempfile
from pathlib import Path

import numpy as np
import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact

from gan3d.rendering.sheets import animate
from gan3d.rendering.voxels import AZIMUTH, class_color, render

TURNTABLE = "turntable"  # attribute of a trial: id of its artifact
PER_CLASS, CLASSES = 4, 4  # shapes on it
FRAMES, SIZE = 18, 112  # of a rotation; pixels of a shape


def artifact_store(mlruns: Path) -> FileSystemArtifactStore:
    """Where the artifacts of all studies of a project are, beside its MLflow store."""
    folder = mlruns / "optuna-artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    return FileSystemArtifactStore(folder)


def keep_turntable(trial: optuna.Trial, voxels: np.ndarray, labels: np.ndarray, up: str, mlruns: Path) -> str:
    """Keep an animation of a trial's samples; returns the id of the artifact.

    Args:
        voxels: booleans (n, R, R, R).
        labels: of their classes, (n,).
        up: the axis that points up.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = animate(Path(scratch) / "shapes.gif", turntable(voxels, labels, up), 0.12)
        artifact = upload_artifact(artifact_store=artifact_store(mlruns), file_path=str(path), study_or_trial=trial)
    trial.set_user_attr(TURNTABLE, artifact)
    return artifact


def turntable(voxels: np.ndarray, labels: np.ndarray, up: str) -> list[np.ndarray]:
    """One picture per angle, uint8 (H, W, 3): one row of shapes per class."""
    rows = [(label, voxels[labels == label][:PER_CLASS]) for label in np.unique(labels)[:CLASSES]]
    return [
        np.concatenate([_row(shapes, up, class_color(int(label)), float(angle)) for label, shapes in rows])
        for angle in AZIMUTH + np.arange(FRAMES) * 360 / FRAMES
    ]


def _row(shapes: np.ndarray, up: str, color: tuple[int, int, int], angle: float) -> np.ndarray:
    shown = list(shapes) + [np.zeros(shapes.shape[1:], bool)] * (PER_CLASS - len(shapes))
    return np.concatenate([render(shape, SIZE, up, color, azimuth=angle) for shape in shown], 1)
