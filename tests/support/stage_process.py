"""Train a small stage to its end; `test_killed.py` starts it, kills it and starts it again.

python stage_process.py DATASET CHECKPOINTS OUT [short]
"""

import json
import sys
from pathlib import Path

from gan3d import model_file
from gan3d.dataset import VoxelDataset
from gan3d.networks.architecture import Architecture
from gan3d.training.growth import grow
from gan3d.training.loop import LoggingSchedule, train
from gan3d.training.recipe import Recipe


def main(data: str, checkpoints: str, out: str, short: str = "") -> None:
    dataset = VoxelDataset(data)
    architecture = Architecture(8, tuple(dataset.classes), (6, 4), (0.2, 0.1))
    recipe = Recipe(batch=8, penalty_every=2, fade_in=1000, stabilise=3000, seed=2)
    if short:
        architecture = Architecture(8, tuple(dataset.classes), (6,), (0.2,))
        recipe = Recipe(batch=8, penalty_every=2, stabilise=64, seed=2)
    schedule = LoggingSchedule(32, 320, 32, 2)
    trained, rows = train(dataset, grow(None, architecture, 1), recipe, Path(checkpoints), schedule)
    model_file.save(Path(out), trained)
    for row in rows:
        del row["images_per_second"]
    (Path(out) / "rows.json").write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
