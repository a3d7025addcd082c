"""TensorFlow: tapes for gradients, one `tf.function` for the step (no XLA: many times slower on CPU)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


def rank() -> int:
    """See `gan3d.backend`; training takes one process."""
    return 0


def devices() -> int:
    """See `gan3d.backend`."""
    return 1


def from_first(values: Any) -> Any:
    """See `gan3d.backend`."""
    return values


def fits(size: int) -> bool:
    """See `gan3d.backend`; on a CPU, reading the memory map costs next to nothing."""
    return False


def value_and_grad(function: Callable) -> Callable:
    """See `gan3d.backend`."""

    def differentiate(x: Any, *rest: Any) -> tuple:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            x = tf.nest.map_structure(tf.convert_to_tensor, x)
            tape.watch(x)
            value, aux = function(x, *rest)
        return (value, aux), tape.gradient(value, x, unconnected_gradients="zero")

    return differentiate


def vjp(function: Callable, x: list) -> tuple[Any, Callable]:
    """See `gan3d.backend`; `pull` can be called once."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        x = tf.nest.map_structure(tf.convert_to_tensor, x)
        tape.watch(x)
        y = function(x)
    return y, lambda dy: tape.gradient(y, x, dy, unconnected_gradients="zero")


def compile_forward(function: Callable) -> Callable:
    """See `gan3d.backend`; one `tf.function` per batch size, since TensorFlow warns about retracing."""
    compiled: dict[tuple, Callable] = {}

    def run(*arrays: Any) -> Any:
        tensors = [tf.convert_to_tensor(array) for array in arrays]
        sizes = tuple(tuple(tensor.shape) for tensor in tensors)
        if sizes not in compiled:
            compiled[sizes] = tf.function(function, autograph=False)
        return compiled[sizes](*tensors)

    return run


class Steps:
    """See `gan3d.backend`; the loop stays in Python: a CPU step takes far longer than its dispatch."""

    def __init__(self, step: Callable, every: int, shapes: np.ndarray | None):
        self.every = every
        self.shapes = None if shapes is None else tf.constant(shapes)
        self.compiled = tf.function(step, autograph=False)

    def send(self, batches: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Nothing to copy on a CPU."""
        return batches

    def __call__(self, state: Any, batches: dict[str, np.ndarray]) -> tuple[Any, dict[str, np.ndarray]]:
        state = tf.nest.map_structure(tf.convert_to_tensor, state)
        rows = []
        for i in range(len(next(iter(batches.values())))):
            batch = {name: tf.convert_to_tensor(values[i]) for name, values in batches.items()}
            if self.shapes is not None:
                batch["bits"] = tf.gather(self.shapes, batch.pop("rows"))
            state, logs = self.compiled(state, batch, i % self.every == 0)
            rows.append(logs)
        return state, {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def compile_steps(step: Callable, every: int, shapes: np.ndarray | None = None) -> Steps:
    """See `gan3d.backend`."""
    return Steps(step, every, shapes)
