"""Two trainings share a name only if one is the beginning of the other."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from gan3d.dataset import VoxelDataset
from gan3d.training.fingerprint import training_fingerprint
from gan3d.training.growth import grow


@pytest.fixture
def start(architecture):
    return grow(None, architecture(4), 0)[2]


def mirrored(dataset_folder, tmp_path, axis: str) -> VoxelDataset:
    """The data set with another axis of symmetry measured."""
    folder = shutil.copytree(dataset_folder, tmp_path / axis)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    summary["mirror"] = dict.fromkeys(summary["classes"], axis)
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return VoxelDataset(folder)


def test_all_but_the_number_of_images_counts(dataset, start, recipe):
    own = training_fingerprint(dataset, start, recipe)
    assert training_fingerprint(dataset, start, replace(recipe, stabilise=recipe.stabilise * 2)) == own
    assert training_fingerprint(dataset, replace(start, threshold=0.3), recipe) == own  # which is no part of training
    for change in ({"lr_g": 0.1}, {"fade_in": 8}, {"seed": 4}, {"mirror": "z"}, {"ada_target": 0.6}):
        assert training_fingerprint(dataset, start, replace(recipe, **change)) != own
    other = {name: value + 1 if value.ndim else value for name, value in start.discriminator.items()}
    assert any(np.any(other[name] != start.discriminator[name]) for name in other)
    assert training_fingerprint(dataset, replace(start, discriminator=other), recipe) != own


def test_measured_axes_of_symmetry_count(dataset_folder, tmp_path, start, recipe):
    along_x, along_z = (mirrored(dataset_folder, tmp_path, axis) for axis in "xz")
    measured = replace(recipe, mirror="measured")
    assert training_fingerprint(along_x, start, measured) != training_fingerprint(along_z, start, measured)
    assert training_fingerprint(along_x, start, recipe) == training_fingerprint(
        along_z, start, recipe
    )  # where one axis is named for all
