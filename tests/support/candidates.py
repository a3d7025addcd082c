"""A tiny generator and what a pipeline would know of it."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from gan3d.model_file import TrainedModel
from gan3d.networks.architecture import Architecture
from gan3d.registry.log import Facts
from gan3d.tracking import store
from gan3d.training.growth import grow

CLASSES = ("chair", "table")
MODEL = "furniture"  # name of the registered model


def tiny(seed: int = 0, classes: tuple[str, ...] = CLASSES, **fields) -> TrainedModel:
    """An untrained generator of 8³ with the weights of a seed; `fields` change its architecture."""
    return grow(None, replace(Architecture(8, classes, (8, 4), (0.3, 0.2)), **fields), seed)[2]


def tiny_with_all_parts(seed: int = 0, classes: tuple[str, ...] = CLASSES, **fields) -> TrainedModel:
    """`tiny` with a mapping network, residual blocks and a denoiser; all weights are random, so that none is idle."""
    from gan3d.networks.generator import Generator
    from gan3d.networks.weights import get_weights, initialise_weights

    model = tiny(seed, classes, mapping=2, residual=1, **fields)
    architecture = replace(model.architecture, denoiser=True)
    generator, rng = Generator(architecture), np.random.default_rng(seed)
    initialise_weights(generator, seed)
    weights = {
        name: (value + 0.3 * rng.standard_normal(value.shape)).astype(np.float32)
        for name, value in get_weights(generator).items()
    }
    return replace(model, architecture=architecture, ema=weights)


def rows(score: float | None, classes: tuple[str, ...] = CLASSES, resolution: int = 8, count: int = 20) -> list[dict]:
    """Rows as the protocol makes them, with the same score for each class."""
    result = []
    for name in classes:
        for kind, value in (("generated", score), ("floor", 0.51)):
            row = {"kind": kind, "class": name, "resolution": resolution, "draws": 3, "seed": 0}
            row |= {"generated": count, "reference": count, "empty_generated": 0}
            row |= {"one_nna_cd": value, "one_nna_cd_std": None if value is None else 0.01}
            row |= {"excess": value, "excess_se": None if value is None else 0.02}
            row |= {"cov_cd": 0.4, "cov_cd_std": 0.02, "mmd_cd_x1e3": 2.5, "mmd_cd_x1e3_std": 0.1}
            if value is None:
                row["note"] = f"no scores: {count} generated and 4 real shapes remain"
            result.append(row)
    return result


def connect(mlruns: Path) -> MlflowClient:
    """To this store alone: MLflow leaves the last one's URI in the environment, where it would win."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    return store.connect(mlruns)


def facts(score: float | None = 0.8, **changes) -> Facts:
    counts = {name: {"train": 100, "validation": 10, "test": 20} for name in CLASSES}
    given = {
        "data": {"source": "synthetic", "counts": counts, "test_split": "0123456789abcdef"},
        "training": [{"stage": "r04", "images": 1000, "loss": "relativistic", "lr_g": 1e-3, "lr_d": 2e-3}],
        "scores": rows(score),
        "tags": {"git.commit": "abc", "dvc.stage": "register"},
        "training_run": "f" * 32,
    }
    return Facts(**(given | changes))
