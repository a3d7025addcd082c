"""A prepared data set of many classes with few, tiny shapes."""

import csv
import json
from pathlib import Path

import numpy as np

from gan3d.dataset import COLUMNS, SPLITS, VoxelDataset, resolution_key
from gan3d.voxels import max_pool, pack_bits


def write_many_classes(folder: Path, count: int, each: int = 10, resolution: int = 8) -> VoxelDataset:
    """`each` random shapes per class and split."""
    rng = np.random.default_rng(3)
    names = [f"class {i:04d} {'x' * 20}" for i in range(count)]
    rows = [
        (f"{name}/{split}{i}.off", name, split, f"{name}{split}{i}", f"{name}{split}{i}", "made")
        for name in names
        for split in SPLITS
        for i in range(each)
    ]
    voxels = rng.random((len(rows), *(resolution,) * 3)) < 0.3
    folder.mkdir(parents=True)
    occupancy, side = {}, resolution
    while side >= 4:
        np.save(folder / f"{resolution_key(side)}.npy", pack_bits(voxels))
        occupancy[resolution_key(side)] = float(voxels.mean())
        voxels, side = max_pool(voxels), side // 2
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([COLUMNS, *rows])
    summary = {
        "classes": names,
        "up": "y",
        "resolution": resolution,
        "occupancy": occupancy,
        "mirror": dict.fromkeys(names, "x"),
        "symmetric": dict.fromkeys(names, 0.6),
        "counts": {name: dict.fromkeys(SPLITS, each) for name in names},
        "duplicates": 0,
        "rejected": 0,
        "dropped_empty": 0,
        "skipped": 0,
        "fill": "solid",
        "reduction": "max",
    }
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return VoxelDataset(folder)
