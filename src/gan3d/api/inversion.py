"""Shapes of one's own in a model's latent space: the results of `Model.invert`, which also reads files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gan3d.api.shapes import Shape, Shapes

if TYPE_CHECKING:
    from gan3d.inversion.inverter import Inversion, Inverter
    from gan3d.model_file import TrainedModel


@dataclass(frozen=True, eq=False)
class Inverted:
    """A shape as a generator sees it.

    Attributes:
        shape: the reconstruction, with its latent: `Model.interpolate` and `Model.vary` take it.
        target: what it reconstructs, as it was turned and placed, booleans (R, R, R).
        iou: of both.
        chamfer_x1e3: squared Chamfer distance between both × 10³, in a cube of edge 1.
        known: whether the generator knows such a shape.
        message: that in one sentence.
    """

    shape: Shape
    target: np.ndarray
    iou: float
    chamfer_x1e3: float
    known: bool
    message: str
    _trained: TrainedModel

    @property
    def latent(self) -> np.ndarray:
        """Float32 (latent,)."""
        return self.shape.latent

    @property
    def class_name(self) -> str:
        """The class it was inverted in."""
        return self.shape.name

    def save(self, path: str | Path) -> Path:
        """Write the latent as an .npz, which `gan3d sample --around` and `gan3d interpolate --from` read."""
        from gan3d.inversion.latent_file import Latent, save_latent

        return save_latent(Path(path), Latent(self.latent, self.class_name), self._trained)

    def __repr__(self) -> str:
        return f"{self.class_name}, {self.message}"


def as_inverted(found: Inversion, inverter: Inverter, origin: str) -> Inverted:
    """The result for people; `origin` says where the shape comes from."""
    model = inverter.sampler.model
    shapes = as_shapes(inverter, found.occupancy[None], found.latent[None], found.class_name, [origin])
    return Inverted(shapes[0], found.target, found.iou, found.chamfer_x1e3, found.known, found.message, model)


def as_shapes(
    inverter: Inverter, occupancy: np.ndarray, latents: np.ndarray, class_name: str, origins: list[str]
) -> Shapes:
    """Shapes of one class with their latents."""
    model = inverter.sampler.model
    names = (class_name,) * len(latents)
    return Shapes(occupancy, latents, names, tuple(origins), tuple(inverter.sampler.classes), model.threshold, model.up)
