"""Trainings in MLflow as the pipeline leaves them: parameters, curves, pictures, model, and an evaluation."""

import json
from pathlib import Path

import numpy as np
from candidates import rows, tiny
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from gan3d import model_file
from gan3d.metrics.rows import MEAN
from gan3d.tracking.history import TRAINING_RUN
from gan3d.tracking.metric_names import logged_name
from gan3d.tracking.store import experiment_id


def score_rows(score: float, error: float = 0.01, floor: float = 0.51) -> list[dict]:
    """Rows of two classes and their mean, with standard errors."""
    found = rows(score)
    found += [row | {"class": MEAN} for row in found[:2]]
    for row in found:
        if row["kind"] == "floor":
            row["one_nna_cd"] = floor
        row |= {f"{name}_se": error for name in ("one_nna_cd", "cov_cd", "mmd_cd_x1e3")}
    return found


def log_training(
    client: MlflowClient, folder: Path | None, name: str, score: float, lr: float, seed: int = 0, **scores
) -> str:
    """Log the training of a tiny generator at 8³, and its evaluation; returns the training's id.

    Args:
        folder: for the files; None logs neither files nor pictures.
        name: of the experiment.
    """
    experiment = experiment_id(client)
    run = client.create_run(experiment, run_name=f"furniture {name}").info.run_id
    tags = {"stage": "r08", "name": "furniture", "dvc.exp_name": name, "git.commit": "a" * 40}
    params = {"lr_g": str(lr), "lr_d": "0.005", "loss": "relativistic", "gate": "(0.0, 0.8)", "seed": "0"}
    curve = [Metric(logged_name("loss_g"), 1 + lr * step, step, step) for step in range(512, 8193, 512)]
    client.log_batch(run, curve, [Param(*item) for item in params.items()], [RunTag(*item) for item in tags.items()])
    scored = client.create_run(experiment, run_name="furniture evaluate").info.run_id
    for tag in ({"stage": "evaluate", TRAINING_RUN: run}).items():
        client.set_tag(scored, *tag)
    if folder is not None:
        model_file.save(folder / name / "model", tiny(seed))
        client.log_artifacts(run, str(folder / name / "model"), "model")
        for step in (4096, 8192 + seed):
            client.log_image(run, np.full((64, 64, 3), 40 * seed, np.uint8), key="samples", step=step)
        client.log_text(scored, json.dumps(score_rows(score, **scores)), "table.json")
    for each in (run, scored):
        client.set_terminated(each)
    return run
