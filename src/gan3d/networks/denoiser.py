"""The denoiser: a U-Net that removes from a generated shape what no training shape has."""

from typing import Any

import keras
from keras import ops

from gan3d.networks.architecture import Architecture, Convolution
from gan3d.networks.layers import SERIAL, EqualizedConv3D, Tensor, leaky, pixel_norm


@SERIAL
class Denoiser(keras.Model):
    """A U-Net (Ronneberger et al. 2015) in three dimensions, as wide at each resolution as the generator.

    call(occupancy (B, R, R, R, 1) in [0, 1]) -> logits (B, R, R, R, 1), float32.
    It is trained to undo corruptions of real shapes (`gan3d.training.denoising`) and so moves any shape toward the data
    (Alain & Bengio 2014). Its layers are prefixed `denoiser_`, since its weights are kept with the generator's.
    """

    def __init__(self, architecture: Architecture | dict[str, Any], **kwargs: Any) -> None:
        self.architecture = a = Architecture.from_json(architecture)
        super().__init__(**{"name": "denoiser", "dtype": a.policy, **kwargs})
        layers = {name: self._layer(name, spec) for name, spec in a.denoiser_layers().items()}
        self.encoders = [layer for name, layer in layers.items() if name.startswith("denoiser_encode")]
        self.middle = layers["denoiser_middle"]
        ups = [layer for name, layer in layers.items() if name.endswith("_up")]
        sames = [layer for name, layer in layers.items() if name.startswith("denoiser_decode") and layer not in ups]
        self.decoders = list(zip(ups, sames, strict=True))
        self.head = layers["denoiser_head"]
        self.built = True

    def _layer(self, name: str, spec: Convolution) -> EqualizedConv3D:
        gain = 1.0 if name.endswith("_head") else 2**0.5
        layer = EqualizedConv3D(
            spec.width, spec.kernel_size, spec.resample, gain=gain, name=name, dtype=self.architecture.policy
        )
        layer.build((None, None, None, None, spec.before))
        return layer

    def call(self, occupancy: Tensor) -> Tensor:
        x = ops.cast(2 * occupancy - 1, self.compute_dtype)
        skips: list[Tensor] = []
        for layer in self.encoders:
            if skips:
                x = ops.average_pool(x, 2, 2, data_format="channels_last")
            x = pixel_norm(leaky(layer(x)))
            skips.append(x)
        x = pixel_norm(leaky(self.middle(x)))
        for (up, same), skip in zip(self.decoders, reversed(skips[:-1]), strict=True):
            x = pixel_norm(leaky(up(x))) + skip
            x = pixel_norm(leaky(same(x)))
        return ops.cast(self.head(x), "float32")

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "architecture": self.architecture.to_json()}
