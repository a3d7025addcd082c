"""The generator: a latent vector and a class become the occupancy of every voxel."""

from typing import Any

import keras
from keras import ops

from gan3d.dataset import resolution_key
from gan3d.networks.architecture import GATE_SLOPE, Architecture
from gan3d.networks.denoiser import Denoiser
from gan3d.networks.layers import SERIAL, EqualizedConv3D, EqualizedDense, Tensor, blend, leaky, pixel_norm, upsample


@SERIAL
class Generator(keras.Model):
    """Progressive generator (Karras et al. 2018, table 2) in three dimensions, with a sigmoid for occupancy.

    A mapping network's output scales the channels of every convolution (styles, Karras et al. 2019, §2); residual
    blocks (He et al. 2016) follow the convolutions of a resolution. Both are optional.

    call(latents (B, latent), labels (B,) integers, alpha scalar, truncation scalar, noise (B, R, R, R, 1) or None)
        -> occupancy (B, R, R, R, 1) in [0, 1], float32.
    At alpha 0 it is the generator it grew from, upsampled ×2. Truncation below 1 moves shapes toward the mean shape of
    their class, which they reach at 0 (`gan3d.sampling.sampler`); training uses 1. Training adds noise to the logits
    (`gan3d.training.noise`), sampling does not. A `Denoiser` follows if the architecture has one, which it never has
    while both networks are trained.
    """

    def __init__(self, architecture: Architecture | dict[str, Any], **kwargs: Any) -> None:
        self.architecture = a = Architecture.from_json(architecture)
        super().__init__(**{"name": "generator", "dtype": a.policy, **kwargs})
        self.mapping = [self._dense(f"mapping{i}", a.style) for i in range(1, a.mapping + 1)]
        features = a.latent + a.conditions
        for layer in self.mapping:
            layer.build((None, features))
            features = a.style
        # a quarter of the usual gain, since each of the 64 voxels reads all of them (as in Karras et al.'s code)
        self.first = self._dense("first", 64 * a.widths[0], gain=2**0.5 / 4)
        self.first.build((None, features))
        self.convolutions: list[EqualizedConv3D] = []
        self.styles: list[EqualizedDense] = []
        self.residuals: dict[str, list[tuple[EqualizedConv3D, EqualizedConv3D]]] = {}
        channels = a.widths[0]
        for resolution, width in zip(a.resolutions, a.widths, strict=True):
            for resample in ("same",) if resolution == 4 else ("up", "same"):
                name = f"{resolution_key(resolution)}_{resample}"
                self.convolutions.append(self._convolution(name, channels, width, resample))
                if a.mapping:
                    self.styles.append(self._dense(f"{name}_style", channels, gain=1.0))
                    self.styles[-1].build((None, a.style))
                channels = width
            self.residuals[self.convolutions[-1].name] = [
                (self._convolution(f"{name}_in", width, width), self._convolution(f"{name}_out", width, width))
                for name in a.residual_blocks(resolution)
            ]
        # only the last two heads are used: the new one and the one that fades out
        self.heads: list[EqualizedConv3D] = []
        for resolution, width in list(zip(a.resolutions, a.widths, strict=True))[-2:]:
            bias = a.first_bias(resolution)
            layer = EqualizedConv3D(
                1, 1, gain=1.0, bias=bias, name=f"{resolution_key(resolution)}_head", dtype=a.policy
            )
            layer.build((None, None, None, None, width))
            self.heads.append(layer)
        self.denoiser = Denoiser(a) if a.denoiser else None
        self.built = True

    def _dense(self, name: str, units: int, **kwargs: Any) -> EqualizedDense:
        return EqualizedDense(units, name=name, dtype=self.architecture.policy, **kwargs)

    def _convolution(self, name: str, before: int, width: int, resample: str = "same") -> EqualizedConv3D:
        layer = EqualizedConv3D(width, resample=resample, name=name, dtype=self.architecture.policy)
        layer.build((None, None, None, None, before))
        return layer

    def call(
        self,
        latents: Tensor,
        labels: Tensor,
        alpha: Tensor = 1.0,
        truncation: Tensor = 1.0,
        noise: Tensor | None = None,
    ) -> Tensor:
        a = self.architecture
        x = pixel_norm(ops.cast(latents, self.compute_dtype)) * ops.cast(truncation, self.compute_dtype)
        gate = self.symmetry(x[:, 0], labels)
        if a.conditions:
            # as large as the whole latent, whose entries have unit mean square
            condition = ops.one_hot(labels, len(a.classes), dtype=self.compute_dtype) * a.latent**0.5
            x = ops.concatenate([x, condition], axis=-1)
        style = x
        for layer in self.mapping:
            style = pixel_norm(leaky(layer(style)))
        x = pixel_norm(leaky(ops.reshape(self.first(style), (-1, 4, 4, 4, a.widths[0]))))
        coarse = x
        for i, layer in enumerate(self.convolutions):
            if layer.resample == "up":
                coarse = x
            if self.styles:
                x = x * (1 + self.styles[i](style))[:, None, None, None]
            x = pixel_norm(leaky(layer(x)))
            for first, second in self.residuals.get(layer.name, []):
                x = pixel_norm(x + second(leaky(first(x))))
        fine = occupancy(self.symmetrise(self.heads[-1](x), gate), noise)
        if len(self.heads) == 2:
            coarse_noise = None if noise is None else noise[:, ::2, ::2, ::2]
            coarse = upsample(occupancy(self.symmetrise(self.heads[0](coarse), gate), coarse_noise))
            fine = blend(coarse, fine, alpha)
        return self.denoise(fine, gate)

    def denoise(self, voxels: Tensor, gates: dict[int, Tensor]) -> Tensor:
        """Occupancy after the denoiser, if there is one; a symmetric shape stays symmetric."""
        if self.denoiser is None:
            return voxels
        return occupancy(self.symmetrise(self.denoiser(voxels), gates))

    def symmetry(self, latent: Tensor, labels: Tensor) -> dict[int, Tensor]:
        """How symmetric each shape is, (B, 1, 1, 1, 1) from 0 to 1, by the axis along which it is.

        The first latent decides, so that symmetry is interpolated like everything else: below the quantile of the
        class's share of symmetric shapes it tends to 1, above it to 0.
        """
        one_hot = ops.one_hot(labels, len(self.architecture.classes), dtype="float32")
        gates = {}
        for axis, quantiles in self.architecture.symmetry_quantiles().items():
            bound = one_hot @ ops.convert_to_tensor(quantiles)
            gate = ops.sigmoid(GATE_SLOPE * (bound - ops.cast(latent, "float32")[:, None]))
            gates[axis] = ops.reshape(gate, (-1, 1, 1, 1, 1))
        return gates

    def symmetrise(self, logits: Tensor, gates: dict[int, Tensor]) -> Tensor:
        """Logits in float32, averaged with their mirror image as far as the shape is symmetric."""
        logits = ops.cast(logits, "float32")
        for axis, gate in gates.items():
            logits = logits + gate / 2 * (ops.flip(logits, axis) - logits)
        return logits

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "architecture": self.architecture.to_json()}


def occupancy(logits: Tensor, noise: Tensor | None = None) -> Tensor:
    """Sigmoid of float32 logits: in bfloat16 it has only 8 bits near 1."""
    return ops.sigmoid(logits if noise is None else logits + noise)
