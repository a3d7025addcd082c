"""Recipes trained and scored on one GPU: time, scores and samples.

    python -m benchmarks.recipes pack FOLDER r16-direct r16-direct-modern [--data data/voxels]
    KERAS_BACKEND=jax PYTHONPATH=src python -m benchmarks.recipes run FOLDER [--seconds 540]

`pack` runs where the whole package is installed, on a data set prepared at the recipes' resolution; `run` needs NumPy,
SciPy, Keras and JAX alone, and resumes when it is called again. For each recipe it writes FOLDER/<name>/result.json,
the scores of the last stage by the protocol of `gan3d evaluate`, and samples.npz, 16 shapes per class.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

DRAWS, COUNT, PICTURED = 10, 100, 16

Result = dict[str, Any]


def pack(folder: Path, names: Sequence[str], data: Path) -> None:
    """Write the stages of each recipe and the data set at the resolutions that they need."""
    import yaml

    from gan3d.config import recipes
    from gan3d.config.schema import Params
    from gan3d.dataset import VoxelDataset
    from gan3d.monitoring import remote
    from gan3d.outputs import copy_file
    from gan3d.stages.spec import logging_schedule, stage_spec

    defaults = yaml.safe_load(recipes.default_text())
    stages = set()
    for name in names:
        params = Params.model_validate(recipes.changed(defaults, name, Path("recipes")))
        dataset = VoxelDataset(data, params.gan.conditional)
        specs = [stage_spec(params, stage, dataset) for stage in params.train.stages]
        remote.write(folder / name / "stages.json", specs, logging_schedule(params), params.train.backend)
        stages |= set(params.train.stages)
    for pattern in ("manifest.csv", "summary.json", *(f"{stage}*.npy" for stage in stages)):
        for file in data.glob(pattern):
            copy_file(file, folder / "data" / file.name)


def run(folder: Path, seconds: float) -> None:
    """Train and score every recipe of a packed folder until the time is over."""
    from gan3d.monitoring import remote

    end = time.monotonic() + seconds
    for place in sorted(path.parent for path in folder.glob("*/stages.json")):
        if not (place / "data").exists():
            (place / "data").symlink_to(Path("..", "data"))
        if (place / "result.json").is_file():
            continue
        start = time.monotonic()
        finished = remote.run(place, lambda: time.monotonic() >= end)
        specs, _ = remote.read(place / "stages.json")
        spent = _add_seconds(place, time.monotonic() - start)
        if len(finished) < len(specs):
            print(f"{place.name}: not finished after {spent:.0f} s; run this again", flush=True)
            return
        result = score(place, specs[-1]) | {"recipe": place.name, "seconds": round(spent, 1)}
        (place / "result.json").write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps(result["mean"]), flush=True)


def score(place: Path, spec: Any) -> Result:
    """Scores of a recipe's last stage, and 16 samples of each class as samples.npz."""
    import keras

    from gan3d import model_file
    from gan3d.dataset import UNCONDITIONAL, VoxelDataset
    from gan3d.metrics.evaluation import SAMPLE_SEED
    from gan3d.metrics.protocol import evaluate, mean_over_classes
    from gan3d.metrics.rows import rounded
    from gan3d.sampling.sampler import Sampler
    from gan3d.training.stage import finish_stage

    data = VoxelDataset(place / "data", spec.architecture.classes != (UNCONDITIONAL,))
    sampler = Sampler(
        finish_stage(spec, model_file.load(place / "models" / spec.name), data, place / "checkpoints" / spec.name)
    )
    rows = evaluate(sampler.shapes, data, spec.resolution, COUNT, DRAWS, SAMPLE_SEED)
    shapes = {name: sampler.shapes(label, PICTURED, 1) for label, name in enumerate(sampler.classes)}
    np.savez_compressed(place / "samples.npz", **shapes)  # type: ignore[arg-type]
    generated, floor = map(rounded, mean_over_classes(rows))
    return {
        "backend": keras.backend.backend(),
        "precision": spec.architecture.precision,
        "images": spec.recipe.images,
        "loss": spec.recipe.loss,
        "threshold": sampler.model.threshold,
        "mean": generated,
        "floor": floor,
        "classes": [rounded(row) for row in rows],
    }


def _add_seconds(place: Path, seconds: float) -> float:
    """Seconds of all calls so far, compilation included."""
    path = place / "seconds.txt"
    total = seconds + (float(path.read_text()) if path.is_file() else 0.0)
    path.write_text(str(total))
    return total


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    packing, running = commands.add_parser("pack"), commands.add_parser("run")
    packing.add_argument("folder", type=Path)
    packing.add_argument("names", nargs="+")
    packing.add_argument("--data", type=Path, default=Path("data/voxels"))
    running.add_argument("folder", type=Path)
    running.add_argument("--seconds", type=float, default=float("inf"))
    given = parser.parse_args()
    if given.command == "pack":
        pack(given.folder, given.names, given.data)
    else:
        run(given.folder, given.seconds)


if __name__ == "__main__":
    main()
