"""The cost estimate counts every layer that a stage trains."""

import math
from dataclasses import replace

from candidates import tiny, tiny_with_all_parts

from gan3d.model_schema import generator_arrays
from gan3d.monitoring.cost import count_denoiser, count_forward, estimate_cost
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.training.recipe import Recipe


def weights_of(architecture) -> int:
    return sum(math.prod(array.shape) for array in generator_arrays(architecture).values())


def test_all_parts_are_counted():
    plain, full = tiny().architecture, tiny_with_all_parts().architecture
    (flops, stored), (more_flops, more_stored) = (
        count_forward(Generator(architecture), architecture.resolution) for architecture in (plain, full)
    )
    assert more_flops - flops == 2 * 2 * 27 * 4 * 4 * 8**3  # two convolutions of four channels at 8³
    assert more_stored - stored == 2 * 2 * 4 * 8**3 + 8 * 4**3 + 8 * 4**3 + 4 * 8**3  # and three styled inputs
    assert Generator(full).count_params() == weights_of(full)


def test_a_denoiser_costs_weights_and_time():
    plain, recipe = tiny().architecture, Recipe()
    networks = Generator(plain), Discriminator(plain)
    without, some, more = (estimate_cost(*networks, recipe, 1e9, images) for images in (0, 1000, 2000))
    weights, flops, stored = count_denoiser(plain)
    assert some.parameters_g == without.parameters_g + weights == weights_of(replace(plain, denoiser=True))
    assert (some.flops, some.memory) == (without.flops, without.memory)  # its own training needs less memory
    assert math.isclose(more.seconds - some.seconds, some.seconds - without.seconds)
    assert math.isclose(some.seconds - without.seconds, 1000 * 3 * flops / 0.5e9)
    encode, decode = 27 * (4 * 8**3 + 4 * 8 * 4**3), 64 * 8 * 4 * 4**3 + 27 * 4 * 4 * 8**3
    assert flops == 2 * (encode + 27 * 8 * 8 * 4**3 + decode + 4 * 8**3)
    assert stored == 2 * (3 * 4 * 8**3 + 2 * 8 * 4**3 + 8**3)
