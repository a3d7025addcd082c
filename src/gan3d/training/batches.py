"""Everything random that a step consumes, drawn on the host by (seed, step): the same on every backend, and after a
restart."""

import numpy as np

from gan3d.dataset import Shards
from gan3d.training import augment
from gan3d.training.recipe import Recipe


def shuffled(rows: int, start: int, count: int, seed: int) -> np.ndarray:
    """Positions start … start + count of an endless row of epochs, each a fresh permutation of `rows` shapes, (count,).

    No shape is seen twice before every other has been seen once.
    """
    epochs = range(start // rows, (start + count - 1) // rows + 1)
    order = np.concatenate([np.random.default_rng([seed, 1, epoch]).permutation(rows) for epoch in epochs])
    offset = start - epochs[0] * rows
    return order[offset : offset + count]


def alpha(images: int, recipe: Recipe) -> float:
    """Share of the new layers after so many images: rises linearly to 1 over the fade-in."""
    return 1.0 if recipe.fade_in == 0 else min(images / recipe.fade_in, 1.0)


def decay(images: int, recipe: Recipe) -> float:
    """What the step that ends after so many images leaves of the weights' average.

    Its half-life grows with what the stage has seen, so that it soon forgets weights that knew nothing, and in the end
    spans enough to even out how the generator swings.
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
    held: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Batches of `steps` steps that start at `images` images seen, for `gan3d.training.step.make_step`.

    Args:
        packed: shapes as bits, uint8 (M, R³ / 8), perhaps memory-mapped; None when the device has those that are
            trained on, in the order of `rows`: the batches then have positions in it, `rows`, in place of `bits`.
        rows: which of them are trained on, (N,).
        labels: the classes of these, (N,) int32.
        mirrored: the axis 1, 2 or 3 along which each may be flipped, 0 for none, (N,) int32.
        latent: length of a latent vector.
        held: the classes of held-out shapes, (V,), where they steer the augmentation: each shape is then given one of
            its class, by its position among them, `held`; -1 where its class has none.

    Returns:
        Arrays with the leading axes (steps, B), or (steps,) for the scalars alpha and decay.
    """
    size = recipe.batch
    chosen = shuffled(len(rows), images, steps * size, recipe.seed)
    counts = [images + i * size for i in range(steps)]
    drawn = [_draw_step(size, latent, [recipe.seed, 2, count], recipe.augmented) for count in counts]
    flips, drawn_held = (np.stack([step.pop(name) for step in drawn]) for name in ("flip", "held"))
    return {
        **_shapes(packed, rows, chosen, (steps, size)),
        **({} if held is None else {"held": _of_class(labels[chosen].reshape(steps, size), held, drawn_held)}),
        "labels": labels[chosen].reshape(steps, size),
        "flip": np.where(flips, mirrored[chosen].reshape(steps, size), 0),
        "alpha": np.array([alpha(count, recipe) for count in counts], np.float32),
        "decay": np.array([decay(count + size, recipe) for count in counts], np.float32),
        **{name: np.stack([step[name] for step in drawn]) for name in drawn[0]},
    }


def _shapes(
    packed: np.ndarray | Shards | None, rows: np.ndarray, chosen: np.ndarray, axes: tuple
) -> dict[str, np.ndarray]:
    if packed is None:
        return {"rows": chosen.astype(np.int32).reshape(axes)}
    order = np.argsort(rows[chosen])  # reads a memory map in order
    bits = np.empty((len(chosen), packed.shape[1]), np.uint8)
    bits[order] = packed[rows[chosen[order]]]
    return {"bits": bits.reshape(*axes, -1)}


def _of_class(labels: np.ndarray, held: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Positions in `held` of the same class as each of `labels`, int32, chosen by numbers in [0, 1); -1 for none."""
    order = np.argsort(held, kind="stable")
    counts = np.bincount(held, minlength=int(labels.max(initial=0)) + 1)
    firsts = np.cumsum(counts) - counts
    places = firsts[labels] + (drawn * counts[labels]).astype(np.int64)
    return np.where(counts[labels] > 0, order[np.minimum(places, len(held) - 1)], -1).astype(np.int32)


def _draw_step(size: int, latent: int, seed: list[int], augmented: bool) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    drawn = {
        "latents": rng.standard_normal((size, latent), np.float32),
        "flip": rng.random(size) < 0.5,
        "mix": rng.random(size, np.float32),
    }
    if augmented:  # what not every recipe uses comes last, so that the others stay the same
        drawn["changes"] = rng.random((size, 2, augment.NUMBERS), np.float32)
    drawn["held"] = rng.random(size)
    return drawn
