"""Pictures of an evaluation: random samples next to real shapes, and interpolations."""

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.metrics.evaluation import PICTURED, ModelEvaluation
from gan3d.metrics.names import metric_name
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
    """Square sheets of two columns of generated and two of real shapes, by `contact sheet/CLASS beside real`."""
    sheets = {}
    for name, samples in list(evaluation.samples.items())[:classes]:
        real = data.voxels(evaluation.resolution, reference_rows(data, name, PICTURED))
        pairs = [shape for i in range(0, PICTURED, 2) for kind in (samples, real) for shape in kind[i : i + 2]]
        color = class_color(data.classes.index(name))
        colors = [each for _ in range(0, PICTURED, 2) for each in (color, color, REAL, REAL)]
        sheets[f"contact sheet/{metric_name(name)} beside real"] = sheet(pairs, 4, size=128, up=data.up, colors=colors)
    return sheets


def interpolation_sheet(evaluation: ModelEvaluation, data: VoxelDataset) -> np.ndarray:
    """Interpolations, one row per class, uint8 (H, W, 3)."""
    shapes = [shape for path in evaluation.interpolations.values() for shape in path]
    colors = [class_color(label) for label, path in enumerate(evaluation.interpolations.values()) for _ in path]
    return sheet(shapes, PICTURED, titles=list(evaluation.interpolations), up=data.up, colors=colors)
