"""The public API: lazy, small, and equal to the command line."""

import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import gan3d
from gan3d.cli.app import cli

HEAVY = ("keras", "tensorflow", "jax", "numpy", "scipy", "mlflow", "pydantic", "click", "trimesh", "matplotlib")


def test_importing_gan3d_imports_nothing_heavy():
    code = "import gan3d, sys; dir(gan3d); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(HEAVY) & set(modules)
    assert [name for name in modules if name.startswith("gan3d")] == ["gan3d"]


def test_every_public_name_is_there_and_documented():
    for name in gan3d.__all__:
        assert name in dir(gan3d)
        assert name == "__version__" or getattr(gan3d, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'sampel'"):
        gan3d.sampel  # noqa: B018


@pytest.fixture(scope="module")
def folder(tmp_path_factory, architecture):
    from gan3d import model_file
    from gan3d.training.growth import grow

    path = tmp_path_factory.mktemp("model") / "r08"
    model_file.save(path, grow(None, architecture(8), 0)[2])
    return path


def test_sampling_is_that_of_the_command_line(folder, tmp_path):
    model = gan3d.load(folder)
    assert isinstance(model.model, gan3d.TrainedModel)
    shapes = gan3d.sample(model, "slab", count=3, seed=7, truncation=0.6, threshold=0.4)
    assert (shapes.shape, shapes.dtype) == ((3, 8, 8, 8), bool)
    given = f"--model {folder} --class slab --count 3 --seed 7 --truncation 0.6 --threshold 0.4 --out {tmp_path}/s.npy"
    done = CliRunner().invoke(cli, ["sample", *given.split()])
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), shapes)


def test_an_interpolation_ends_at_its_seeds(folder):
    model = gan3d.load(folder)
    steps = gan3d.interpolate(model, "column", start=3, end=9, steps=4)
    assert len(steps) == 4
    for shape, seed in ((steps[0], 3), (steps[-1], 9)):
        np.testing.assert_array_equal(shape, gan3d.sample(model, "column", seed=seed)[0])


def test_scores_of_a_data_set(dataset_folder):
    data = gan3d.VoxelDataset(dataset_folder)
    train, test = (data.voxels(16, data.select(split, "slab")) for split in ("train", "validation"))
    assert 0 < gan3d.score(train[:10], train[10:])["one_nna_cd"] < 1
    assert gan3d.score(train, train, train)["copied_generated"] == 1
    assert "no scores" in gan3d.score(train, test)["note"]
