"""The narrow interface between the training step and a Keras backend.

A backend module provides exactly this:

`value_and_grad(function)`
    Turns `function(x, *rest) -> (scalar, aux)` into `(x, *rest) -> ((scalar, aux), d scalar / d x)`; `x` is a tensor or
    a list of tensors. It nests: a gradient penalty is a gradient inside a gradient.

`vjp(function, x)`
    Returns `(y, pull)` with y = `function(x)`; `pull(dy)` maps a gradient with respect to y to one with respect to `x`,
    a list of tensors.

`compile_steps(step, every, shapes=None)`
    Turns `step(state, batch, penalised) -> (state, logs)` into `run(state, batches) -> (state, logs)`, which takes as
    many steps as the leading axis of `batches` is long and penalises the first of every `every`. `logs` are arrays with
    the same leading axis; reading them waits for the steps. `shapes`, bits (N, bytes), are kept on the device: batches
    then hold indices into them, `rows`, in place of `bits`, which the step receives either way. `run` also accepts what
    `run.send(batches)` returns, which copies them to the devices and may be called from another thread meanwhile.

`compile_forward(function)`
    Compiles a pure `function(*tensors) -> tensor` where that pays: sampling one shape at 16³ on TensorFlow takes 8 ms
    instead of 32.

`fits(size)`
    Whether `size` bytes of shapes should be kept on the device.

`rank()`, `devices()`
    The rank of this process among those that train together, of which only 0 writes; the number of devices of all.

`from_first(values)`
    A nested structure of arrays from process 0, in every process.
"""

from importlib import import_module

import keras

from gan3d.errors import UserError

BACKENDS = ("tensorflow", "jax")

if keras.backend.backend() not in BACKENDS:
    raise UserError(f"KERAS_BACKEND={keras.backend.backend()} is not supported: use one of {', '.join(BACKENDS)}.")

# what ~/.keras/keras.json of another project may say otherwise: all of it changes results, or breaks layers
keras.config.set_floatx("float32")
keras.config.set_image_data_format("channels_last")
keras.config.set_epsilon(1e-7)
keras.config.set_dtype_policy("float32")

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
