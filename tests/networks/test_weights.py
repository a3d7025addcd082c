"""How networks start, and what they take over from the ones they grow from."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

from gan3d.errors import UserError
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.networks.weights import assign_weights, get_weights, initialise_weights, weight_names
from gan3d.training.growth import grow


def occupancy(generator: Generator, latents, labels, alpha: float = 1.0) -> np.ndarray:
    return ops.convert_to_numpy(generator(latents, labels, alpha=alpha))


def scores(discriminator: Discriminator, voxels, labels, alpha: float = 1.0) -> np.ndarray:
    return ops.convert_to_numpy(discriminator(voxels, labels, alpha=alpha))


def train_a_little(model: keras.Model, rng: np.random.Generator) -> None:
    """Move every weight, biases too, as training would."""
    for variable in model.trainable_variables:
        variable.assign_add(0.3 * rng.standard_normal(variable.shape, np.float32))


@pytest.fixture(params=[8, 16], scope="module")
def grown(request, architecture):
    """Parent and child networks, the parent's weights all moved from their start."""
    resolution = request.param
    rng = np.random.default_rng(3)
    generator, discriminator, start = grow(None, architecture(resolution // 2), seed=1)
    for model in (generator, discriminator):
        train_a_little(model, rng)
    average = {name: value + 0.1 for name, value in get_weights(generator).items()}
    parts = {"generator": get_weights(generator), "discriminator": get_weights(discriminator)}
    parent = type(start)(start.architecture, average, **parts)
    return (generator, discriminator), parent, grow(parent, architecture(resolution), seed=2)


def test_at_alpha_0_the_generator_draws_its_parent_at_twice_the_size(grown, rng):
    (parent, _), _, (child, _, _) = grown
    latents, labels = rng.standard_normal((5, 8), np.float32), np.array([0, 1, 1, 0, 1])
    coarse = occupancy(parent, latents, labels)
    expected = coarse.repeat(2, 1).repeat(2, 2).repeat(2, 3)
    np.testing.assert_allclose(occupancy(child, latents, labels, alpha=0.0), expected, atol=1e-6)
    assert np.abs(occupancy(child, latents, labels, alpha=1.0) - expected).max() > 0.01


def test_at_alpha_0_the_discriminator_scores_as_its_parent_on_the_mean(grown, rng):
    (_, parent), _, (_, child, _) = grown
    side = child.architecture.resolution
    fine, labels = rng.random((8, side, side, side, 1), np.float32), np.array([0, 1] * 4)
    coarse = fine.reshape(8, side // 2, 2, side // 2, 2, side // 2, 2, 1).mean((2, 4, 6))
    np.testing.assert_allclose(scores(child, fine, labels, alpha=0.0), scores(parent, coarse, labels), atol=2e-5)
    assert np.abs(scores(child, fine, labels, alpha=1.0) - scores(parent, coarse, labels)).max() > 1e-3


def test_half_faded_in_lies_halfway(grown, rng):
    _, _, (child, _, _) = grown
    latents, labels = rng.standard_normal((3, 8), np.float32), np.array([0, 1, 1])
    start, middle, end = (occupancy(child, latents, labels, alpha=alpha) for alpha in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(middle, (start + end) / 2, atol=1e-6)


def test_at_alpha_1_the_old_heads_have_no_effect(grown, rng):
    _, _, (generator, discriminator, start) = grown
    side = generator.architecture.resolution
    latents, labels = rng.standard_normal((4, 8), np.float32), np.array([0, 1, 1, 0])
    voxels = rng.random((4, side, side, side, 1), np.float32)
    heard = occupancy(generator, latents, labels), scores(discriminator, voxels, labels)
    for model in (generator, discriminator):
        for variable in model.heads[0].trainable_variables:
            variable.assign_add(ops.ones(variable.shape))
    # to rounding: coarse + 1 · (fine - coarse)
    np.testing.assert_allclose(occupancy(generator, latents, labels), heard[0], atol=1e-6)
    np.testing.assert_allclose(scores(discriminator, voxels, labels), heard[1], atol=1e-5)
    assign_weights(generator, start.generator)
    assign_weights(discriminator, start.discriminator)


def test_weights_are_taken_over_by_name(grown):
    _, parent, (generator, discriminator, start) = grown
    side = generator.architecture.resolution
    for model, old, new in (
        (generator, parent.generator, start.generator),
        (discriminator, parent.discriminator, start.discriminator),
    ):
        names = weight_names(model)
        assert len(set(names)) == len(names)
        for name in names:
            assert np.array_equal(get_weights(model)[name], new[name])
            if name in old:
                assert np.array_equal(new[name], old[name])
        assert {name.split("_")[0] for name in set(names) - set(old)} == {f"r{side:02d}"}
    for name, value in start.ema.items():
        assert np.array_equal(value, parent.ema[name] if name in parent.ema else start.generator[name])


def test_missing_weights_are_named_and_wrong_shapes_refused(architecture):
    model = Generator(architecture(8))
    values = get_weights(Generator(architecture(4)))
    missing = assign_weights(model, values)
    assert sorted(missing) == sorted(set(weight_names(model)) - set(values))
    with pytest.raises(ValueError, match="shape"):
        assign_weights(model, {"first/kernel": np.zeros((2, 2), np.float32)})


@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_a_start_depends_on_seed_and_name_alone(network, architecture):
    """Not on the order of creation, on what was drawn before, or on the resolution that the network ends at."""
    keras.utils.set_random_seed(1)
    first = network(architecture(8))
    initialise_weights(first, 5)
    keras.utils.set_random_seed(2)
    network(architecture(4))
    again, larger, other = network(architecture(8)), network(architecture(16)), network(architecture(8))
    for model, seed in ((other, 6), (larger, 5), (again, 5)):
        initialise_weights(model, seed)
    weights = get_weights(first)
    for name, value in get_weights(again).items():
        assert value.tobytes() == weights[name].tobytes()
    shared = set(weights) & set(get_weights(larger))
    assert len(shared) >= len(weights) - 2  # all but the head that only the smaller one has
    for name in shared - {"r04_head/kernel"}:
        assert np.array_equal(get_weights(larger)[name], weights[name])
    for name, value in get_weights(other).items():
        assert np.array_equal(value, weights[name]) == name.endswith("/bias")


def test_kernels_start_from_a_standard_normal_and_differ(architecture):
    model = Generator(architecture(16))
    initialise_weights(model, 0)
    kernels = [value for name, value in get_weights(model).items() if name.endswith("/kernel")]
    drawn = np.concatenate([kernel.ravel() for kernel in kernels])
    assert drawn.mean() == pytest.approx(0, abs=0.03)
    assert drawn.std() == pytest.approx(1, abs=0.03)
    assert len(np.unique(drawn)) > 0.99 * drawn.size  # no two kernels from one stream


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.8])
def test_an_untrained_generator_draws_neither_nothing_nor_everything(architecture, rng, share):
    """Its logits are about N(logit of the data's occupancy, 1), plus a common shift by the seed."""
    a = architecture(8)
    model = Generator(type(a)(a.latent, a.classes, (16, 16), (share, share)))
    latents, labels = rng.standard_normal((16, 8), np.float32), np.arange(16) % 2
    for seed in range(6):
        initialise_weights(model, seed)
        drawn = occupancy(model, latents, labels)
        assert drawn.min() < share < drawn.max()
        odds = drawn.mean() / (1 - drawn.mean())
        assert abs(np.log(odds) - np.log(share / (1 - share))) < 2


def test_the_first_bias_is_the_logit_of_the_occupancy(architecture):
    a = architecture(16)
    for resolution, share in zip(a.resolutions, a.occupancy, strict=True):
        assert 1 / (1 + np.exp(-a.first_bias(resolution))) == pytest.approx(share)
    for share in (0.0, 1.0):
        extreme = type(a)(8, ("chair",), (4,), (share,))
        assert np.isfinite(extreme.first_bias(4))


@pytest.mark.parametrize(
    ("field", "value"), [("latent", 9), ("classes", ("slab", "column")), ("classes", ("column",)), ("widths", (7, 5))]
)
def test_a_model_that_does_not_fit_is_not_grown_from(architecture, field, value):
    """Classes in another order would fit, and be mistaken for each other."""
    parent = grow(None, architecture(4), seed=1)[2]
    with pytest.raises(UserError, match=field):
        grow(parent, replace(architecture(8), **{field: value}), seed=1)
