"""The sweep's sampler and pruner compared with random search, at the same budget of images, per seed.

    python benchmarks/sweeps.py [PROJECT] [--stage r04] [--width 32] [--trials 20] [--images 6000] [--seeds 3]

PROJECT holds a prepared data set and, above r04, the previous stage's model. Both searches are real studies of
`gan3d tune` with MLflow runs, in a copy of the project, by one worker. Random search trains `--trials` trials to their
end; the sweep goes on until it has trained as many images. Neither starts from the values of params.yaml, which are
good already, and their random numbers differ. A seed is that of the training, so that both search the same function.

The measure is the share of random search's budget that the sweep needs for a complete trial as good as random search's
best. Images are counted exactly; seconds are wall-clock time with all overhead.

Results are written after each trial. Random search is not repeated if the file has it with the same settings.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import yaml
from optuna.trial import FrozenTrial, TrialState

from gan3d.config.loading import load_params
from gan3d.config.project import Project, find_project
from gan3d.tuning.study_spec import study_spec
from gan3d.tuning.worker import Worker

RANDOM = {"sampler": "random", "pruner": "none"}
OUTSIDE = 0.9  # a learning rate outside the space: the first trial is then sampled, too

Row = dict[str, Any]


def copy_project(source: Project, root: Path, stage: str, width: int, changes: dict[str, Any], seed: int) -> Project:
    """Copy a project to search in, with the same data."""
    root.mkdir(parents=True)
    (root / "data").mkdir()
    (root / "data" / "voxels").symlink_to(source.voxels.resolve())
    if source.model(stage).parent.is_dir():
        shutil.copytree(source.model(stage).parent, root / "models")
    (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    tree = yaml.safe_load(source.params.read_text(encoding="utf-8"))
    tree["seed"] = seed
    tree["tune"] |= changes
    tree["train"]["stages"][stage] |= {"width": width, "lr_g": OUTSIDE}
    (root / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return Project(root, root)


def images_trained(trial: FrozenTrial) -> int:
    """Images that a trial has trained; 0 for one that repeats another's values."""
    return 0 if "same_as" in trial.user_attrs else max(trial.intermediate_values, default=0)


def search(home: Project, stage: str, name: str, images: int | None) -> Iterator[list[Row]]:
    """Run a study until its trials are done or `images` are trained; yields all rows after each trial."""
    worker = Worker(study_spec(load_params(home.params), stage, home, name=name), log=lambda _: None)
    rows: list[Row] = []
    total, seconds = 0, 0.0
    while images is None or total < images:
        before = time.perf_counter()
        if not worker.run_next_trial():
            return
        seconds += time.perf_counter() - before
        trial = worker.study.get_trials(deepcopy=False)[-1]
        total += images_trained(trial)
        rows.append(
            {
                "state": trial.state.name.lower(),
                "value": trial.value if trial.state == TrialState.COMPLETE else None,
                "images": total,
                "seconds": round(seconds, 1),
                "params": trial.params,
                "scores": {
                    str(step): None if math.isnan(value) else round(value, 4)
                    for step, value in trial.intermediate_values.items()
                },
            }
        )
        yield rows


def reached(rows: list[Row], value: float, unit: str) -> float | None:
    """What was spent until a complete trial was as good as `value`; None if none was."""
    return next((row[unit] for row in rows if row["value"] is not None and row["value"] <= value), None)


def compare(random: list[Row], own: list[Row]) -> Row:
    """One seed: the best of both, and what the sweep spent to reach random search's best."""
    best = min(row["value"] for row in random if row["value"] is not None)
    result: Row = {
        "random best": best,
        "own best": min((row["value"] for row in own if row["value"] is not None), default=None),
        "own trials": len(own),
        "own complete": sum(row["state"] == "complete" for row in own),
    }
    for unit in ("images", "seconds"):
        spent = reached(own, best, unit)
        result |= {
            f"random {unit}": random[-1][unit],
            f"random {unit} to its best": reached(random, best, unit),
            f"own {unit} to it": spent,
            f"share of {unit}": None if spent is None else round(spent / random[-1][unit], 3),
        }
    return result


def summary(seeds: dict[str, Row]) -> Row:
    done = [seed["compared"] for seed in seeds.values() if "compared" in seed]
    return {
        f"median share of {unit}": statistics.median(
            float("inf") if row[f"share of {unit}"] is None else row[f"share of {unit}"] for row in done
        )
        for unit in ("images", "seconds")
        if done
    } | {"reached": f"{sum(row['share of images'] is not None for row in done)} of {len(done)} seeds"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("project", type=Path, nargs="?", default=Path())
    parser.add_argument("--stage", default="r04")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--images", type=int, default=6000, help="per trial")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=32, help="of the stage")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/sweeps.json"))
    given = parser.parse_args()
    source = find_project(given.project)
    tune = yaml.safe_load(source.params.read_text(encoding="utf-8"))["tune"]
    own = {name: tune[name] for name in RANDOM}
    settings = {name: getattr(given, name) for name in ("stage", "width", "trials", "images")}
    settings |= {name: tune[name] for name in ("report", "count", "draws", "space")}
    result: Row = {"settings": settings, "seeds": {}}
    if given.out.is_file():
        found = json.loads(given.out.read_text(encoding="utf-8"))
        result = found if found["settings"] == settings else result
    result["own"] = own
    base = {"images": given.images, "seconds": None, "storage": None, "objective": "one_nna_cd"}
    for seed in range(given.seeds):
        seeds = result["seeds"].setdefault(str(seed), {})
        for arm in ("random", "own"):
            if arm == "random" and len(seeds.get(arm, ())) == given.trials:
                continue
            changes = base | (RANDOM | {"trials": given.trials} if arm == "random" else own | {"trials": 10**6})
            budget = None if arm == "random" else seeds["random"][-1]["images"]
            with tempfile.TemporaryDirectory() as scratch:
                home = copy_project(source, Path(scratch) / "project", given.stage, given.width, changes, seed)
                for rows in search(home, given.stage, arm, budget):
                    seeds[arm] = rows
                    if arm == "own":
                        seeds["compared"] = compare(seeds["random"], rows)
                    result["summary"] = summary(result["seeds"])
                    given.out.parent.mkdir(parents=True, exist_ok=True)
                    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(seed, arm, json.dumps(seeds.get("compared", seeds[arm][-1]), indent=1), flush=True)
    print(json.dumps(result["summary"], indent=1))


if __name__ == "__main__":
    main()
