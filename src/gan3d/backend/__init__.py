"""The narrow seam between the training step and a Keras backend.

A backend module offers three functions and nothing else:

`value_and_grad(function)`
    `function(x, *rest) -> (scalar, aux)` becomes `(x, *rest) -> ((scalar, aux), d scalar / d x)`; `x` is a tensor or a
    list of tensors. It nests: a gradient penalty is a gradient inside a gradient.

`compile_steps(step, every)`
    `step(state, batch, penalised) -> (state, logs)` becomes `run(state, batches) -> (state, logs)`, which takes as many
    steps as the leading axis of `batches` is long and penalises the first of every `every`. `logs` are NumPy arrays
    with the same leading axis.

`rank()`
    Number of this process among those that train together; 0 alone writes.
"""

from importlib import import_module

import keras

from gan3d.errors import UserError

BACKENDS = ("tensorflow", "jax")

if keras.backend.backend() not in BACKENDS:
    raise UserError(f"KERAS_BACKEND={keras.backend.backend()} is not supported: use one of {', '.join(BACKENDS)}.")

_module = import_module(f"gan3d.backend.{keras.backend.backend()}")
value_and_grad = _module.value_and_grad
compile_steps = _module.compile_steps
rank = _module.rank

__all__ = ["BACKENDS", "compile_steps", "rank", "value_and_grad"]
