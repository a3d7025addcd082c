"""All-pairs Chamfer distances and a plain reference: equality and speed, in one process.

    python benchmarks/chamfer.py REFERENCE.py [--shapes SET.npz] [--repeats 3] [--out benchmarks/results/chamfer.json]

REFERENCE.py defines `prepare` (N boolean grids to any object) and `chamfer` (two such objects to all distances): a few
lines of NumPy and SciPy that share no code with `gan3d.metrics.chamfer`. Both are timed alternately from the boolean
grids to the matrix of distances, distance transforms included; the best of each counts.

SET.npz is any set that `gan3d show` reads; without it, each shape is two to six random boxes.
"""

import argparse
import importlib.util
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from gan3d.metrics import chamfer
from gan3d.shape_io.files import load_shapes
from gan3d.voxels import surface_voxels

COUNT, SIDE = 1000, 32  # shapes in either set, voxels along an edge


def boxes(count: int, side: int, seed: int) -> np.ndarray:
    """Shapes of two to six boxes, booleans (count, side, side, side)."""
    rng = np.random.default_rng(seed)
    shapes = np.zeros((count, side, side, side), bool)
    for shape in shapes:
        for _ in range(rng.integers(2, 7)):
            low = rng.integers(0, side - 2, 3)
            shape[tuple(map(slice, low, low + rng.integers(2, side // 2, 3)))] = True
    return shapes


def module(path: Path) -> ModuleType:
    """Import a Python file by its path."""
    spec = importlib.util.spec_from_file_location("reference", path)
    assert spec is not None, path
    assert spec.loader is not None, path
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def ours(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return chamfer.distances(chamfer.prepare(a), chamfer.prepare(b))


def seconds(function: Callable, *arguments: np.ndarray) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("reference", type=Path)
    parser.add_argument("--shapes", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/chamfer.json"))
    given = parser.parse_args()
    reference = module(given.reference)
    if given.shapes:
        a, b = np.split(np.resize(load_shapes(given.shapes, SIDE), (2 * COUNT, SIDE, SIDE, SIDE)), 2)
    else:
        a, b = boxes(COUNT, SIDE, 1), boxes(COUNT, SIDE, 2)

    def theirs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return reference.chamfer(reference.prepare(a), reference.prepare(b))

    times: dict[str, list[float]] = {"gan3d": [], "reference": []}
    for repeat in range(given.repeats):
        own, found = seconds(ours, a, b)
        other, expected = seconds(theirs, a, b)
        times["gan3d"].append(round(own, 3))
        times["reference"].append(round(other, 3))
        print(f"{repeat + 1}: gan3d {own:.2f} s, reference {other:.2f} s, {other / own:.1f} times", flush=True)
    difference = float(np.abs(found - expected).max())
    result = {
        "shapes": [len(a), len(b)],
        "resolution": SIDE,
        "source": given.shapes.name if given.shapes else "boxes",
        "surface voxels": round(float(surface_voxels(a).sum((1, 2, 3)).mean()), 1),
        "cores": os.cpu_count(),
        "seconds": times,
        "ratio of the best": round(min(times["reference"]) / min(times["gan3d"]), 2),
        "least ratio": round(
            min(other / own for own, other in zip(times["gan3d"], times["reference"], strict=True)), 2
        ),
        "largest difference": difference,
        "equal to 1e-5": difference < 1e-5,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
