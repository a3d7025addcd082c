"""Fixtures for all tests: a quiet CPU backend, real data next to the repository, a tiny prepared data set."""

import csv
import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from paths import SHARED

# before anything imports Keras; a test of Keras imports it in its own module
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # inherited from a shell's background job; some tests send Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

from gan3d.dataset import COLUMNS, SPLITS, VoxelDataset, resolution_key
from gan3d.networks.architecture import Architecture
from gan3d.training.recipe import Recipe
from gan3d.voxels import max_pool, pack_bits

CLASSES = ("column", "slab")
COUNTS = {"train": 20, "validation": 6, "test": 6}  # shapes per class


@pytest.fixture(autouse=True)
def no_active_experiment() -> Iterator[None]:
    """`mlflow.set_experiment` leaves its number to all later processes, whose stores do not have it."""
    yield
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data next to the repository."""
    if not SHARED.is_dir():
        pytest.skip("no real data next to the repository")
    return SHARED


def column(rng: np.random.Generator, side: int) -> np.ndarray:
    """An upright bar (y is up) anywhere on the ground."""
    shape = np.zeros((side,) * 3, bool)
    x, z = rng.integers(0, side // 2, 2)
    width = rng.integers(side // 8, side // 3)
    shape[x : x + width, : rng.integers(side // 2, side + 1), z : z + width] = True
    return shape


def slab(rng: np.random.Generator, side: int) -> np.ndarray:
    """A flat plate over most of the ground at any height."""
    shape = np.zeros((side,) * 3, bool)
    y, thick = rng.integers(0, side * 3 // 4), rng.integers(1, side // 4)
    wide, deep = rng.integers(side // 2, side + 1, 2)
    shape[:wide, y : y + thick, :deep] = True
    return shape


def write_dataset(folder: Path, classes: tuple[str, ...] = CLASSES, resolution: int = 16) -> Path:
    """Write a small data set as `gan3d.dataset` documents it: columns and slabs, in three splits."""
    rng = np.random.default_rng(7)
    makers = {"column": column, "slab": slab}
    shapes, rows = [], []
    for name in classes:
        for split in SPLITS:
            for i in range(COUNTS[split]):
                shapes.append(makers[name](rng, resolution))
                digest = hashlib.sha256(shapes[-1].tobytes()).hexdigest()[:32]
                rows.append((f"{name}/{split}{i:02d}.off", name, split, f"{name}{split}{i}", digest, "made"))
    folder.mkdir(parents=True)
    voxels, occupancy = np.stack(shapes), {}
    training = np.array([row[2] == "train" for row in rows])
    while (side := voxels.shape[1]) >= 4:
        np.save(folder / f"{resolution_key(side)}.npy", pack_bits(voxels))
        occupancy[resolution_key(side)] = float(voxels[training].mean())
        voxels = max_pool(voxels)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([COLUMNS, *rows])
    (folder / "rejects.csv").write_text("file,reason,advice\n", encoding="utf-8")
    summary = {"classes": list(classes), "up": "y", "resolution": resolution, "occupancy": occupancy}
    summary["mirror"] = dict.fromkeys(classes, "x")
    summary["symmetric"] = dict.fromkeys(classes, 0.6)
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory) -> Path:
    """Two classes up to 16³, with 20, 6 and 6 shapes per class."""
    return write_dataset(tmp_path_factory.mktemp("data") / "prepared")


@pytest.fixture(scope="session")
def fine_dataset_folder(tmp_path_factory) -> Path:
    """The same up to 64³."""
    return write_dataset(tmp_path_factory.mktemp("data") / "fine", resolution=64)


@pytest.fixture(scope="session")
def dataset(dataset_folder) -> VoxelDataset:
    return VoxelDataset(dataset_folder)


@pytest.fixture(scope="session")
def columns(tmp_path_factory) -> VoxelDataset:
    """The same data with one class."""
    return VoxelDataset(write_dataset(tmp_path_factory.mktemp("data") / "columns", ("column",)))


WIDTHS = (6, 5, 4)  # at 4³, 8³, 16³


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def architecture_for(data: VoxelDataset, resolution: int, latent: int = 8) -> Architecture:
    count = (4, 8, 16).index(resolution) + 1
    occupancy = tuple(data.summary["occupancy"][resolution_key(side)] for side in (4, 8, 16)[:count])
    return Architecture(latent, tuple(data.classes), WIDTHS[:count], occupancy)


@pytest.fixture(scope="session")
def architecture(dataset) -> Callable[..., Architecture]:
    """A small architecture for the tiny data set, up to a resolution."""
    return lambda resolution, data=dataset: architecture_for(data, resolution)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Fast enough to change the weights visibly in a few steps."""
    return Recipe(batch=8, penalty_every=2, lr_g=5e-3, lr_d=5e-3, ema=0.5, fade_in=64, stabilise=64, seed=3)
