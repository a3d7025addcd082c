"""Time to quality: after how many images and seconds a score of validation shapes first falls under a value.

    python -m benchmarks.quality [--stages r04,r08] [--every 1024] [--out benchmarks/results/quality.json]

The embedded furniture and the recipe of params.yaml, in a folder that is thrown away. While a stage trains, every so
many images its averaged generator is scored by 1-NNA-CD against the validation split, the mean of both classes and of a
few draws (0.5: not to be told apart from real shapes; 1: always). The seconds are those of training alone, without
compilation and scoring. A score strays by some 0.02 from draw to draw, so that a single look is no proof.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np

from benchmarks import machine
from gan3d.config.loading import load_params
from gan3d.config.schema import resolution_of
from gan3d.data.pipeline.prepare import prepare
from gan3d.dataset import VoxelDataset
from gan3d.metrics.validation import ValidationScorer
from gan3d.stages.train import architecture
from gan3d.synthetic import furniture
from gan3d.training.callback import Callback, Row
from gan3d.training.growth import grow
from gan3d.training.loop import LoggingSchedule, train

VALUES = (0.9, 0.85, 0.8, 0.75, 0.7, 0.65)

Result = dict[str, Any]


class Looks(Callback):
    """Scores the shapes of the fixed latents at every picture; adds up the seconds between them."""

    def __init__(self, judge: ValidationScorer):
        self.judge, self.rows = judge, []
        self.images, self.seconds = 0, 0.0

    def on_log(self, row: Row) -> None:
        if self.images:  # the first turn is compilation
            self.seconds += (row["images"] - self.images) / row["images_per_second"]
        self.images = int(row["images"])

    def on_samples(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        score = self.judge.scores(voxels, labels)["one_nna_cd"]
        self.rows.append({"images": images, "seconds": round(self.seconds, 2), "score": score})
        print(self.rows[-1], flush=True)


def reached(rows: list[Result]) -> Result:
    """For each value, the first look at which the score was below it."""
    found = {}
    for value in VALUES:
        first = next((row for row in rows if row["score"] is not None and row["score"] < value), None)
        if first:
            found[str(value)] = {"images": first["images"], "seconds": first["seconds"]}
    return found


def table(found: Result) -> str:
    """The results as Markdown."""
    lines = ["| 1-NNA-CD under |" + "".join(f" {stage} |" for stage in found["stages"])]
    lines.append("|---|" + "---|" * len(found["stages"]))
    for value in map(str, VALUES):
        cells = [stage["reached"].get(value) for stage in found["stages"].values()]
        texts = [f"{cell['images']:,} images, {cell['seconds']:.0f} s" if cell else "not reached" for cell in cells]
        lines.append(f"| {value} | {' | '.join(texts)} |")
    ends = [f"{name} {stage['looks'][-1]['score']:.3f}" for name, stage in found["stages"].items()]
    return "\n".join([*lines, "", f"At the end: {', '.join(ends)}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--stages", default="r04,r08")
    parser.add_argument("--every", type=int, default=1024, help="images between two looks")
    parser.add_argument("--count", type=int, default=60, help="shapes a class and draw")
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/quality.json"))
    given = parser.parse_args()
    settings = load_params(Path("params.yaml"))
    stages = given.stages.split(",")
    found: Result = {"machine": machine.facts(), "stages": {}}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        furniture.write(root / "furniture")
        prepare(root / "furniture", root / "voxels", max(map(resolution_of, stages)), seed=settings.seed)
        data, previous = VoxelDataset(root / "voxels"), None
        for stage in stages:
            recipe = settings.recipe(stage)
            start = grow(previous, architecture(settings, stage, data), settings.seed)
            judge = ValidationScorer(data, resolution_of(stage), given.count, given.draws)
            looks, before = Looks(judge), time.perf_counter()
            rhythm = LoggingSchedule(settings.logging.metrics_every, given.every, recipe.images, judge.count)
            previous, _ = train(data, start, recipe, root / stage, rhythm, looks)
            found["stages"][stage] = {
                "widths": settings.widths(stage),
                "batch": recipe.batch,
                "images": recipe.images,
                "seconds_of_training": round(looks.seconds, 1),
                "seconds_in_all": round(time.perf_counter() - before, 1),
                "reached": reached(looks.rows),
                "looks": looks.rows,
            }
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
