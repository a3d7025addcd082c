"""Adam on latents: shapes of a generator brought close to given voxels, several starts in one compiled step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gan3d.training.recipe import Recipe

if TYPE_CHECKING:
    from gan3d.sampling.sampler import Sampler

BETAS = Recipe(beta_1=0.9, beta_2=0.99)
CHUNK = 10  # steps between two looks at whether it is close enough
CLOSE = 0.999  # IoU at which nothing is left to gain
DICE, ENTROPY = 1.0, 0.3  # weights of the two losses
LEAST = 0.05  # of the rate, reached by a cosine at the last step


@dataclass(frozen=True)
class Found:
    """The best of a search.

    Attributes:
        vectors: float32 (starts, latent) of unit mean square.
        scores: IoU with the target where it is given, (starts,).
        steps: taken.
    """

    vectors: np.ndarray
    scores: np.ndarray
    steps: int


class LatentSearch:
    """Searches the latents of one generator; compiled once per number of starts."""

    def __init__(self, sampler: "Sampler") -> None:
        from gan3d.backend import compile_steps

        self.sampler = sampler
        self._run = compile_steps(make_search_step(sampler.generator, sampler.model.threshold), 1)

    def run(
        self,
        starts: np.ndarray,
        labels: np.ndarray,
        targets: np.ndarray,
        given: np.ndarray | None = None,
        steps: int = 60,
        rate: float = 0.1,
        progress: Callable[[float], None] = lambda score: None,
    ) -> Found:
        """Bring the shapes of some latents close to their targets.

        Args:
            starts: latents (K, latent).
            labels: their classes (K,).
            targets: booleans (K, R, R, R) or (R, R, R).
            given: booleans (R, R, R), where the target counts; None: everywhere.
            steps: at most so many; fewer once every shape equals its target.
            rate: of Adam.
            progress: told the best IoU so far.
        """
        count = len(starts)
        targets = np.broadcast_to(targets, (count, *targets.shape[-3:]))
        given = np.ones(targets.shape[1:], bool) if given is None else given
        vectors = np.asarray(starts, np.float32)
        state: Any = {
            "latents": vectors,
            "moments": {"m": [np.zeros_like(vectors)], "v": [np.zeros_like(vectors)], "t": np.float32(0)},
            "best": vectors,
            "scores": np.full(count, -1, np.float32),
            "targets": targets[..., None].astype(np.float32),
            "given": given[None, ..., None].astype(np.float32),
        }
        turn = np.pi / 2 * np.arange(steps) / max(steps, 1)
        rates = (rate * (LEAST + (1 - LEAST) * np.cos(turn) ** 2)).astype(np.float32)
        taken = 0
        while taken < steps:
            part = rates[taken : taken + CHUNK]
            label_rows = np.broadcast_to(np.asarray(labels, np.int32), (len(part), count))
            state, logs = self._run(state, {"labels": label_rows, "rate": part})
            taken += len(part)
            progress(float(np.asarray(logs["score"])[-1]))
            if float(np.asarray(logs["worst"])[-1]) >= CLOSE:
                break
        return Found(np.array(state["best"]), np.array(state["scores"]), taken)


def make_search_step(generator: Any, threshold: float) -> Callable:
    """Build `step(state, batch, penalised) -> (state, logs)` for `gan3d.backend.compile_steps`.

    The generator scales latents to unit mean square, so that all directions are as likely: no prior is needed.
    """
    from keras import ops

    from gan3d.backend import value_and_grad
    from gan3d.inversion.encoder import unit
    from gan3d.training.optimizer import adam

    weights = [variable.value for variable in generator.trainable_variables]
    shift = float(np.log(min(max(threshold, 1e-4), 1 - 1e-4) / (1 - min(max(threshold, 1e-4), 1 - 1e-4))))

    def loss(latents: list, labels: Any, targets: Any, given: Any) -> tuple:
        occupancy = generator.stateless_call(weights, [], latents[0], labels)[0]
        inside = ops.cast(occupancy > threshold, "float32") * given
        wanted = targets * given
        both = ops.sum(inside * wanted, (1, 2, 3, 4))
        score = both / ops.maximum(ops.sum(inside + wanted, (1, 2, 3, 4)) - both, 1.0)
        soft = ops.clip(occupancy, 1e-6, 1 - 1e-6)
        if shift:  # the threshold becomes one half
            soft = ops.sigmoid(ops.log(soft / (1 - soft)) - shift)
        soft = ops.clip(soft, 1e-6, 1 - 1e-6)
        size = ops.sum(wanted, (1, 2, 3, 4))
        entropy = -ops.sum(given * (targets * ops.log(soft) + (1 - targets) * ops.log(1 - soft)), (1, 2, 3, 4))
        overlap = ops.sum(soft * wanted, (1, 2, 3, 4))
        dice = 1 - 2 * overlap / ops.maximum(ops.sum(soft * given, (1, 2, 3, 4)) + size, 1.0)
        return ops.sum(DICE * dice + ENTROPY * entropy / ops.maximum(size, 1.0)), score

    def step(state: dict, batch: dict, penalised: Any) -> tuple[dict, dict]:
        latents = state["latents"]
        (_, score), gradients = value_and_grad(loss)([latents], batch["labels"], state["targets"], state["given"])
        better = score > state["scores"]
        scores = ops.where(better, score, state["scores"])
        best = ops.where(better[:, None], latents, state["best"])
        moved, moments = adam([latents], gradients, state["moments"], batch["rate"], BETAS)
        new = state | {"latents": unit(moved[0]), "moments": moments, "best": best, "scores": scores}
        return new, {"score": ops.max(scores), "worst": ops.min(scores)}

    return step
