"""A data set of random boxes, quick to score."""

import csv
import json
from pathlib import Path

import numpy as np

from gan3d.dataset import COLUMNS, VoxelDataset, resolution_key
from gan3d.voxels import pack_bits

FULL = {"train": 50, "validation": 5, "test": 20}


def random_boxes(count: int, seed: int, side: int = 8) -> np.ndarray:
    """Solid boxes, booleans (count, side, side, side)."""
    random = np.random.default_rng(seed)
    shapes = np.zeros((count, side, side, side), bool)
    for shape in shapes:
        low = random.integers(0, side // 2, 3)
        shape[tuple(map(slice, low, low + random.integers(1, side // 2 + 1, 3)))] = True
    return shapes


def write_boxes(
    folder: Path, sizes: dict[str, dict[str, int]], side: int = 8, seed: int = 0, shuffle: bool = False
) -> VoxelDataset:
    """Write a data set of one resolution; `sizes` gives the number of shapes per class and split."""
    random = np.random.default_rng(seed)
    rows = [
        dict(zip(COLUMNS, (key, name, split, key, random.bytes(8).hex(), key), strict=True))
        for name, splits in sizes.items()
        for split, count in splits.items()
        for key in (f"{name}_{split}_{number}" for number in range(count))
    ]
    shapes = random_boxes(len(rows), seed, side)
    order = random.permutation(len(rows)) if shuffle else range(len(rows))
    folder.mkdir(exist_ok=True)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as out:
        table = csv.DictWriter(out, COLUMNS)
        table.writeheader()
        table.writerows(rows[i] for i in order)
    np.save(folder / f"{resolution_key(side)}.npy", pack_bits(shapes[list(order)]))
    occupancy = {resolution_key(side): float(shapes.mean())}
    summary = {"classes": list(sizes), "up": "y", "resolution": side, "occupancy": occupancy}
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return VoxelDataset(folder)
