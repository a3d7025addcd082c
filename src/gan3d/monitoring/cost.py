"""Estimate a stage's cost before it starts: parameters, operations, memory, time."""

import time
from dataclasses import dataclass

import keras
import numpy as np
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
PENALTY_PASSES = 6  # per penalised image: forward, gradient, and backward through both; twice with R1 and R2
EFFICIENCY = 0.5  # of whole steps, relative to a bare convolution; measured on two cores


@dataclass(frozen=True)
class CostEstimate:
    """Cost of a stage.

    Attributes:
        parameters_g, parameters_d: trainable weights.
        flops: multiply-adds × 2 per image, penalties included.
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


def count_forward(model: keras.Model, resolution: int) -> tuple[float, int]:
    """Operations and stored activations of one forward pass for one shape.

    Counts the convolutions; the rest is negligible.
    """
    flops, activations = 0.0, 0
    for layer in [*model.heads, *model.convolutions]:
        side = resolution if layer in model.heads else _side(layer, resolution)
        taps = 4 if layer.resample != "same" else layer.kernel_size
        small = side // 2 if layer.resample == "up" else side  # a strided kernel visits each coarse voxel once
        flops += 2.0 * small**3 * int(np.prod(layer.kernel.shape[-2:])) * taps**3
        activations += 2 * side**3 * layer.filters  # before and after the activation
    return flops, activations


def _side(layer: EqualizedConv3D, resolution: int) -> int:
    """Edge length of a layer's output, from its name (`r08_up`)."""
    side = int(layer.name.split("_")[0][1:])
    return side // 2 if layer.resample == "down" else side


def estimate_cost(generator: Generator, discriminator: Discriminator, recipe: Recipe, rate: float) -> CostEstimate:
    """The cost of a stage on a machine with this convolution rate, of `measure_conv_rate`."""
    architecture: Architecture = generator.architecture
    flops_g, stored_g = count_forward(generator, architecture.resolution)
    flops_d, stored_d = count_forward(discriminator, architecture.resolution)
    penalty = 2 * PENALTY_PASSES / recipe.penalty_every
    flops = GENERATOR_PASSES * flops_g + (DISCRIMINATOR_PASSES + penalty) * flops_d
    weights = generator.count_params(), discriminator.count_params()
    width = 2 if architecture.precision == "bfloat16" else 4
    memory = 4 * (4 * weights[0] + 3 * weights[1]) + width * recipe.batch * (stored_g + 6 * stored_d)
    return CostEstimate(*weights, flops, int(memory), recipe.images * flops / (rate * EFFICIENCY))


def measure_conv_rate(width: int, side: int, seconds: float = 0.3) -> float:
    """FLOP/s of this machine in a plain 3³ convolution with `width` channels on a batch of side³ grids."""
    x, kernel = ops.ones((16, side, side, side, width)), ops.ones((3, 3, 3, width, width))
    ops.convert_to_numpy(conv_same(x, kernel))
    start, runs = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        ops.convert_to_numpy(conv_same(x, kernel)[0, 0, 0, 0])
        runs += 1
    return runs * 2.0 * 16 * side**3 * width**2 * 27 / (time.perf_counter() - start)
