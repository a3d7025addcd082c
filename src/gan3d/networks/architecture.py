"""What determines the layers of both networks; saved with every model."""

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from gan3d.dataset import resolution_key
from gan3d.voxels import RESOLUTIONS

GATE_SLOPE = 5.0  # of the sigmoid between symmetric and free shapes; steeper ones leave out nearly symmetric shapes
DENOISER_DEPTH = 3  # resolutions of the denoiser
MAX_SYMMETRIC = 0.999  # share of symmetric shapes, whose quantile must be finite


class Convolution(NamedTuple):
    """A convolution: edge of its kernel, channels in and out, resampling, and edge of the grid that it writes."""

    kernel_size: int
    before: int
    width: int
    resample: str
    side: int


@dataclass(frozen=True)
class Architecture:
    """A generator and a discriminator of one resolution.

    Attributes:
        latent: length of a latent vector.
        classes: names of the classes, in the order of their labels.
        widths: channels at 4³, 8³, … up to the resolution itself.
        occupancy: share of occupied voxels in the training data at the same resolutions.
        precision: "float32" or "bfloat16" (computation only: weights and losses stay float32).
        mirror: of each class, array axis 1, 2 or 3 along which its shapes are symmetric, 0 for none; empty: none is.
        symmetric: of each class, share of the shapes that are symmetric along that axis.
        mapping: layers of the generator's mapping network; 0 for none, and no styles.
        residual: residual blocks of the generator at each resolution from 8³ on.
        denoiser: whether a denoiser follows the generator.
    """

    latent: int
    classes: tuple[str, ...]
    widths: tuple[int, ...]
    occupancy: tuple[float, ...]
    precision: str = "float32"
    mirror: tuple[int, ...] = ()
    symmetric: tuple[float, ...] = ()
    mapping: int = 0
    residual: int = 0
    denoiser: bool = False

    @property
    def resolution(self) -> int:
        return self.resolutions[-1]

    @property
    def resolutions(self) -> tuple[int, ...]:
        return RESOLUTIONS[: len(self.widths)]

    @property
    def policy(self) -> str:
        """The Keras dtype policy."""
        return "mixed_bfloat16" if self.precision == "bfloat16" else "float32"

    @property
    def conditions(self) -> int:
        """Inputs of the generator besides the latent: one for each class, none if there is a single one."""
        return len(self.classes) if len(self.classes) > 1 else 0

    @property
    def style(self) -> int:
        """Length of the mapping network's output."""
        return 2 * self.latent

    def residual_blocks(self, resolution: int) -> list[str]:
        """The names of the generator's residual blocks at a resolution."""
        count = 0 if resolution == RESOLUTIONS[0] else self.residual
        return [f"{resolution_key(resolution)}_residual{i}" for i in range(1, count + 1)]

    def first_bias(self, resolution: int) -> float:
        """Logit of the data's occupancy: an untrained generator draws neither a full nor an empty cube."""
        share = min(max(self.occupancy[self.resolutions.index(resolution)], 1e-4), 1 - 1e-4)
        return math.log(share / (1 - share))

    def symmetry_quantiles(self) -> dict[int, np.ndarray]:
        """Of each axis of symmetry, the normal quantiles of the classes' shares of symmetric shapes, (classes, 1)."""
        quantiles = {}
        for axis in sorted(set(self.mirror) - {0}):
            shares = np.where(np.equal(self.mirror, axis), self.symmetric, 0)
            shares = np.clip(shares, 1 - MAX_SYMMETRIC, MAX_SYMMETRIC)
            quantiles[axis] = np.array([[NormalDist().inv_cdf(share)] for share in shares], np.float32)
        return quantiles

    def denoiser_layers(self) -> dict[str, Convolution]:
        """The denoiser's convolutions by name, in order.

        It encodes up to three resolutions, finest first, as wide as the generator's.
        """
        widths = self.widths[::-1][:DENOISER_DEPTH]
        sides = self.resolutions[::-1][:DENOISER_DEPTH]
        layers = {
            f"denoiser_encode_{resolution_key(side)}": Convolution(3, before, width, "same", side)
            for side, before, width in zip(sides, (1, *widths), widths, strict=False)
        }
        layers["denoiser_middle"] = Convolution(3, widths[-1], widths[-1], "same", sides[-1])
        for side, width, before in zip(sides[-2::-1], widths[-2::-1], widths[::-1], strict=False):
            name = f"denoiser_decode_{resolution_key(side)}"
            layers[f"{name}_up"] = Convolution(3, before, width, "up", side)
            layers[f"{name}_same"] = Convolution(3, width, width, "same", side)
        layers["denoiser_head"] = Convolution(1, widths[0], 1, "same", sides[0])
        return layers

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: "dict[str, Any] | Architecture") -> "Architecture":
        """Undo `to_json`, also after JSON has made lists of the tuples."""
        if isinstance(fields, Architecture):
            return fields
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
        return cls(**values)
