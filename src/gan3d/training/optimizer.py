"""Adam as a pure function."""

from keras import ops

from gan3d.training.recipe import Recipe


def adam(weights: list, gradients: list, moments: dict, lr: float, recipe: Recipe) -> tuple[list, dict]:
    """Kingma & Ba 2015, in the efficient order of §2. (Keras' own has no stateless form on TensorFlow.)"""
    b1, b2 = recipe.beta_1, recipe.beta_2
    t = moments["t"] + 1
    m = [b1 * m + (1 - b1) * g for m, g in zip(moments["m"], gradients, strict=True)]
    v = [b2 * v + (1 - b2) * ops.square(g) for v, g in zip(moments["v"], gradients, strict=True)]
    rate = lr * ops.sqrt(1 - b2**t) / (1 - b1**t)
    weights = [w - rate * a / (ops.sqrt(b) + 1e-8) for w, a, b in zip(weights, m, v, strict=True)]
    return weights, {"m": m, "v": v, "t": t}
