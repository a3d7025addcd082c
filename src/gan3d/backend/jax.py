"""JAX: function transformations for gradients, one compiled program with donated state for many steps."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def value_and_grad(function: Callable) -> Callable:
    """See `gan3d.backend`."""
    return jax.value_and_grad(function, has_aux=True)


def compile_steps(step: Callable, every: int) -> Callable:
    """See `gan3d.backend`; a scan over cycles of one penalised step and `every - 1` plain ones."""

    def cycle(state: Any, batches: Any) -> tuple:
        first, rest = (jax.tree.map(lambda x, part=part: x[part], batches) for part in (0, slice(1, None)))
        state, first_logs = step(state, first, True)
        state, rest_logs = jax.lax.scan(lambda state, batch: step(state, batch, False), state, rest)
        return state, jax.tree.map(lambda a, b: jax.numpy.concatenate([a[None], b]), first_logs, rest_logs)

    compiled = jax.jit(lambda state, cycles: jax.lax.scan(cycle, state, cycles), donate_argnums=0)

    def run(state: Any, batches: dict[str, np.ndarray]) -> tuple[Any, dict[str, np.ndarray]]:
        cycles = {name: values.reshape(-1, every, *values.shape[1:]) for name, values in batches.items()}
        state, logs = compiled(state, cycles)
        return state, {name: np.asarray(values, np.float64).reshape(-1) for name, values in logs.items()}

    return run
