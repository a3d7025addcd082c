"""Arithmetic on latents. The generator only sees their direction, so every result has unit mean square."""

import numpy as np

from gan3d.errors import UserError
from gan3d.sampling.latents import draw_latents


def normalise(vectors: np.ndarray) -> np.ndarray:
    """Vectors (…, size) scaled to unit mean square, float32; a zero vector stays."""
    scale = np.sqrt(np.mean(np.square(vectors, dtype=np.float64), axis=-1, keepdims=True))
    return (vectors / np.where(scale > 0, scale, 1.0)).astype(np.float32)


def vary(vector: np.ndarray, strength: float, count: int, seed: int) -> np.ndarray:
    """Latents around one, (count, size): turned by `strength` quarter turns toward random ones.

    Args:
        vector: (size,).
        strength: from 0, the latent itself, to 1, one that has nothing in common with it.
        count: of variations.
        seed: of the random directions.

    Raises:
        UserError: for a strength out of range.
    """
    if not 0 <= strength <= 1:
        raise UserError(f"strength {strength:g} is out of range: give a number from 0 to 1.")
    centre = normalise(vector).astype(np.float64)
    others = draw_latents(seed, count, len(vector)).astype(np.float64)
    others = normalise(others - np.outer(others @ centre / (centre @ centre), centre))  # at a right angle
    angle = strength * np.pi / 2
    return normalise(np.cos(angle) * centre + np.sin(angle) * others)


def combine(plus: list[np.ndarray], minus: list[np.ndarray]) -> np.ndarray:
    """The sum of some latents less others, such as A - B + C, (size,).

    Raises:
        UserError: if nothing is left.
    """
    total = sum((normalise(each).astype(np.float64) for each in plus), np.zeros(len(plus[0])))
    total = total - sum((normalise(each).astype(np.float64) for each in minus), np.zeros(len(plus[0])))
    if np.abs(total).max() < 1e-4:
        raise UserError("the latents cancel each other out: add or subtract another one.")
    return normalise(total)
