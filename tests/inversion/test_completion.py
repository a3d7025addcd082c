"""What is given stays, the rest is drawn."""

import numpy as np
import pytest
from small_inverter import small_inverter

from gan3d.errors import UserError
from gan3d.inversion.completion import SIDES, complete, half
from gan3d.sampling.latents import draw_latents


def test_what_is_given_stays_and_fits():
    inverter = small_inverter()
    shape = inverter.draw(draw_latents(3, 1, inverter.latent), 0)[0]
    given = half(8, "left", "y")
    done = complete(inverter, shape & given, given, "chair", count=3, seed=1, evaluations=60)
    assert (done.voxels[:, given] == shape[given]).all()
    assert done.latents.shape == (3, inverter.latent)
    assert list(done.ious) == sorted(done.ious, reverse=True)
    assert done.ious[0] > 0.9
    np.testing.assert_array_equal(done.occupancy > inverter.sampler.model.threshold, done.voxels)
    again = complete(inverter, shape & given, given, "chair", count=3, seed=1, evaluations=60)
    np.testing.assert_array_equal(done.latents, again.latents)
    other = complete(inverter, shape & given, given, "chair", count=3, seed=2, evaluations=5)
    assert not np.array_equal(done.latents, other.latents)


def test_halves_are_where_their_names_say():
    for up, axis in (("y", 1), ("z", 2)):
        masks = {side: half(8, side, up) for side in SIDES}
        for low, high in (("left", "right"), ("bottom", "top"), ("front", "back")):
            assert (masks[low] ^ masks[high]).all()
            assert masks[low].sum() == 256
        assert np.take(masks["bottom"], 0, axis).all()
        assert not np.take(masks["top"], 0, axis).any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 0}, "count 0 is out of range"),
        ({"count": 99}, "count 99 is out of range"),
        ({"given": np.zeros((8, 8, 8), bool)}, "nothing of the shape is given"),
        ({"given": np.ones((4, 4, 4), bool)}, "does not fit"),
        ({"class_name": "sofa"}, "is not known to this model"),
    ],
)
def test_misuse_is_one_sentence(change, words):
    given = {"voxels": np.ones((8, 8, 8), bool), "given": half(8, "left", "y")} | change
    with pytest.raises(UserError, match=words):
        complete(small_inverter(), **given)
    with pytest.raises(UserError, match="side 'above' does not exist"):
        half(8, "above", "y")
