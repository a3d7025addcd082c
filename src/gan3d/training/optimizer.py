"""Adam as a pure function."""

import numpy as np
from keras import ops

from gan3d.training.recipe import Recipe


def first_moments(weights: list[np.ndarray]) -> dict:
    """Adam's moments and step count before the first step, NumPy arrays."""
    zeros = [np.zeros_like(weight) for weight in weights]
    return {"m": zeros, "v": [zero.copy() for zero in zeros], "t": np.zeros((), np.float32)}


def adam(weights: list, gradients: list, moments: dict, lr: float, recipe: Recipe) -> tuple[list, dict]:
    """Kingma & Ba 2015, in the efficient order of §2. (Keras' own has no stateless form on TensorFlow.)"""
    b1, b2 = recipe.beta_1, recipe.beta_2
    t = moments["t"] + 1
    m = [b1 * m + (1 - b1) * g for m, g in zip(moments["m"], gradients, strict=True)]
    v = [b2 * v + (1 - b2) * ops.square(g) for v, g in zip(moments["v"], gradients, strict=True)]
    rate = lr * ops.sqrt(1 - b2**t) / (1 - b1**t)
    weights = [w - rate * a / (ops.sqrt(b) + 1e-8) for w, a, b in zip(weights, m, v, strict=True)]
    return weights, {"m": m, "v": v, "t": t}
