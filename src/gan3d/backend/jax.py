"""JAX: function transformations for gradients, one compiled program with donated state for many steps.

Every device of every process takes its part of each batch; the weights are the same on all of them. Several hosts join
when JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID are set, as `jax.distributed.initialize` reads them.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gan3d.errors import UserError

# compiling a stage takes longer than many a training: keep what was compiled
if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
    jax.config.update("jax_compilation_cache_dir", str(Path.home() / ".cache" / "gan3d" / "jax"))
if os.environ.get("JAX_COORDINATOR_ADDRESS"):
    jax.distributed.initialize(
        num_processes=int(os.environ["JAX_NUM_PROCESSES"]), process_id=int(os.environ["JAX_PROCESS_ID"])
    )


def rank() -> int:
    """See `gan3d.backend`."""
    return jax.process_index()


def value_and_grad(function: Callable) -> Callable:
    """See `gan3d.backend`."""
    return jax.value_and_grad(function, has_aux=True)


def compile_steps(step: Callable, every: int) -> Callable:
    """See `gan3d.backend`; a scan over cycles of one penalised step and `every - 1` plain ones.

    Raises:
        UserError: when the devices cannot share a batch evenly.
    """

    def cycle(state: Any, batches: Any) -> tuple:
        first, rest = (jax.tree.map(lambda x, part=part: x[part], batches) for part in (0, slice(1, None)))
        state, first_logs = step(state, first, True)
        state, rest_logs = jax.lax.scan(lambda state, batch: step(state, batch, False), state, rest)
        return state, jax.tree.map(lambda a, b: jax.numpy.concatenate([a[None], b]), first_logs, rest_logs)

    mesh = jax.make_mesh((jax.device_count(),), ("batch",), axis_types=(AxisType.Auto,))
    same, shared = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(None, None, "batch"))
    compiled = jax.jit(
        lambda state, cycles: jax.lax.scan(cycle, state, cycles), donate_argnums=0, out_shardings=(same, same)
    )

    def place(values: Any, sharding: NamedSharding) -> Any:
        """The same host array in every process becomes one array over all devices."""
        if isinstance(values, jax.Array) and values.sharding == sharding:
            return values
        values = np.asarray(values)
        return jax.make_array_from_callback(values.shape, sharding, lambda part: values[part])

    def run(state: Any, batches: dict[str, np.ndarray]) -> tuple[Any, dict[str, np.ndarray]]:
        size = len(batches["labels"][0])
        if size % mesh.size:
            raise UserError(f"batch {size} cannot be shared by {mesh.size} devices: make it a multiple of {mesh.size}.")
        cycles = {name: values.reshape(-1, every, *values.shape[1:]) for name, values in batches.items()}
        placed = {name: place(values, shared if values.ndim > 2 else same) for name, values in cycles.items()}
        state, logs = compiled(jax.tree.map(lambda x: place(x, same), state), placed)
        return state, {name: np.asarray(values, np.float64).reshape(-1) for name, values in logs.items()}

    return run
