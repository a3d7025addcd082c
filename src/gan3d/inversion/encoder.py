"""The encoder: from a shape to the latent vector that the generator would make it from, and its class."""

from typing import Any

import keras
from keras import ops

from gan3d.dataset import resolution_key
from gan3d.networks.architecture import Architecture
from gan3d.networks.layers import SERIAL, EqualizedConv3D, EqualizedDense, Tensor, leaky

FINEST = 8  # resolution at which it starts; blocks of finer voxels become channels


@SERIAL
class Encoder(keras.Model):
    """The discriminator's form (`gan3d.networks.discriminator`) with a latent and one logit per class as its output.

    call(voxels (B, R, R, R, 1) in {0, 1}) -> (latents (B, latent) of unit mean square, logits (B, classes)).
    Above 8³, each block of voxels is one point with as many channels: nothing is lost, and it costs much less.
    """

    def __init__(self, architecture: Architecture | dict[str, Any], **kwargs: Any) -> None:
        self.architecture = a = Architecture.from_json(architecture)
        super().__init__(**{"name": "encoder", **kwargs})
        self.block = max(1, a.resolution // FINEST)
        resolutions = [resolution for resolution in a.resolutions if resolution <= FINEST]
        widths = dict(zip(a.resolutions, a.widths, strict=True))
        self.head = EqualizedConv3D(widths[resolutions[-1]], 1, name="head")
        self.head.build((None, None, None, None, self.block**3))
        self.convolutions: list[EqualizedConv3D] = []
        for resolution in reversed(resolutions[1:]):
            for resample, width in (("same", widths[resolution]), ("down", widths[resolution // 2])):
                layer = EqualizedConv3D(width, resample=resample, name=f"{resolution_key(resolution)}_{resample}")
                layer.build((None, None, None, None, widths[resolution]))
                self.convolutions.append(layer)
        self.last = EqualizedConv3D(widths[4], name="last")
        self.last.build((None, None, None, None, widths[4]))
        self.hidden = EqualizedDense(4 * widths[4], name="hidden")
        self.hidden.build((None, 64 * widths[4]))
        self.latent = EqualizedDense(a.latent, gain=1.0, name="latent")
        self.latent.build((None, 4 * widths[4]))
        self.classes = EqualizedDense(len(a.classes), gain=1.0, name="classes")
        self.classes.build((None, 4 * widths[4]))
        self.built = True

    def call(self, voxels: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self.architecture, self.block
        side = a.resolution // b
        x = ops.reshape(voxels, (-1, side, b, side, b, side, b))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 5, 2, 4, 6)), (-1, side, side, side, b**3))
        x = leaky(self.head(x))
        for layer in self.convolutions:
            x = leaky(layer(x))
        x = leaky(self.last(x))
        x = leaky(self.hidden(ops.reshape(x, (-1, 64 * a.widths[0]))))
        return unit(self.latent(x)), self.classes(x)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "architecture": self.architecture.to_json()}


def unit(latents: Tensor) -> Tensor:
    """Latents (B, size) at unit mean square, as the generator sees them whatever their length is."""
    return latents * ops.rsqrt(ops.mean(ops.square(latents), axis=-1, keepdims=True) + 1e-8)


def encoder_shapes(a: Architecture) -> dict[str, tuple[int, ...]]:
    """The shape of every weight by name, without building the network."""
    widths = dict(zip(a.resolutions, a.widths, strict=True))
    resolutions = [resolution for resolution in a.resolutions if resolution <= FINEST]
    kernels: dict[str, tuple[int, ...]] = {
        "head": (1, 1, 1, max(1, a.resolution // FINEST) ** 3, widths[resolutions[-1]])
    }
    for resolution in reversed(resolutions[1:]):
        width = widths[resolution]
        kernels[f"{resolution_key(resolution)}_same"] = (3, 3, 3, width, width)
        kernels[f"{resolution_key(resolution)}_down"] = (3, 3, 3, width, widths[resolution // 2])
    kernels["last"] = (3, 3, 3, widths[4], widths[4])
    kernels["hidden"] = (64 * widths[4], 4 * widths[4])
    kernels["latent"] = (4 * widths[4], a.latent)
    kernels["classes"] = (4 * widths[4], len(a.classes))
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in kernels.items():
        shapes |= {f"{name}/kernel": shape, f"{name}/bias": shape[-1:]}
    return shapes
