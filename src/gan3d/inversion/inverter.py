"""Inversion: from voxels to the latent of a generator whose shape comes closest to them.

An encoder gives the start, or else the best of many random latents; Adam on the latent finishes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gan3d.errors import UserError
from gan3d.inversion.overlap import iou, iou_matrix
from gan3d.inversion.poses import poses
from gan3d.inversion.search import Found, LatentSearch
from gan3d.inversion.vectors import vary
from gan3d.metrics.chamfer import distances, prepare
from gan3d.sampling.latents import draw_latents

if TYPE_CHECKING:
    from gan3d.inversion.encoder import Encoder
    from gan3d.sampling.sampler import Sampler

STEPS = {4: 200, 8: 200, 16: 200, 32: 60, 64: 40, 128: 20}  # of Adam, by resolution
RATE = 0.1
STARTS = 2  # latents that are optimised together
SPREAD = 0.15  # quarter turns between the encoder's latent and the starts around it
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
        steps: of Adam that were taken.
    """

    latent: np.ndarray
    class_name: str
    voxels: np.ndarray
    target: np.ndarray
    occupancy: np.ndarray
    iou: float
    chamfer_x1e3: float
    limit_x1e3: float
    steps: int

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
        self,
        voxels: np.ndarray,
        class_name: str | None = None,
        turn: bool = False,
        steps: int | None = None,
        progress: Callable[[float], None] = lambda score: None,
    ) -> Inversion:
        """Find the latent whose shape comes closest to given voxels.

        Args:
            voxels: booleans (R, R, R) at the generator's resolution.
            class_name: of the shape; None: the class that fits best.
            turn: whether the shape may be turned and placed first, as a file of unknown origin needs.
            steps: of Adam, at most; None: by resolution, at most 5 s at 32³ on two cores.
            progress: told the best IoU so far.

        Raises:
            UserError: for voxels of another resolution, an empty shape, or an unknown class.
        """
        voxels = self.check(voxels)
        if not voxels.any():
            raise UserError("the shape is empty: name one that has voxels.")
        labels = range(len(self.sampler.classes)) if class_name is None else [self.sampler.label(class_name)]
        targets = poses(voxels, self.sampler.model.up) if turn else voxels[None]
        vectors, rows, chosen = self.start(targets, list(labels))
        count = STEPS[self.resolution] if steps is None else steps
        found = self.search.run(vectors, np.full(len(vectors), chosen), targets[rows], None, count, RATE, progress)
        return self._result(found, chosen, targets[rows])

    def start(self, targets: np.ndarray, labels: list[int]) -> tuple[np.ndarray, np.ndarray, int]:
        """Where to start from for different poses of one shape, (P, R, R, R), in one of some classes.

        Returns:
            latents (STARTS, latent), the pose of each (STARTS,), and the class.
        """
        if self.encoder is None:
            return self._best_of_bank(targets, labels)
        vectors = self._encoded(targets)
        scores = np.stack([iou(self.draw(vectors, label), targets) for label in labels], 1)  # (P, labels)
        pose, column = np.unravel_index(scores.argmax(), scores.shape)
        around = vary(vectors[pose], SPREAD, STARTS - 1, BANK_SEED) if STARTS > 1 else vectors[:0]
        return np.concatenate([vectors[pose][None], around]), np.full(STARTS, pose), labels[int(column)]

    def draw(self, vectors: np.ndarray, label: int) -> np.ndarray:
        """Shapes of latents in a class, booleans (n, R, R, R)."""
        return self.sampler.binary(self.sampler.finite_occupancy(vectors, np.full(len(vectors), label)))

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

    def _encoded(self, targets: np.ndarray) -> np.ndarray:
        from keras import ops

        from gan3d.backend import compile_forward

        if self._encode is None:
            encoder = self.encoder
            self._encode = compile_forward(lambda x: encoder(x)[0])  # type: ignore[misc]
        size = 4 ** -(-(len(targets) - 1).bit_length() // 2)  # few sizes are compiled
        padded = np.concatenate([targets, np.zeros((size - len(targets), *targets.shape[1:]), bool)])
        return ops.convert_to_numpy(self._encode(padded[..., None].astype(np.float32)))[: len(targets)]

    def _best_of_bank(self, targets: np.ndarray, labels: list[int]) -> tuple[np.ndarray, np.ndarray, int]:
        scores = np.stack([iou_matrix(targets, self.bank(label).voxels) for label in labels])  # (labels, P, BANK)
        best = int(scores.max((1, 2)).argmax())
        pose = int(scores[best].max(1).argmax())
        order = np.argsort(-scores[best, pose], kind="stable")[:STARTS]
        return self.bank(labels[best]).latents[order], np.full(STARTS, pose), labels[best]

    def _result(self, found: Found, label: int, targets: np.ndarray) -> Inversion:
        best = int(found.scores.argmax())
        occupancy = self.sampler.finite_occupancy(found.vectors[best : best + 1], np.array([label]))
        voxels, target = self.sampler.binary(occupancy), targets[best : best + 1]
        distance = 1e3 * float(distances(prepare(voxels), prepare(target))[0, 0])
        return Inversion(
            found.vectors[best],
            self.sampler.classes[label],
            voxels[0],
            target[0],
            occupancy[0],
            float(iou(voxels, target)[0]),
            distance,
            self.bank(label).limit_x1e3,
            found.steps,
        )
