"""Inversion: own shapes found again, held-out shapes against the nearest training shape, halves completed, seconds.

    python -m benchmarks.inversion --model models/r16 --data data/voxels [--count 100] [--out …/inversion.json]

For each class: `own` shapes of the generator are inverted. Held-out shapes, of the splits test and validation, are
inverted, and compared with the training shape that has the smallest Chamfer distance of all. Of each held-out shape the
left half is given and the right half completed; the rival is the training shape whose left half has the highest IoU
with the given one. Results are added to the file, one entry per model.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np

from benchmarks import machine
from gan3d.api.models import Model, load
from gan3d.dataset import VoxelDataset
from gan3d.inversion.completion import complete, half
from gan3d.inversion.overlap import iou, iou_matrix
from gan3d.metrics.chamfer import nearest_shapes, prepare

OWN_SEED = 12345
Result = dict[str, Any]


def own(model: Model, class_name: str, count: int) -> Result:
    """The generator's own shapes, inverted."""
    shapes = model.sample(class_name, count, seed=OWN_SEED).voxels
    found, seconds = timed(model, shapes, class_name)
    scores = [each.iou for each in found]
    return {"count": count, "median_iou": float(np.median(scores)), "mean_iou": float(np.mean(scores)), **seconds}


def held_out(model: Model, class_name: str, shapes: np.ndarray, training: np.ndarray) -> Result:
    """Held-out shapes, inverted, beside their nearest training shapes."""
    found, seconds = timed(model, shapes, class_name)
    distances, positions = nearest_shapes(prepare(shapes), training)
    ours = np.array([each.chamfer_x1e3 for each in found])
    rivals = iou_matrix(shapes, training).max(1)
    scores = np.array([each.iou for each in found])
    return {
        "count": len(shapes),
        "closer_by_chamfer": int((ours < 1e3 * distances).sum()),
        "closer_by_iou_than_the_nearest": int((scores > iou(shapes, training[positions])).sum()),
        "closer_by_iou_than_any": int((scores > rivals).sum()),
        "known": int(sum(each.known for each in found)),
        "median_iou": float(np.median(scores)),
        "median_iou_of_training": float(np.median(rivals)),
        "median_chamfer_x1e3": float(np.median(ours)),
        "median_chamfer_x1e3_of_training": float(np.median(1e3 * distances)),
        **seconds,
    }


def completed(model: Model, class_name: str, shapes: np.ndarray, training: np.ndarray) -> Result:
    """Halves of held-out shapes, completed, beside those of the training shape that fits the given half best."""
    given = half(model.resolution, "left", model.trained.up)
    better, scores, others = 0, [], []
    before = time.perf_counter()
    for shape in shapes:
        done = complete(model.inverter, shape & given, given, class_name, count=1)
        rival = training[iou_matrix((shape & given)[None], training & given)[0].argmax()]
        hidden = ~given
        ours, theirs = (float(iou((x & hidden)[None], (shape & hidden)[None])[0]) for x in (done.voxels[0], rival))
        better += ours > theirs
        scores.append(ours)
        others.append(theirs)
    return {
        "count": len(shapes),
        "better": better,
        "median_iou_of_hidden": float(np.median(scores)),
        "median_iou_of_training": float(np.median(others)),
        "seconds": round((time.perf_counter() - before) / len(shapes), 2),
    }


def timed(model: Model, shapes: np.ndarray, class_name: str) -> tuple[list, Result]:
    """Invert shapes; returns the results, and the seconds of one: median of wall clock and of processor time."""
    model.inverter.invert(shapes[0], class_name, evaluations=2)  # compiles, and draws the bank
    found, seconds, processor = [], [], []
    for shape in shapes:
        wall, cpu = time.perf_counter(), time.process_time()
        found.append(model.inverter.invert(shape, class_name))
        seconds.append(time.perf_counter() - wall)
        processor.append(time.process_time() - cpu)
    return found, {
        "seconds": round(float(np.median(seconds)), 2),
        "processor_seconds": round(float(np.median(processor)), 2),
        "evaluations": float(np.median([each.evaluations for each in found])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--classes", help="names, separated by commas; default: all")
    parser.add_argument("--count", type=int, default=100, help="shapes per class, where it has as many")
    parser.add_argument("--parts", default="own,held_out,completed")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/inversion.json"))
    given = parser.parse_args()
    model, data = load(given.model), VoxelDataset(given.data)
    results: Result = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
    entry = results.setdefault(Path(given.model).name, {})
    entry |= {"machine": machine.facts(), "encoder": model.inverter.encoder is not None}
    for name in given.classes.split(",") if given.classes else model.classes:
        rows = np.concatenate([data.select("test", name), data.select("validation", name)])[: given.count]
        shapes = data.voxels(model.resolution, rows)
        training = data.voxels(model.resolution, data.select("train", name))
        parts = entry.setdefault("classes", {}).setdefault(name, {})
        for part in given.parts.split(","):
            if part == "own":
                parts[part] = own(model, name, given.count)
            else:
                parts[part] = {"held_out": held_out, "completed": completed}[part](model, name, shapes, training)
            print(name, part, parts[part], flush=True)
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
