"""Weights by name: initial values, and transfer from the network that one grows from."""

import re
import zlib

import keras
import numpy as np

RESIDUAL_OUT = re.compile(r"_residual\d+_out/kernel$")


def weight_names(model: keras.Model) -> list[str]:
    """A stable name for each trainable weight, such as `r08_up/kernel`, in the model's order."""
    return ["/".join(variable.path.split("/")[-2:]) for variable in model.trainable_variables]


def get_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """All trainable weights by name, float32."""
    values = (keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables)
    return dict(zip(weight_names(model), values, strict=True))


def assign_weights(model: keras.Model, values: dict[str, np.ndarray]) -> list[str]:
    """Assign the values whose names the model has; return the names that `values` lacks.

    Raises:
        ValueError: when a weight of the same name has another shape.
    """
    for name, variable in zip(weight_names(model), model.trainable_variables, strict=True):
        if name in values:
            variable.assign(values[name])
    return [name for name in weight_names(model) if name not in values]


def initialise_weights(model: keras.Model, seed: int) -> None:
    """Draw every kernel from N(0, 1) by seed and name alone: all backends start from the same network.

    A residual block starts as the identity: its second kernel is 0.
    """
    for name, variable in zip(weight_names(model), model.trainable_variables, strict=True):
        if RESIDUAL_OUT.search(name):
            variable.assign(np.zeros(variable.shape, np.float32))
        elif name.endswith("/kernel"):
            rng = np.random.default_rng([seed, zlib.crc32(f"{model.name}/{name}".encode())])
            variable.assign(rng.standard_normal(variable.shape, np.float32))
