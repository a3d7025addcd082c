"""Estimate a stage's cost before it starts: parameters, operations, memory, time."""

import time
from dataclasses import dataclass

from keras import ops

from gan3d.networks.architecture import Architecture
from gan3d.networks.convolutions import conv_same
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.networks.layers import EqualizedConv3D
from gan3d.training.recipe import Recipe

# forward-pass equivalents per image: D forward and backward on real and fake, and on the fake for G; G forward and
# backward
DISCRIMINATOR_PASSES, GENERATOR_PASSES = 8, 3
DENOISER_PASSES = 3  # forward and backward
PENALTY_PASSES = 6  # per penalised image: forward, gradient, and backward through both; twice with R1 and R2
EFFICIENCY = 0.5  # of whole steps, relative to a bare convolution; measured on two cores


@dataclass(frozen=True)
class CostEstimate:
    """Cost of a stage.

    Attributes:
        parameters_g, parameters_d: trainable weights; those of a denoiser are the generator's.
        flops: multiply-adds × 2 per image, penalties included, the denoiser's training not.
        memory: bytes of weights, moments and activations in a penalised step.
        seconds: estimate for the whole stage.
    """

    parameters_g: int
    parameters_d: int
    flops: float
    memory: int
    seconds: float

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.seconds), 60)
        return (
            f"{self.parameters_g:,} parameters in G, {self.parameters_d:,} in D;"
            f" {self.flops / 1e9:.2g} GFLOP per image; about {self.memory / 2**20:,.0f} MiB"
            f" and {minutes}:{seconds:02d} minutes"
        )


def count_forward(model: Generator | Discriminator, resolution: int) -> tuple[float, int]:
    """Operations and stored activations of one forward pass for one shape, without a denoiser.

    Counts the convolutions; the rest is negligible.
    """
    flops, activations = 0.0, 0
    residuals = model.residuals.values() if isinstance(model, Generator) else ()
    inner = [layer for blocks in residuals for block in blocks for layer in block]
    for layer in [*model.heads, *model.convolutions, *inner]:
        side = resolution if layer in model.heads else _side(layer, resolution)
        before, width = layer.kernel.shape[-2:]
        more = count_convolution(layer.kernel_size, before, width, layer.resample, side)
        flops, activations = flops + more[0], activations + more[1]
    for layer in model.convolutions if isinstance(model, Generator) and model.styles else ():
        side = _side(layer, resolution) // (2 if layer.resample == "up" else 1)
        activations += side**3 * layer.kernel.shape[-2]  # what it reads, after the style
    return flops, activations


def count_convolution(taps: int, before: int, width: int, resample: str, side: int) -> tuple[float, int]:
    """Operations of a convolution whose output is side³, and its activations before and after the nonlinearity."""
    taps = taps if resample == "same" else 4
    small = side // 2 if resample == "up" else side  # a strided kernel visits each coarse voxel once
    return 2.0 * small**3 * before * width * taps**3, 2 * side**3 * width


def count_denoiser(a: Architecture) -> tuple[int, float, int]:
    """Weights of a denoiser, and operations and stored activations of one pass for one shape."""
    weights, flops, activations = 0, 0.0, 0
    for spec in a.denoiser_layers().values():
        more = count_convolution(*spec)
        weights += (spec.kernel_size**3 * spec.before + 1) * spec.width
        flops, activations = flops + more[0], activations + more[1]
    return weights, flops, activations


def _side(layer: EqualizedConv3D, resolution: int) -> int:
    """Edge length of a layer's output, from its name (`r08_up`)."""
    side = int(layer.name.split("_")[0][1:])
    return side // 2 if layer.resample == "down" else side


def estimate_cost(
    generator: Generator, discriminator: Discriminator, recipe: Recipe, rate: float, denoise: int = 0
) -> CostEstimate:
    """The cost of a stage on a machine with this convolution rate, of `measure_conv_rate`.

    Args:
        denoise: real shapes that a denoiser sees afterwards; 0: there is none.
    """
    architecture: Architecture = generator.architecture
    flops_g, stored_g = count_forward(generator, architecture.resolution)
    flops_d, stored_d = count_forward(discriminator, architecture.resolution)
    penalty = 2 * PENALTY_PASSES / recipe.penalty_every
    flops = GENERATOR_PASSES * flops_g + (DISCRIMINATOR_PASSES + penalty) * flops_d
    weights = generator.count_params(), discriminator.count_params()
    width = 2 if architecture.precision == "bfloat16" else 4
    memory = 4 * (4 * weights[0] + 3 * weights[1]) + width * recipe.batch * (stored_g + 6 * stored_d)
    work = recipe.images * flops
    if denoise:
        more, flops_n, stored_n = count_denoiser(architecture)
        weights = weights[0] + more, weights[1]
        memory = max(memory, 4 * 4 * more + width * recipe.batch * stored_n)
        work += denoise * DENOISER_PASSES * flops_n
    return CostEstimate(*weights, flops, int(memory), work / (rate * EFFICIENCY))


def measure_conv_rate(width: int, side: int, seconds: float = 0.3) -> float:
    """FLOP/s of this machine in a plain 3³ convolution with `width` channels on a batch of side³ grids."""
    x, kernel = ops.ones((16, side, side, side, width)), ops.ones((3, 3, 3, width, width))
    ops.convert_to_numpy(conv_same(x, kernel))
    start, runs = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        ops.convert_to_numpy(conv_same(x, kernel)[0, 0, 0, 0])
        runs += 1
    return runs * 2.0 * 16 * side**3 * width**2 * 27 / (time.perf_counter() - start)
