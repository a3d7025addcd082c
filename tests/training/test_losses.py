"""Losses against their closed forms; gradient penalties against known gradients and finite differences."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from gan3d.backend import value_and_grad
from gan3d.networks.convolutions import conv_down, conv_same
from gan3d.training.losses import DRIFT, LOSSES, interleave, r1, r1_r2, squared_gradient_norms, wgan_gp

SHAPE = (5, 4, 4, 4, 1)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# D's and G's loss for scores of real and fake, in NumPy, as the papers write them
CLOSED = {
    "relativistic": (
        lambda real, fake: -np.log(sigmoid(real - fake)).mean(),
        lambda real, fake: -np.log(sigmoid(fake - real)).mean(),
    ),
    "non_saturating": (
        lambda real, fake: -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean(),
        lambda real, fake: -np.log(sigmoid(fake)).mean(),
    ),
    "wgan_gp": (
        lambda real, fake: fake.mean() - real.mean() + DRIFT * (real**2).mean(),
        lambda real, fake: -fake.mean(),
    ),
}
CLOSED["bce_gated"] = CLOSED["non_saturating"]


@pytest.mark.parametrize("name", LOSSES)
@given(st.lists(st.tuples(*[st.floats(-10, 10)] * 2), min_size=1, max_size=6))
@settings(deadline=None, max_examples=20)
def test_losses_against_their_closed_form(name, pairs):
    real, fake = np.array(pairs, np.float64).T
    for function, closed in zip((LOSSES[name].discriminator, LOSSES[name].generator), CLOSED[name], strict=True):
        found = float(function(ops.convert_to_tensor(real), ops.convert_to_tensor(fake)))
        assert found == pytest.approx(closed(real, fake), rel=1e-6, abs=3e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_stay_finite_for_huge_scores(name):
    real, fake = np.array([1e4, -1e4], np.float32), np.array([-1e4, 1e4], np.float32)
    for function in (LOSSES[name].discriminator, LOSSES[name].generator):
        assert np.isfinite(float(function(real, fake)))


@pytest.mark.parametrize("name", LOSSES)
def test_each_side_is_pushed_the_right_way(name, rng):
    """D raises real and lowers fake scores, G raises fake ones; at scores so small that no margin is reached."""
    scores = [ops.convert_to_tensor(rng.uniform(-0.5, 0.5, 6).astype(np.float32)) for _ in range(2)]
    _, (real, fake) = value_and_grad(lambda s: (LOSSES[name].discriminator(*s), None))(scores)
    assert (ops.convert_to_numpy(real) < 0).all()
    assert (ops.convert_to_numpy(fake) > 0).all()
    _, (_, fake) = value_and_grad(lambda s: (LOSSES[name].generator(*s), None))(scores)
    assert (ops.convert_to_numpy(fake) < 0).all()


def linear(weights: np.ndarray):
    """A discriminator whose gradient is `weights` everywhere."""
    return lambda x: ops.sum(x * weights, axis=(1, 2, 3, 4))


def quadratic(weights: np.ndarray):
    """A discriminator whose gradient at x is `weights` · x."""
    return lambda x: ops.sum(x * x * weights, axis=(1, 2, 3, 4)) / 2


@pytest.fixture
def grids(rng):
    """Weights, real and fake shapes and mixing ratios, float64."""
    real, fake = (rng.random(SHAPE) for _ in range(2))
    return rng.standard_normal(SHAPE[1:]), real, fake, rng.random(SHAPE[0])


def test_penalties_of_a_linear_discriminator(grids):
    weights, *shapes = grids
    squared = (weights**2).sum()
    for penalty, expected in ((r1, squared / 2), (r1_r2, squared), (wgan_gp, (squared**0.5 - 1) ** 2)):
        assert float(penalty(linear(weights), *map(ops.convert_to_tensor, shapes))) == pytest.approx(expected, rel=1e-6)


def test_penalties_of_a_quadratic_discriminator(grids):
    weights, real, fake, mix = grids
    ratio = mix.reshape(-1, 1, 1, 1, 1)
    at = {"real": real, "fake": fake, "between": (1 - ratio) * real + ratio * fake}
    norms = {name: ((weights * x) ** 2).sum((1, 2, 3, 4)) for name, x in at.items()}
    expected = {
        "r1": norms["real"].mean() / 2,
        "r1_r2": norms["real"].mean() / 2 + norms["fake"].mean() / 2,
        "wgan_gp": ((norms["between"] ** 0.5 - 1) ** 2).mean(),
    }
    for penalty in (r1, r1_r2, wgan_gp):
        found = float(penalty(quadratic(weights), *map(ops.convert_to_tensor, (real, fake, mix))))
        assert found == pytest.approx(expected[penalty.__name__], rel=1e-6)


def test_pairs_lie_side_by_side(grids):
    _, real, fake, _ = grids
    both = ops.convert_to_numpy(interleave(ops.convert_to_tensor(real), ops.convert_to_tensor(fake)))
    assert np.array_equal(both[::2], real)
    assert np.array_equal(both[1::2], fake)


def test_there_is_one_gradient_norm_per_shape(grids):
    weights, real, *_ = grids
    found = ops.convert_to_numpy(squared_gradient_norms(quadratic(weights), ops.convert_to_tensor(real)))
    np.testing.assert_allclose(found, ((weights * real) ** 2).sum((1, 2, 3, 4)), rtol=1e-6)


def test_the_gradient_penalty_is_finite_where_the_gradient_vanishes(grids):
    _, real, fake, mix = grids

    def penalty(weights):
        return wgan_gp(linear(weights), *map(ops.convert_to_tensor, (real, fake, mix))), None

    (value, _), gradient = value_and_grad(penalty)(ops.zeros(SHAPE[1:], "float64"))
    assert float(value) == pytest.approx(1, abs=1e-4)
    assert np.isfinite(ops.convert_to_numpy(gradient)).all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_penalised_loss_has_the_gradient_that_finite_differences_find(name, rng):
    """Second order, through the fused convolutions: d (loss + γ · penalty) / d weights of a smooth discriminator."""
    real, fake = (ops.convert_to_tensor(rng.random((3, 4, 4, 4, 1))) for _ in range(2))
    mix = ops.convert_to_tensor(rng.random(3))
    weights = [rng.standard_normal(s) / 3 for s in ((3, 3, 3, 1, 3), (3, 3, 3, 3, 2), (2 * 2**3,))]

    def discriminate(weights, x):
        x = ops.tanh(conv_same(x, weights[0]))
        x = ops.softplus(conv_down(x, weights[1]))
        return ops.sum(ops.reshape(x, (-1, 16)) * weights[2], axis=1)

    def penalised(weights):
        loss = LOSSES[name].discriminator(discriminate(weights, real), discriminate(weights, fake))
        if penalty := LOSSES[name].penalty:
            loss = loss + ops.cast(penalty(lambda x: discriminate(weights, x), real, fake, mix), "float64")
        return loss, None

    _, gradients = value_and_grad(penalised)([ops.convert_to_tensor(w) for w in weights])
    for trial in range(3):
        direction = [np.random.default_rng(trial).standard_normal(w.shape) for w in weights]
        h = 1e-3  # norms are float32, hence good to 1e-7: a smaller step would measure their rounding
        ends = [
            [ops.convert_to_tensor(w + s * h * d) for w, d in zip(weights, direction, strict=True)] for s in (1, -1)
        ]
        slope = (float(penalised(ends[0])[0]) - float(penalised(ends[1])[0])) / (2 * h)
        expected = sum(float(ops.sum(g * d)) for g, d in zip(gradients, direction, strict=True))
        assert expected == pytest.approx(slope, rel=1e-3, abs=1e-4)


def test_losses_are_what_their_names_promise():
    assert {name: loss.penalty for name, loss in LOSSES.items()} == {
        "relativistic": r1_r2,
        "non_saturating": r1,
        "wgan_gp": wgan_gp,
        "bce_gated": None,
    }
    assert [name for name, loss in LOSSES.items() if loss.gated] == ["bce_gated"]
    assert replace(LOSSES["bce_gated"], gated=False, penalty=r1) == LOSSES["non_saturating"]
