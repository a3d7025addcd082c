"""Principal directions, and the names that they get."""

from dataclasses import replace

import numpy as np
import pytest
from candidates import tiny_with_all_parts
from small_inverter import small_inverter

from gan3d.inversion.directions import (
    PAIRS,
    find_directions,
    first_activations,
    measures,
    name_directions,
    principal_directions,
)
from gan3d.inversion.vectors import normalise
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler


def unstyled() -> Sampler:
    """Of a generator with a mapping network, whose first convolution reads the activations unscaled."""
    model = tiny_with_all_parts()
    idle = {name: 0 * value for name, value in model.ema.items() if name.startswith("r04_same_style/")}
    return Sampler(replace(model, ema=model.ema | idle))


@pytest.mark.parametrize("opened", [lambda: small_inverter().sampler, unstyled], ids=["plain", "mapping network"])
def test_activations_are_those_of_the_first_layer(opened):
    import keras
    from keras import ops

    sampler = opened()
    latents = normalise(draw_latents(0, 5, sampler.model.architecture.latent))
    outputs = []
    first = sampler.generator.convolutions[0]
    call = first.call
    try:
        first.call = lambda x: (outputs.append(ops.convert_to_numpy(x)), call(x))[1]
        sampler.generator(latents, np.full(5, 1))
    finally:
        first.call = call
    assert keras.backend.backend() in ("tensorflow", "jax")
    np.testing.assert_allclose(first_activations(sampler, latents, 1), outputs[0].reshape(5, -1), atol=1e-4)


def test_a_planted_direction_is_found():
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((500, 6))
    activations = np.outer(5 * latents[:, 2] + latents[:, 4], rng.standard_normal(40))
    activations += 0.1 * rng.standard_normal((500, 40))
    vectors, shares = principal_directions(latents, activations, 2)
    assert abs(vectors[0] @ np.array([0, 0, 5, 0, 1, 0]) / 26**0.5) > 0.99
    assert shares[0] > 0.95 > 0.05 > shares[1]


def test_measures_say_what_changes():
    base = np.zeros((2, 8, 8, 8), bool)
    base[0, 2:6, 0:4, 2:6] = True
    base[1, 2:6, 0:7, 2:6] = True
    low, high = (dict(zip(PAIRS, row, strict=True)) for row in measures(base, "y"))
    assert high["height"] - low["height"] == 3 / 8
    assert high["width"] == low["width"]
    assert high["depth"] == low["depth"]
    assert high["occupied"] > low["occupied"]
    assert high["level"] > low["level"]
    turned = measures(np.swapaxes(base, 2, 3), "z")
    assert turned[1, 0] == 7 / 8


def test_names_are_different_and_directions_point_along_them():
    effects = np.zeros((3, len(PAIRS)))
    effects[0, 0], effects[1, 0], effects[1, 1] = 0.5, -2.0, 1.0
    assert name_directions(effects) == (["variation 1", "taller", "variation 2"], [1.0, -1.0, 1.0])


def test_directions_of_a_generator():
    inverter = small_inverter()
    found = find_directions(inverter.sampler, 0, count=3)
    assert len(found.directions) == 3
    assert found.mean.shape == (inverter.latent,)
    assert len({each.name for each in found.directions}) == 3
    for each in found.directions:
        assert np.linalg.norm(each.vector) == 1 or abs(np.linalg.norm(each.vector) - 1) < 1e-5
        named = [effect for measure, effect in each.effects.items() if PAIRS[measure] == each.name]
        assert all(effect > 0 for effect in named)
