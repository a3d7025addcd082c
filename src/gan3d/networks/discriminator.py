"""The discriminator: scores how real a shape of a given class looks."""

from typing import Any

import keras
from keras import ops

from gan3d.dataset import resolution_key
from gan3d.networks.architecture import Architecture
from gan3d.networks.layers import (
    SERIAL,
    EqualizedConv3D,
    EqualizedDense,
    Tensor,
    blend,
    downsample,
    leaky,
    minibatch_std,
)


@SERIAL
class Discriminator(keras.Model):
    """Progressive discriminator (Karras et al. 2018, table 2) in three dimensions, one output per class.

    call(voxels (B, R, R, R, 1) in [0, 1], labels (B,) integers, alpha scalar) -> scores (B,), float32.
    The score is the output for the shape's own class (Mescheder et al. 2018, app. D).
    At alpha 0 it is the discriminator it grew from, applied to the mean of every 2³ voxels.
    `parts` interleaved batches get the scores that each would get alone.
    """

    def __init__(self, architecture: Architecture | dict[str, Any], **kwargs: Any) -> None:
        self.architecture = a = Architecture.from_json(architecture)
        super().__init__(**{"name": "discriminator", "dtype": a.policy, **kwargs})
        widths = dict(zip(a.resolutions, a.widths, strict=True))
        self.heads: list[EqualizedConv3D] = []
        for resolution in a.resolutions[-2:]:
            layer = EqualizedConv3D(widths[resolution], 1, name=f"{resolution_key(resolution)}_head", dtype=a.policy)
            layer.build((None, None, None, None, 1))
            self.heads.append(layer)
        self.convolutions: list[EqualizedConv3D] = []
        for resolution in reversed(a.resolutions[1:]):
            for resample, width in (("same", widths[resolution]), ("down", widths[resolution // 2])):
                name = f"{resolution_key(resolution)}_{resample}"
                layer = EqualizedConv3D(width, resample=resample, name=name, dtype=a.policy)
                layer.build((None, None, None, None, widths[resolution]))
                self.convolutions.append(layer)
        self.last = EqualizedConv3D(widths[4], name="last", dtype=a.policy)
        self.last.build((None, None, None, None, widths[4] + 1))
        self.hidden = EqualizedDense(widths[4], name="hidden", dtype=a.policy)
        self.hidden.build((None, 64 * widths[4]))
        self.score = EqualizedDense(len(a.classes), gain=1.0, name="score", dtype=a.policy)
        self.score.build((None, widths[4]))
        self.built = True

    def maps(self, voxels: Tensor, alpha: Tensor = 1.0) -> list[Tensor]:
        """Activations of the head and of every convolution after it, finest first, each (B, S, S, S, channels).

        They depend on the shape alone, not on its batch or its class.
        """
        voxels = ops.cast(voxels, self.compute_dtype)
        maps = [leaky(self.heads[-1](voxels))]
        for i, layer in enumerate(self.convolutions):
            x = leaky(layer(maps[-1]))
            if i == 1:  # the new block ends here
                x = blend(leaky(self.heads[0](downsample(voxels))), x, alpha)
            maps.append(x)
        return maps

    def call(self, voxels: Tensor, labels: Tensor, alpha: Tensor = 1.0, parts: int = 1) -> Tensor:
        a = self.architecture
        x = self.maps(voxels, alpha)[-1]
        x = leaky(self.last(x, minibatch_std(x, parts)))
        x = leaky(self.hidden(ops.reshape(x, (-1, 64 * a.widths[0]))))
        scores = ops.cast(self.score(x), "float32")
        return ops.sum(scores * ops.one_hot(labels, len(a.classes), dtype="float32"), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "architecture": self.architecture.to_json()}
