"""Every random number of a step, drawn on the host from (seed, images seen): equal on all backends."""

from typing import Any

import numpy as np

from gan3d.dataset import Shards
from gan3d.training import augment
from gan3d.training.recipe import Recipe


def shuffled(rows: int, start: int, count: int, seed: int) -> np.ndarray:
    """Positions start … start + count of endless epochs, each a new permutation of `rows` shapes, (count,).

    No shape repeats before every other has been seen.
    """
    epochs = range(start // rows, (start + count - 1) // rows + 1)
    order = np.concatenate([np.random.default_rng([seed, 1, epoch]).permutation(rows) for epoch in epochs])
    offset = start - epochs[0] * rows
    return order[offset : offset + count]


def alpha(images: int, recipe: Recipe) -> float:
    """Weight of the new layers after `images` images: rises linearly to 1 over the fade-in."""
    return 1.0 if recipe.fade_in == 0 else min(images / recipe.fade_in, 1.0)


def decay(images: int, recipe: Recipe) -> float:
    """EMA decay of the step that ends after `images` images.

    The half-life grows with the images seen: early weights are soon forgotten, and at the end the EMA spans enough
    steps to smooth the generator's oscillation.
    """
    return 0.5 ** (recipe.batch / (recipe.ema * images))


def draw(
    packed: np.ndarray | Shards | None,
    rows: np.ndarray,
    labels: np.ndarray,
    mirrored: np.ndarray,
    latent: int,
    images: int,
    steps: int,
    recipe: Recipe,
    held_out: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Batches of `steps` steps that start at `images` images seen, for `gan3d.training.step.make_step`.

    Args:
        packed: shapes as bits, uint8 (M, R³ / 8), perhaps memory-mapped; None if the device holds the training shapes,
            in the order of `rows`: the batches then hold positions, `rows`, in place of `bits`.
        rows: the training shapes, (N,).
        labels: their classes, (N,) int32.
        mirrored: the axis 1, 2 or 3 along which each may be flipped, 0 for none, (N,) int32.
        latent: length of a latent vector.
        held_out: labels of the held-out shapes, (V,), if they steer the augmentation. The batches then hold `held_out`:
            for each training shape, the position of a held-out shape of its class, or -1 if there is no such shape.

    Returns:
        Arrays with the leading axes (steps, B), or (steps,) for the scalars alpha, decay and noise.
    """
    size = recipe.batch
    chosen = shuffled(len(rows), images, steps * size, recipe.seed)
    counts = [images + i * size for i in range(steps)]
    drawn = [_draw_step(size, latent, [recipe.seed, 2, count], recipe.augmented) for count in counts]
    flips, held_out_draws = (np.stack([step.pop(name) for step in drawn]) for name in ("flip", "held_out"))
    return {
        **select_shapes(packed, rows, chosen, (steps, size)),
        **(
            {}
            if held_out is None
            else {"held_out": _of_same_class(labels[chosen].reshape(steps, size), held_out, held_out_draws)}
        ),
        "labels": labels[chosen].reshape(steps, size),
        "flip": np.where(flips, mirrored[chosen].reshape(steps, size), 0),
        "alpha": np.array([alpha(count, recipe) for count in counts], np.float32),
        "decay": np.array([decay(count + size, recipe) for count in counts], np.float32),
        **{name: np.stack([step[name] for step in drawn]) for name in drawn[0]},
    }


def select_shapes(
    packed: np.ndarray | Shards | None, rows: np.ndarray, chosen: np.ndarray, axes: tuple[int, int]
) -> dict[str, np.ndarray]:
    """The training shapes at positions `chosen` of `rows`, as `rows` or `bits` of `draw`; axes: (steps, B)."""
    if packed is None:
        return {"rows": chosen.astype(np.int32).reshape(axes)}
    order = np.argsort(rows[chosen])  # read the memory map in order
    bits = np.empty((len(chosen), packed.shape[1]), np.uint8)
    bits[order] = packed[rows[chosen[order]]]
    return {"bits": bits.reshape(*axes, -1)}


def _of_same_class(labels: np.ndarray, held_out: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Positions in `held_out` of each label's class, int32, chosen by numbers in [0, 1); -1 for none."""
    order = np.argsort(held_out, kind="stable")
    counts = np.bincount(held_out, minlength=int(labels.max(initial=0)) + 1)
    firsts = np.cumsum(counts) - counts
    places = firsts[labels] + (draws * counts[labels]).astype(np.int64)
    return np.where(counts[labels] > 0, order[np.minimum(places, len(held_out) - 1)], -1).astype(np.int32)


def _draw_step(size: int, latent: int, seed: list[int], augmented: bool) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    drawn: dict[str, Any] = {
        "latents": rng.standard_normal((size, latent), np.float32),
        "flip": rng.random(size) < 0.5,
        "mix": rng.random(size, np.float32),
        "noise": rng.integers(2**32, dtype=np.uint32),
    }
    if augmented:  # drawn last: the other numbers do not depend on augmentation
        drawn["changes"] = rng.random((size, 2, augment.NUMBERS), np.float32)
    drawn["held_out"] = rng.random(size)
    return drawn
