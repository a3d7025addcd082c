"""Inversion: from voxels to the latent of a generator whose shape comes closest to them.

An encoder gives the start, or else the best of many random latents; a search on the latent finishes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gan3d.errors import UserError
from gan3d.inversion.overlap import iou, iou_matrix
from gan3d.inversion.poses import poses
from gan3d.inversion.search import Found, LatentSearch
from gan3d.metrics.chamfer import distances, prepare
from gan3d.sampling.latents import draw_latents

if TYPE_CHECKING:
    from gan3d.inversion.encoder import Encoder
    from gan3d.sampling.sampler import Sampler

EVALUATIONS = {4: 200, 8: 200, 16: 150, 32: 135, 64: 100, 128: 50}  # of the generator and its gradient
STARTS = 4  # of a search
BANK = 128  # random shapes per class, which say what the generator knows
BANK_SEED = 2**32 + 7
KNOWN = 0.95  # quantile of the distances from a random shape to its nearest of the others


@dataclass(frozen=True)
class Inversion:
    """What a generator makes of a shape.

    Attributes:
        latent: float32 (latent,), of unit mean square.
        class_name: the class it was inverted in.
        voxels: the reconstruction, booleans (R, R, R).
        target: what it reconstructs: the shape as it was turned and placed, booleans (R, R, R).
        occupancy: the reconstruction's, float32 (R, R, R).
        iou: of reconstruction and target.
        chamfer_x1e3: squared Chamfer distance between them × 10³, in a cube of edge 1.
        limit_x1e3: the distance up to which a shape counts as known.
        evaluations: of the generator that it took.
    """

    latent: np.ndarray
    class_name: str
    voxels: np.ndarray
    target: np.ndarray
    occupancy: np.ndarray
    iou: float
    chamfer_x1e3: float
    limit_x1e3: float
    evaluations: int

    @property
    def known(self) -> bool:
        """Whether the generator knows such a shape: its reconstruction is as close as random shapes are to others."""
        return self.chamfer_x1e3 <= self.limit_x1e3

    @property
    def message(self) -> str:
        """One sentence for people."""
        close = f"IoU {self.iou:.2f}, Chamfer distance {self.chamfer_x1e3:.2f}"
        if self.known:
            return f"The generator knows such a {self.class_name}: {close}."
        return (
            f"The shape lies outside what the generator knows of the class {self.class_name}: {close}, where its own"
            f" shapes have another within {self.limit_x1e3:.2f}."
        )


@dataclass(frozen=True)
class Bank:
    """Random shapes of one class.

    Attributes:
        latents: float32 (BANK, latent).
        voxels: booleans (BANK, R, R, R).
        limit_x1e3: the KNOWN quantile of the Chamfer distances × 10³ from each to its nearest of the others.
    """

    latents: np.ndarray
    voxels: np.ndarray
    limit_x1e3: float


class Inverter:
    """Inverts shapes with one generator; its parts are compiled and drawn once."""

    def __init__(self, sampler: "Sampler", encoder: "Encoder | None" = None) -> None:
        """Take a generator, and its encoder if there is one (`gan3d.inversion.encoder_file`)."""
        self.sampler, self.encoder = sampler, encoder
        self.resolution = sampler.model.architecture.resolution
        self.latent = sampler.model.architecture.latent
        self.search = LatentSearch(sampler)
        self._banks: dict[int, Bank] = {}
        self._encode: Callable | None = None

    def invert(
        self, voxels: np.ndarray, class_name: str | None = None, turn: bool = False, evaluations: int | None = None
    ) -> Inversion:
        """Find the latent whose shape comes closest to given voxels.

        Args:
            voxels: booleans (R, R, R) at the generator's resolution.
            class_name: of the shape; None: the class that fits best.
            turn: whether the shape may be turned and placed first, as a file of unknown origin needs.
            evaluations: of the generator, at most; None: by resolution.

        Raises:
            UserError: for voxels of another resolution, an empty shape, or an unknown class.
        """
        voxels = self.check(voxels)
        if not voxels.any():
            raise UserError("the shape is empty: name one that has voxels.")
        labels = list(range(len(self.sampler.classes))) if class_name is None else [self.sampler.label(class_name)]
        targets = poses(voxels, self.sampler.model.up) if turn else voxels[None]
        starts, pose, label = self.starts(targets, labels)
        budget = EVALUATIONS[self.resolution] if evaluations is None else evaluations
        return self._result(self.search.run(starts, label, targets[pose], None, budget), label, targets[pose])

    def starts(self, targets: np.ndarray, labels: list[int]) -> tuple[np.ndarray, int, int]:
        """Where to start from for different poses of one shape, (P, R, R, R), in one of some classes.

        They are the ones of the highest IoU, of random shapes and of what the encoder says, if there is one. It then
        chooses the class of each pose as well.

        Returns:
            latents (STARTS, latent), the number of the pose, and the class.
        """
        scores = np.stack([iou_matrix(targets, self.bank(label).voxels) for label in labels])  # (labels, P, BANK)
        first = np.zeros((len(targets), 0, self.latent), np.float32)
        if self.encoder is not None:
            vectors, logits = self.encoded(targets)
            likely = logits[:, labels].argmax(1)  # the class of each pose
            scores[np.arange(len(labels))[:, None] != likely] = -1
            encoded = iou(self.draw(vectors, np.asarray(labels)[likely]), targets)
            first = vectors[:, None]
            scores = np.concatenate([np.where(scores.max(2) < 0, -1, encoded)[:, :, None], scores], 2)
        best, pose, _ = (int(number) for number in np.unravel_index(scores.argmax(), scores.shape))
        label = labels[best]
        candidates = np.concatenate([first[pose], self.bank(label).latents])
        return candidates[np.argsort(-scores[best, pose], kind="stable")[:STARTS]], pose, label

    def draw(self, vectors: np.ndarray, labels: np.ndarray | int) -> np.ndarray:
        """Shapes of latents (n, latent) in one class or one each, booleans (n, R, R, R)."""
        return self.sampler.binary(self.sampler.finite_occupancy(vectors, np.broadcast_to(labels, len(vectors))))

    def bank(self, label: int) -> Bank:
        """Random shapes of a class, drawn once."""
        if label not in self._banks:
            latents = draw_latents(BANK_SEED, BANK, self.latent)
            voxels = self.draw(latents, label)
            within = 1e3 * prepare(voxels).within + np.diag(np.full(BANK, np.inf))
            self._banks[label] = Bank(latents, voxels, float(np.quantile(within.min(1), KNOWN)))
        return self._banks[label]

    def check(self, voxels: np.ndarray) -> np.ndarray:
        """Booleans (R, R, R) out of any array of that shape.

        Raises:
            UserError: for another shape.
        """
        voxels = np.asarray(voxels)
        side = self.resolution
        if voxels.shape != (side, side, side):
            raise UserError(
                f"an array of shape {voxels.shape} does not fit this generator: give one of ({side}, {side}, {side})."
            )
        return np.ascontiguousarray(voxels.astype(bool))

    def encoded(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The encoder's latents (n, latent) and logits (n, classes) of booleans (n, R, R, R)."""
        from keras import ops

        from gan3d.backend import compile_forward

        if self._encode is None:
            encoder = self.encoder
            self._encode = compile_forward(lambda x: encoder(x))  # type: ignore[misc]
        size = 4 ** -(-(len(targets) - 1).bit_length() // 2)  # few sizes are compiled
        padded = np.concatenate([targets, np.zeros((size - len(targets), *targets.shape[1:]), bool)])
        latents, logits = self._encode(padded[..., None].astype(np.float32))
        return ops.convert_to_numpy(latents)[: len(targets)], ops.convert_to_numpy(logits)[: len(targets)]

    def _result(self, found: Found, label: int, target: np.ndarray) -> Inversion:
        occupancy = self.sampler.finite_occupancy(found.vector[None], np.array([label]))
        voxels = self.sampler.binary(occupancy)
        distance = 1e3 * float(distances(prepare(voxels), prepare(target[None]))[0, 0])
        return Inversion(
            found.vector,
            self.sampler.classes[label],
            voxels[0],
            target,
            occupancy[0],
            float(iou(voxels, target[None])[0]),
            distance,
            self.bank(label).limit_x1e3,
            found.evaluations,
        )
