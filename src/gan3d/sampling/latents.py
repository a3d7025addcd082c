"""Latent vectors by seed, and interpolation between them."""

import numpy as np


def draw_latents(seed: int, count: int, size: int) -> np.ndarray:
    """Latent vectors of a seed, (count, size) float32; a smaller count gives the first vectors of a larger one."""
    return np.random.default_rng([seed, 3]).standard_normal((count, size), np.float32)


def slerp(start: np.ndarray, end: np.ndarray, steps: int) -> np.ndarray:
    """Interpolate spherically between two latent vectors, ends included, (steps, size) (White 2016)."""
    cosine = np.dot(start, end) / (np.linalg.norm(start) * np.linalg.norm(end))
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    t = np.linspace(0.0, 1.0, steps)[:, None]
    if angle < 1e-4:
        return ((1 - t) * start + t * end).astype(np.float32)
    return ((np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)).astype(np.float32)
