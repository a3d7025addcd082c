"""Sample shapes from a generator: threshold, truncation, batches.

Truncation trades variety for typicality. Sampling latents from a narrower distribution (Brock et al. 2019, §3.1) has
little effect here, since the generator scales each latent to unit mean square. Truncation therefore follows Karras et
al. 2019 (appendix B): features w after the first layer become w̄ + ψ (w - w̄). The first layer is linear in the scaled
latent, whose mean is zero, so w̄ is the class's contribution alone, and truncation multiplies the scaled latent by ψ.
ψ = 1 changes nothing; at ψ = 0 every shape is the mean shape of its class.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gan3d import model_file
from gan3d.dataset import UNCONDITIONAL, find_class
from gan3d.errors import UserError, short_list
from gan3d.model_file import TrainedModel
from gan3d.sampling.latents import draw_latents


class Sampler:
    """Samples shapes from a model's EMA generator, in batches of bounded size."""

    def __init__(self, model: TrainedModel, batch: int = 64):
        self.model = model
        self.batch = batch
        self._forward = self._build()

    @classmethod
    def load(cls, folder: str | Path) -> "Sampler":
        """The sampler of a model's folder; raises UserError as `gan3d.model_file.load` does."""
        return cls(model_file.load(folder))

    @property
    def classes(self) -> tuple[str, ...]:
        return self.model.architecture.classes

    def label(self, class_name: str | None) -> int:
        """The label of a class; None is allowed where there is only one.

        Raises:
            UserError: for an unknown class.
        """
        if class_name is None and len(self.classes) == 1:
            return 0
        label = find_class(self.classes, class_name)
        if class_name is None and label is None:
            raise UserError(f"class is missing: choose one of {short_list(self.classes, 20)}.")
        if label is None:
            given = f"class {class_name[:40]!r} is not known to this model"  # type: ignore[index]
            if self.classes == (UNCONDITIONAL,):
                raise UserError(f"{given}, which has no classes: leave it out.")
            raise UserError(f"{given}: choose one of {short_list(self.classes, 20)}.")
        return label

    def occupancy(
        self, vectors: np.ndarray, labels: np.ndarray, alpha: float = 1.0, truncation: float = 1.0
    ) -> np.ndarray:
        """Occupancy of each voxel in [0, 1], float32 (n, R, R, R), for latents (n, size) and labels (n,)."""
        parts = list(self._batches(np.asarray(vectors, np.float32), np.asarray(labels, np.int32), alpha, truncation))
        side = (self.model.architecture.resolution,) * 3
        return np.concatenate(parts) if parts else np.zeros((0, *side), np.float32)

    def shapes(self, label: int, count: int, seed: int) -> np.ndarray:
        """`count` shapes of a class by seed, booleans (count, R, R, R)."""
        vectors = draw_latents(seed, count, self.model.architecture.latent)
        return self.binary(self.finite_occupancy(vectors, np.full(count, label)))

    def finite_occupancy(self, vectors: np.ndarray, labels: np.ndarray, truncation: float = 1.0) -> np.ndarray:
        """`occupancy` of a model that may come from a stranger.

        Raises:
            UserError: if it is not finite, as from weights that are finite but enormous.
        """
        occupancy = self.occupancy(vectors, labels, truncation=truncation)
        if not np.isfinite(occupancy).all():
            raise UserError("the model's shapes are not finite, since its weights are too large: get the model again.")
        return occupancy

    def binary(self, occupancy: np.ndarray) -> np.ndarray:
        """Threshold occupancies: booleans, true above the model's threshold."""
        return occupancy > self.model.threshold

    def compile(self, most: int) -> None:
        """Compile the generator for every number of rows that `occupancy` draws at once, up to `most`."""
        rows = 1
        while rows <= min(most, self.batch):
            self.shapes(0, rows, seed=0)
            rows *= 4

    def _build(self) -> Callable[..., np.ndarray]:
        """The compiled generator: (latents, labels, alpha, truncation) to occupancy (n, R, R, R)."""
        import keras  # here, since the subclass of a server does without

        from gan3d.backend import compile_forward

        self.generator = self.model.build_generator()
        forward = compile_forward(lambda z, y, alpha, psi: self.generator(z, y, alpha=alpha, truncation=psi))
        return lambda *arrays: keras.ops.convert_to_numpy(forward(*arrays))[..., 0]

    def _batches(self, vectors: np.ndarray, labels: np.ndarray, alpha: float, psi: float) -> Iterator[np.ndarray]:
        for start in range(0, len(vectors), self.batch):
            z, y = vectors[start : start + self.batch], labels[start : start + self.batch]
            # pad to powers of four: the last digits of an occupancy depend on how many rows fill the matrix product's
            # blocks of three, and every power of four leaves one row over, as a single shape does
            spare = 4 ** -(-(len(z) - 1).bit_length() // 2) - len(z)
            padded = np.pad(z, ((0, spare), (0, 0)), mode="edge"), np.pad(y, (0, spare), mode="edge")
            yield self._forward(*padded, np.float32(alpha), np.float32(psi))[: len(z)]
