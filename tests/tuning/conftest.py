"""A small project with prepared data and a model to grow from, ready for sweeps of r08."""

import csv
import os
import shutil
from pathlib import Path

import mlflow
import pytest
from paths import REPOSITORY
from small_project import edit, small

from gan3d import model_file
from gan3d.config.loading import load_params
from gan3d.config.project import Project
from gan3d.dataset import VoxelDataset
from gan3d.stages.spec import stage_spec
from gan3d.training.growth import grow
from gan3d.training.loop import LoggingSchedule, train


@pytest.fixture(scope="session")
def untrained(tmp_path_factory, dataset_folder) -> Path:
    """Prepared data and parameters."""
    root = tmp_path_factory.mktemp("tuned") / "project"
    shutil.copytree(dataset_folder, root / "data" / "voxels")
    manifest = root / "data" / "voxels" / "manifest.csv"
    with manifest.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    for i, row in enumerate(rows):  # more validation shapes than scores need at least
        row["split"] = "validation" if i % 2 else "train"
    with manifest.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    shutil.copy(REPOSITORY / "params.yaml", root)
    (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    edit(Project(root, root), small)
    return root


@pytest.fixture(scope="session")
def template(tmp_path_factory, untrained) -> Path:
    """The same with a model of 4³."""
    root = tmp_path_factory.mktemp("grown") / "project"
    shutil.copytree(untrained, root)
    home = Project(root, root)
    loaded = load_params(home.params)
    data = VoxelDataset(home.voxels)
    first = grow(None, stage_spec(loaded, "r04", data).architecture, 0)
    model_file.save(
        home.model("r04"), train(data, first, loaded.recipe("r04"), root / "unfinished", LoggingSchedule(64))[0]
    )
    return root


def copied(template: Path, folder: Path) -> Project:
    root = folder / "project"
    shutil.copytree(template, root)
    return Project(root, root)


@pytest.fixture
def planned(untrained, tmp_path) -> Project:
    """A project for tests that train nothing."""
    return copied(untrained, tmp_path)


@pytest.fixture
def home(template, tmp_path) -> Project:
    return copied(template, tmp_path)


@pytest.fixture(autouse=True)
def leave_nothing_open():
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    yield
    while mlflow.active_run():
        mlflow.end_run()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
