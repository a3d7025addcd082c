"""The optional parts of the generator: mapping network with styles, residual blocks."""

from dataclasses import replace

import numpy as np
import pytest
from keras import ops

from gan3d import model_schema
from gan3d.errors import UserError
from gan3d.networks.generator import Generator
from gan3d.networks.weights import assign_weights, get_weights, initialise_weights
from gan3d.training.growth import check_growth, grow


def draw(generator: Generator, rows: int = 3) -> np.ndarray:
    latents = np.random.default_rng(0).standard_normal((rows, generator.architecture.latent)).astype(np.float32)
    return ops.convert_to_numpy(generator(ops.convert_to_tensor(latents), ops.zeros(rows, "int32")))


def test_a_residual_block_starts_as_the_identity(architecture):
    plain, deep = Generator(architecture(8)), Generator(replace(architecture(8), residual=2))
    for generator in (plain, deep):
        initialise_weights(generator, 0)
    np.testing.assert_allclose(draw(deep), draw(plain), atol=1e-5)
    kernel = "r08_residual2_out/kernel"
    assign_weights(deep, {kernel: np.ones_like(get_weights(deep)[kernel])})
    assert np.abs(draw(deep) - draw(plain)).max() > 1e-3


def test_styles_scale_the_channels_of_every_convolution(architecture):
    generator = Generator(replace(architecture(8), mapping=2))
    initialise_weights(generator, 0)
    names = [name for name in get_weights(generator) if name.endswith("_style/kernel")]
    assert names == [f"{layer}_style/kernel" for layer in ("r04_same", "r08_up", "r08_same")]
    before = draw(generator)
    for name in names:
        value = get_weights(generator)[name]
        assign_weights(generator, {name: 0 * value})
        assert np.abs(draw(generator) - before).max() > 1e-3
        assign_weights(generator, {name: value})


@pytest.mark.parametrize("parts", [{"mapping": 2}, {"residual": 1}, {"denoiser": True}, {"mapping": 1, "residual": 2}])
@pytest.mark.parametrize("resolution", [4, 8, 16])
def test_the_schema_lists_the_arrays_of_the_generator(architecture, parts, resolution):
    a = replace(architecture(resolution), **parts)
    arrays = {name: tuple(value.shape) for name, value in get_weights(Generator(a)).items()}
    assert {name: array.shape for name, array in model_schema.generator_arrays(a).items()} == arrays


def test_all_parts_grow(architecture):
    parts = {"mapping": 2, "residual": 1}
    small = grow(None, replace(architecture(4), **parts), 0)[2]
    grown = grow(small, replace(architecture(8), **parts), 0)[2]
    assert np.array_equal(grown.generator["mapping1/kernel"], small.generator["mapping1/kernel"])
    with pytest.raises(UserError, match=r"mapping 2, but params\.yaml now says 0"):
        check_growth(small.architecture, architecture(8))
