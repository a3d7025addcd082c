"""The search for a latent: from several starts to the generator's shape closest to given voxels.

The loss is far from round in the latent: some directions change a hundred thousand times what others do. So the others
are stretched, by the Fisher information of the voxels (Gauss-Newton), from one shape drawn a small way along each
direction.

1. A few steps of L-BFGS from each start, with the mean information of random shapes, and a loss that also compares
   coarser grids, which see shapes that do not overlap yet. The one of the highest IoU goes on for some more.
2. L-BFGS to the end, with the information there and the loss of the finest grid.

What each step brought is measured in docs/inversion.md.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gan3d.inversion.vectors import normalise
from gan3d.sampling.latents import draw_latents

if TYPE_CHECKING:
    from gan3d.sampling.sampler import Sampler

CLOSE = 0.999  # IoU at which little is left to gain
DICE, ENTROPY = 1.0, 0.3  # weights of the two losses
SCALES = (1, 2, 4)  # voxels along an edge of those that the first steps compare
COARSEST = 4  # voxels along an edge of the coarsest grid that is compared
FIRST, FURTHER = 0.45, 0.1  # shares of the evaluations: of all starts, and of the best of them before it is stretched
MEMORY = 20  # pairs of steps and gradients that L-BFGS remembers
TOLERANCE = 1e-6  # relative decrease of the loss, below which a search ends
STEP = 0.02  # along each direction of the latent
TYPICAL, TYPICAL_SEED = 3, 2**32 + 17  # random shapes whose information is averaged
DAMPING = 0.03  # of the information at a latent, as a share of its mean over all directions
TYPICAL_DAMPING = 0.1  # of that of random shapes
SURE = 1e-7  # occupancies closer to 0 or 1 are taken for this


@dataclass(frozen=True)
class Found:
    """The best of a search.

    Attributes:
        vector: float32 (latent,) of unit mean square.
        score: IoU of its shape with the target, where that is given.
        evaluations: of the generator and its gradient.
    """

    vector: np.ndarray
    score: float
    evaluations: int


@dataclass(frozen=True)
class Target:
    """What is searched for.

    Attributes:
        voxels: booleans (R, R, R).
        given: booleans (R, R, R), where they count.
        label: the class.
    """

    voxels: np.ndarray
    given: np.ndarray
    label: int


class LatentSearch:
    """Searches the latents of one generator; compiled once."""

    def __init__(self, sampler: "Sampler") -> None:
        from gan3d.backend import compile_steps

        self.sampler = sampler
        generator, threshold = sampler.generator, sampler.model.threshold
        self._fine = compile_steps(make_evaluation(generator, threshold, (1,)), 1)
        self._coarse = compile_steps(make_evaluation(generator, threshold, SCALES), 1)
        self._axes: dict[int, np.ndarray] = {}

    def run(
        self,
        starts: np.ndarray,
        label: int,
        voxels: np.ndarray,
        given: np.ndarray | None = None,
        evaluations: int = 60,
    ) -> Found:
        """Bring the shape of a latent close to a target.

        Args:
            starts: latents (n, latent), of which the closest after some steps goes on.
            label: their class.
            voxels: the target, booleans (R, R, R).
            given: booleans (R, R, R), where the target counts; None: everywhere.
            evaluations: about how many of the generator and its gradient, at most, all starts together; fewer where
                little is left to gain. As many shapes as the latent has entries are drawn besides.
        """
        target = Target(voxels, np.ones(voxels.shape, bool) if given is None else given, label)
        each, axes = max(1, int(FIRST * evaluations) // len(starts)), self.typical_axes(label)
        trials = [Descent(self._coarse, target, start, axes) for start in normalise(starts)]
        with ThreadPoolExecutor(min(len(trials), os.cpu_count() or 1)) as threads:
            list(threads.map(lambda trial: trial.run(each), trials))
        best = max(trials, key=lambda trial: trial.score)
        used = sum(trial.count for trial in trials)
        for run, share in ((self._coarse, FURTHER), (self._fine, 1.0)):
            left = min(int(share * evaluations), evaluations - used)
            if best.score >= CLOSE or left <= 0:
                continue
            if run is self._fine:
                axes = stretch(self._information(best.best, label, target.given), DAMPING)
            last = Descent(run, target, best.best, axes)
            last.run(left)
            used += last.count
            best = max(best, last, key=lambda trial: trial.score)
        return Found(normalise(best.best), best.score, used)

    def typical_axes(self, label: int) -> np.ndarray:
        """The axes (latent, latent) of a search that knows nothing but the class; made at the first call."""
        if label not in self._axes:
            size = self.sampler.model.architecture.latent
            given = np.ones((self.sampler.model.architecture.resolution,) * 3, bool)
            typical = normalise(draw_latents(TYPICAL_SEED, TYPICAL, size))
            total = sum(self._information(vector, label, given) for vector in typical)
            self._axes[label] = stretch(np.asarray(total), TYPICAL_DAMPING)
        return self._axes[label]

    def _information(self, vector: np.ndarray, label: int, given: np.ndarray) -> np.ndarray:
        """The Fisher information of given voxels about a latent, (latent, latent).

        With J the derivatives of the voxels' log-odds and p their occupancies, it is J p (1 - p) Jᵀ, which is also
        about the Hessian of the cross-entropy.
        """
        size = len(vector)
        moved = np.concatenate([vector[None], vector + STEP * np.eye(size)]).astype(np.float32)
        occupancy = np.clip(self.sampler.occupancy(moved, np.full(size + 1, label))[:, given], SURE, 1 - SURE)
        odds = np.log(occupancy / (1 - occupancy))
        share = 1 / (1 + np.exp(_shift(self.sampler.model.threshold) - odds[0]))
        slopes = (odds[1:] - odds[0]) / STEP * np.sqrt(share * (1 - share))
        return np.asarray(slopes @ slopes.T, np.float64)


def stretch(information: np.ndarray, damping: float) -> np.ndarray:
    """Axes in which a loss with this information is about round, the columns of (latent, latent).

    They are the eigenvectors, divided by the square roots of their eigenvalues, to which a share of the mean is added.
    """
    values, vectors = np.linalg.eigh(information)
    mean = values.mean()
    return vectors / np.sqrt(values.clip(0) / mean + damping) if mean > 0 else np.eye(len(values))


class Descent:
    """L-BFGS from one start; what it has seen so far.

    Attributes:
        best: the latent of the highest IoU, (latent,).
        score: that IoU.
        count: of evaluations.
    """

    def __init__(self, run: Callable, target: Target, start: np.ndarray, axes: np.ndarray | None = None) -> None:
        """Take a compiled evaluation, and the axes to descend along, the columns of (latent, latent)."""
        from gan3d.backend import devices

        self._run = run
        self._start, self._axes = np.asarray(start, np.float64), np.eye(len(start)) if axes is None else axes
        parts = {"target": target.voxels, "given": target.given}
        self._fixed = {name: part[None, ..., None].astype(np.float32) for name, part in parts.items()}
        # as many as devices share; the first one counts
        self._batch = {"labels": np.full((1, devices()), target.label, np.int32)}
        self.best, self.score, self.count = self._start, -1.0, 0

    def run(self, evaluations: int) -> None:
        """Descend, by about so many evaluations at most."""
        from scipy.optimize import minimize

        minimize(
            self._evaluate,
            np.zeros(len(self._start)),
            jac=True,
            method="L-BFGS-B",
            callback=self._stop,
            options={"maxfun": evaluations, "maxiter": evaluations, "maxcor": MEMORY, "ftol": TOLERANCE},
        )

    def _evaluate(self, place: np.ndarray) -> tuple[float, np.ndarray]:
        vector = self._start + self._axes @ place
        latent = vector[None].astype(np.float32)
        state, logs = self._run(self._fixed | {"latent": latent, "gradient": np.zeros_like(latent)}, self._batch)
        loss, score = (float(np.asarray(logs[name])[0]) for name in ("loss", "score"))
        self.count += 1
        if score > self.score:
            self.score, self.best = score, vector
        return loss, self._axes.T @ np.asarray(state["gradient"], np.float64)[0]

    def _stop(self, intermediate_result: Any) -> None:
        if self.score >= CLOSE:
            raise StopIteration


def make_evaluation(generator: Any, threshold: float, scales: tuple[int, ...]) -> Callable:
    """Build a "step" for `gan3d.backend.compile_steps` that evaluates loss, gradient and IoU of one latent.

    The loss is the sum over scales of soft Dice and cross-entropy between means of that many voxels along each axis.
    The generator scales latents to unit mean square, so that all directions are as likely: no prior is needed.
    """
    from keras import ops

    from gan3d.backend import value_and_grad

    shift = _shift(threshold)

    def loss(latent: Any, labels: Any, target: Any, given: Any) -> tuple:
        occupancy = generator(latent, labels)
        inside, wanted = ops.cast(occupancy > threshold, "float32") * given, target * given
        both, size = ops.sum(inside * wanted), ops.sum(wanted)
        score = both / ops.maximum(ops.sum(inside) + size - both, 1.0)
        soft = ops.clip(occupancy, 1e-6, 1 - 1e-6)
        if shift:
            soft = ops.clip(ops.sigmoid(ops.log(soft / (1 - soft)) - shift), 1e-6, 1 - 1e-6)
        total = 0.0
        for scale in scales:
            if scale == 1 or target.shape[1] >= COARSEST * scale:
                parts = soft * given, wanted, given
                total += difference(*(ops.average_pool(part, scale) if scale > 1 else part for part in parts))
        return total, score

    def difference(soft: Any, wanted: Any, given: Any) -> Any:
        size, soft = ops.maximum(ops.sum(wanted), 1e-3), ops.clip(soft, 1e-6, 1 - 1e-6)
        entropy = -ops.sum(given * (wanted * ops.log(soft) + (1 - wanted) * ops.log(1 - soft)))
        dice = 1 - 2 * ops.sum(soft * wanted) / (ops.sum(soft * given) + size)
        return DICE * dice + ENTROPY * entropy / size

    def step(state: dict, batch: dict, penalised: Any) -> tuple[dict, dict]:
        differentiate = value_and_grad(loss)
        (value, score), gradient = differentiate(state["latent"], batch["labels"][:1], state["target"], state["given"])
        return state | {"gradient": gradient}, {"loss": value, "score": score}

    return step


def _shift(threshold: float) -> float:
    """What is taken from the log-odds so that the threshold becomes one half."""
    limited = min(max(threshold, 1e-4), 1 - 1e-4)
    return float(np.log(limited / (1 - limited)))
