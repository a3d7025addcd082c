"""A parameter's way from params.yaml into the training step: few files, none of them twice."""

import shutil
import sys
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
import yaml
from paths import REPOSITORY

import gan3d
from gan3d.config.loading import load_params
from gan3d.config.project import Project
from gan3d.stages import train
from gan3d.training import step

MOST_FILES = 12
PACKAGE = Path(gan3d.__file__).parent
BEFORE = ["config/loading.py", "config/schema.py"]  # have returned when the training starts


class ArrivedError(Exception):
    """The learning rate has reached the optimizer: the training need not go on."""


def files_on_the_stack(frame: FrameType | None) -> list[str]:
    """The package's files on the call stack, outermost first; consecutive calls within a file count once."""
    names: list[str] = []
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE) and names[-1:] != [str(path.relative_to(PACKAGE))]:
            names.append(str(path.relative_to(PACKAGE)))
        frame = frame.f_back
    return names[::-1]


@pytest.fixture
def project(dataset_folder, tmp_path) -> Project:
    shutil.copytree(dataset_folder, tmp_path / "data" / "voxels")
    tree = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    tree["train"]["stages"] = {"r04": tree["train"]["stages"]["r04"] | {"width": 4, "lr_g": 0.01234}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    return Project(tmp_path, tmp_path)


@pytest.mark.slow
def test_a_learning_rate_reaches_the_optimizer_through_few_files_and_no_file_twice(project, monkeypatch):
    arrived: dict[float, list[str]] = {}

    def optimizer(weights, gradients, moments, lr, recipe):
        arrived[lr] = files_on_the_stack(sys._getframe(1))
        if np.isclose(lr, 0.01234):
            raise ArrivedError
        return weights, moments

    monkeypatch.setattr(step, "adam", optimizer)
    with pytest.raises(ArrivedError):
        train.run(load_params(project.params), "r04", project)
    path = [*BEFORE, *arrived[0.01234]]
    assert path[-1] == "training/step.py"
    assert len(path) == len(set(path)), f"a file is entered twice: {path}"
    assert len(path) <= MOST_FILES, path
