"""Time to quality: images and seconds until a validation score first falls below a value.

    python -m benchmarks.quality [--stages r04,r08] [--every 1024] [--out benchmarks/results/quality.json]

Trains on the embedded furniture with the recipe of params.yaml, in a temporary folder. Every `--every` images the EMA
generator is scored by 1-NNA-CD against the validation split: the mean over both classes and a few draws (0.5:
indistinguishable from real shapes; 1: always distinguished). Seconds are those of training alone, without compilation
and scoring. The score's standard deviation between draws is about 0.02, so a single score proves little.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
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
from gan3d.monitoring.monitor import TrainingMonitor
from gan3d.stages.spec import stage_spec
from gan3d.synthetic import furniture
from gan3d.training.callback import Callback, Row
from gan3d.training.growth import grow
from gan3d.training.loop import LoggingSchedule, train

VALUES = (0.9, 0.85, 0.8, 0.75, 0.7, 0.65)

Result = dict[str, Any]


class ScoreCurve(Callback):
    """Scores the samples of the fixed latents; adds up the seconds of training."""

    def __init__(self, scorer: ValidationScorer):
        self.scorer = scorer
        self.rows: list[Result] = []
        self.images, self.seconds = 0, 0.0

    def on_log(self, row: Row) -> None:
        if self.images:  # the first chunk of steps includes compilation
            self.seconds += (row["images"] - self.images) / row["images_per_second"]
        self.images = int(row["images"])

    def on_samples(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        score = self.scorer.scores(voxels, labels)["one_nna_cd"]
        self.rows.append({"images": images, "seconds": round(self.seconds, 2), "score": score})
        print(self.rows[-1], flush=True)


def reached(rows: list[Result]) -> Result:
    """The first row below each value."""
    found = {}
    for value in VALUES:
        first = next((row for row in rows if row["score"] is not None and row["score"] < value), None)
        if first:
            found[str(value)] = {"images": first["images"], "seconds": first["seconds"]}
    return found


def table(found: Result) -> str:
    """The results as Markdown."""
    lines = ["| 1-NNA-CD below |" + "".join(f" {stage} |" for stage in found["stages"])]
    lines.append("|---|" + "---|" * len(found["stages"]))
    for value in map(str, VALUES):
        cells = [stage["reached"].get(value) for stage in found["stages"].values()]
        texts = [f"{cell['images']:,} images, {cell['seconds']:.0f} s" if cell else "not reached" for cell in cells]
        lines.append(f"| {value} | {' | '.join(texts)} |")
    ends = [f"{name} {stage['scores'][-1]['score']:.3f}" for name, stage in found["stages"].items()]
    return "\n".join([*lines, "", f"At the end: {', '.join(ends)}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--stages", default="r04,r08")
    parser.add_argument("--every", type=int, default=1024, help="images between two scores")
    parser.add_argument("--count", type=int, default=60, help="shapes per class and draw")
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--tiny", action="store_true", help="few images and shapes, to try the script")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/quality.json"))
    given = parser.parse_args()
    settings = load_params(Path("params.yaml"))
    stages = given.stages.split(",")
    found: Result = {"machine": machine.facts(), "stages": {}}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        share = 0.4 if given.tiny else settings.data.validation
        furniture.write(root / "furniture", **({"chairs": 100, "tables": 100, "test": 4} if given.tiny else {}))
        prepare(
            root / "furniture", root / "voxels", max(map(resolution_of, stages)), seed=settings.seed, validation=share
        )
        data, previous = VoxelDataset(root / "voxels"), None
        for stage in stages:
            recipe = settings.recipe(stage)
            if given.tiny:
                recipe = replace(recipe, fade_in=0, stabilise=2 * given.every)
            start = grow(previous, stage_spec(settings, stage, data).architecture, settings.seed)
            scorer = ValidationScorer(data, resolution_of(stage), given.count, given.draws)
            curve, before = ScoreCurve(scorer), time.perf_counter()
            schedule = LoggingSchedule(settings.logging.metrics_every, given.every, recipe.images, scorer.count)
            monitor = TrainingMonitor(data, start, scorer.count)
            previous, _ = train(data, start, recipe, root / stage, schedule, curve, monitor)
            found["stages"][stage] = {
                "widths": settings.widths(stage),
                "batch": recipe.batch,
                "images": recipe.images,
                "seconds_of_training": round(curve.seconds, 1),
                "seconds_in_all": round(time.perf_counter() - before, 1),
                "reached": reached(curve.rows),
                "scores": curve.rows,
            }
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
