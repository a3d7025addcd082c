"""A shape of one's own in Python: inverted, varied, walked to, combined, completed."""

import numpy as np
import pytest
from small_inverter import crisp, small_inverter

from gan3d.api.models import Model
from gan3d.errors import UserError
from gan3d.inversion.latent_file import load_latent
from gan3d.shape_io import meshing


@pytest.fixture(scope="module")
def model():
    made = Model(crisp())
    made._sampler, made._inverter = small_inverter().sampler, small_inverter()  # compiled once for all tests
    return made


@pytest.fixture(scope="module")
def mine(model):
    return model.invert(model.sample("chair", seed=5).voxels[0], "chair")


def test_an_array_and_a_file_are_inverted(model, mine, tmp_path):
    assert mine.iou > 0.7
    assert mine.class_name == mine.shape.name == "chair"
    assert mine.message in repr(mine)
    np.testing.assert_array_equal(mine.shape.voxels, model.sample("chair", latents=mine.latent).voxels[0])
    path = tmp_path / "chair.stl"
    path.write_bytes(meshing.blocks(mine.target).export(file_type="stl"))
    again = model.invert(path)
    assert again.shape.origin == "inverted chair.stl"
    with pytest.raises(UserError, match="does not exist"):
        model.invert("none.stl")


def test_the_latent_is_saved(mine, tmp_path):
    found = load_latent(mine.save(tmp_path / "mine.npz"), crisp())
    np.testing.assert_array_equal(found.vector, mine.latent)


def test_it_is_varied_walked_to_combined_and_completed(model, mine):
    same = model.vary(mine.shape, strength=0, count=2)
    np.testing.assert_array_equal(same.voxels[0], mine.shape.voxels)
    assert not np.array_equal(model.vary(mine.shape, 0.5, 1).voxels[0], mine.shape.voxels)
    walk = model.interpolate(mine.shape, 7, steps=3)
    np.testing.assert_array_equal(walk.voxels[0], mine.shape.voxels)
    back = model.combine(mine.shape, 3, 3)
    np.testing.assert_array_equal(back.voxels, mine.shape.voxels)
    given = np.zeros((8, 8, 8), bool)
    given[:4] = True
    done = model.complete(mine.target, given, "chair", count=1)
    np.testing.assert_array_equal(done.voxels[0][given], mine.target[given])
    assert len(model.directions("chair").directions) == 8
    with pytest.raises(UserError, match="count 0 is out of range"):
        model.vary(mine.shape, count=0)
