"""The narrow seam between the training step and a Keras backend.

A backend module offers this and nothing else:

`value_and_grad(function)`
    `function(x, *rest) -> (scalar, aux)` becomes `(x, *rest) -> ((scalar, aux), d scalar / d x)`; `x` is a tensor or a
    list of tensors. It nests: a gradient penalty is a gradient inside a gradient.

`vjp(function, x)`
    `(y, pull)`, where y is `function(x)` and `pull(dy)` what a gradient by y is as one by `x`, a list of tensors.

`compile_steps(step, every, shapes=None)`
    `step(state, batch, penalised) -> (state, logs)` becomes `run(state, batches) -> (state, logs)`, which takes as many
    steps as the leading axis of `batches` is long and penalises the first of every `every`. `logs` are arrays with the
    same leading axis, and looking at them waits for the steps. `shapes`, bits (N, bytes), are kept on the device:
    batches then have numbers of them, `rows`, in place of the `bits`, which the step gets all the same. `run` takes
    what `run.send(batches)` returns, too: it brings them to the devices, and may be called in another thread meanwhile.

`compile_forward(function)`
    `function(*tensors) -> tensor`, which changes nothing, compiled where that is worth it: drawing one shape of 16³ on
    TensorFlow took 8 ms in place of 32.

`fits(size)`
    Whether so many bytes of shapes should be kept on the device.

`rank()`, `devices()`
    Number of this process among those that train together, of which 0 alone writes; the devices of all of them.

`from_first(values)`
    A nested structure of arrays as process 0 has it, in every process.
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
compile_forward = _module.compile_forward
fits = _module.fits
rank = _module.rank
devices = _module.devices
from_first = _module.from_first
vjp = _module.vjp

__all__ = [
    "BACKENDS",
    "compile_forward",
    "compile_steps",
    "devices",
    "fits",
    "from_first",
    "rank",
    "value_and_grad",
    "vjp",
]
