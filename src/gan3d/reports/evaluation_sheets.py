"""Pictures of an evaluation: random samples next to real shapes, and interpolations."""

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.metrics.evaluation import PICTURED, ModelEvaluation
from gan3d.metrics.reference import reference_rows
from gan3d.rendering.sheets import comparison, sheet
from gan3d.rendering.voxels import class_color

REAL = (150, 154, 162)  # colour of real shapes beside generated ones


def samples_sheet(evaluation: ModelEvaluation, data: VoxelDataset) -> np.ndarray:
    """Random samples above random test shapes, for each pictured class, uint8 (H, W, 3)."""
    rows: dict[str, list[np.ndarray]] = {}
    colors = []
    for name, samples in evaluation.samples.items():
        rows[f"{name}, generated"] = list(samples)
        rows[f"{name}, real"] = list(data.voxels(evaluation.resolution, reference_rows(data, name, PICTURED)))
        colors += [class_color(data.classes.index(name))] * 2
    return comparison(rows, up=data.up, colors=colors)


def beside_real(evaluation: ModelEvaluation, data: VoxelDataset, classes: int = 8) -> dict[str, np.ndarray]:
    """Two generated shapes above two real ones, by class, uint8 (H, W, 3); of the first classes."""
    sheets = {}
    for name, samples in list(evaluation.samples.items())[:classes]:
        real = data.voxels(evaluation.resolution, reference_rows(data, name, PICTURED))
        colors = [class_color(data.classes.index(name))] * 2 + [REAL] * 2
        sheets[name] = sheet([*samples[:2], *real[:2]], 2, size=160, up=data.up, colors=colors)
    return sheets


def interpolation_sheet(evaluation: ModelEvaluation, data: VoxelDataset) -> np.ndarray:
    """Interpolations, one row per class, uint8 (H, W, 3)."""
    shapes = [shape for path in evaluation.interpolations.values() for shape in path]
    colors = [class_color(label) for label, path in enumerate(evaluation.interpolations.values()) for _ in path]
    return sheet(shapes, PICTURED, titles=list(evaluation.interpolations), up=data.up, colors=colors)
