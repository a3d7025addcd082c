"""JAX: function transformations for gradients, one compiled program with donated state for many steps.

Every device of every process takes its share of each batch; weights are replicated. Several hosts train together if
JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID are set, as `jax.distributed.initialize` reads them.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gan3d.errors import UserError

# compiling a stage can take longer than training it: cache compiled programs
if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
    jax.config.update("jax_compilation_cache_dir", str(Path.home() / ".cache" / "gan3d" / "jax"))
if os.environ.get("JAX_COORDINATOR_ADDRESS"):
    jax.distributed.initialize(
        num_processes=int(os.environ["JAX_NUM_PROCESSES"]), process_id=int(os.environ["JAX_PROCESS_ID"])
    )
    # connect while all processes have just started: later, one that compiles longer than the others could time out
    multihost_utils.sync_global_devices("gan3d")


MEMORY_SHARE = 0.25  # of a device's memory that may hold shapes
DEFAULT_MEMORY = 4 * 2**30  # bytes, for a device that does not report its own


def rank() -> int:
    """See `gan3d.backend`."""
    return jax.process_index()


def devices() -> int:
    """See `gan3d.backend`."""
    return jax.device_count()


def from_first(values: Any) -> Any:
    """See `gan3d.backend`."""
    return values if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(values)


def fits(size: int) -> bool:
    """See `gan3d.backend`; every device holds all shapes."""
    memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", DEFAULT_MEMORY)
    return size <= MEMORY_SHARE * memory


def value_and_grad(function: Callable) -> Callable:
    """See `gan3d.backend`."""
    return jax.value_and_grad(function, has_aux=True)


def vjp(function: Callable, x: list) -> tuple[Any, Callable]:
    """See `gan3d.backend`."""
    y, pull = jax.vjp(function, x)
    return y, lambda dy: pull(dy)[0]


def compile_forward(function: Callable) -> Callable:
    """See `gan3d.backend`; not worth it: slow on a CPU, and a GPU would recompile for every batch size."""
    return function


class SentBatches(NamedTuple):
    """Batches on the devices.

    Attributes:
        cycles: arrays with the leading axes (cycles, steps per cycle).
        count: of cycles to run; the ones after it pad to the longest run so far, since another length would recompile.
        steps: of these cycles.
    """

    cycles: dict[str, jax.Array]
    count: jax.Array
    steps: int


class Steps:
    """See `gan3d.backend`; a scan over cycles of one penalised step and `every - 1` plain ones."""

    def __init__(self, step: Callable, every: int, shapes: np.ndarray | None):
        self.mesh = jax.make_mesh((jax.device_count(),), ("batch",), axis_types=(AxisType.Auto,))
        self.replicated, self.sharded = (
            NamedSharding(self.mesh, PartitionSpec(*axes)) for axes in ((), (None, None, "batch"))
        )
        self.every, self.longest = every, 0
        self.shapes = None if shapes is None else place(shapes, self.replicated)
        self.compiled = jax.jit(all_cycles(step), donate_argnums=0, out_shardings=(self.replicated, self.replicated))

    def send(self, batches: dict[str, np.ndarray]) -> SentBatches:
        """Raises UserError if the devices cannot share a batch evenly."""
        steps, size = batches["labels"].shape
        if size % self.mesh.size:
            raise UserError(
                f"batch {size} cannot be split over {self.mesh.size} devices: make it a multiple of {self.mesh.size}."
            )
        self.longest = max(self.longest, steps // self.every)
        padding = np.minimum(np.arange(self.longest * self.every), steps - 1)
        cycles = {k: v[padding].reshape(self.longest, self.every, *v.shape[1:]) for k, v in batches.items()}
        placed = {
            name: place(values, self.sharded if values.ndim > 2 else self.replicated) for name, values in cycles.items()
        }
        return SentBatches(placed, place(np.int32(steps // self.every), self.replicated), steps)

    def __call__(self, state: Any, batches: dict[str, np.ndarray] | SentBatches) -> tuple[Any, dict[str, jax.Array]]:
        sent = batches if isinstance(batches, SentBatches) else self.send(batches)
        state = jax.tree.map(lambda x: place(x, self.replicated), state)
        state, logs = self.compiled(state, sent.cycles, sent.count, self.shapes)
        return state, {name: values[: sent.steps] for name, values in logs.items()}


def compile_steps(step: Callable, every: int, shapes: np.ndarray | None = None) -> Steps:
    """See `gan3d.backend`."""
    return Steps(step, every, shapes)


def all_cycles(step: Callable) -> Callable:
    """`(state, cycles, count, shapes) -> (state, logs)`: the first `count` cycles as one program, to be compiled.

    cycles: batches whose arrays have the leading axes (cycles, steps per cycle); logs: arrays of one axis.
    """

    def take(state: Any, batch: dict, shapes: jax.Array | None, penalised: bool) -> tuple:
        if shapes is not None:
            batch = {name: values for name, values in batch.items() if name != "rows"} | {"bits": shapes[batch["rows"]]}
        return step(state, batch, penalised)

    def cycle(state: Any, batches: Any, shapes: jax.Array | None) -> tuple:
        first, rest = (jax.tree.map(lambda x, part=part: x[part], batches) for part in (0, slice(1, None)))
        state, first_logs = take(state, first, shapes, True)
        state, rest_logs = jax.lax.scan(lambda state, batch: take(state, batch, shapes, False), state, rest)
        return state, jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first_logs, rest_logs)

    def program(state: Any, cycles: dict, count: jax.Array, shapes: jax.Array | None = None) -> tuple:
        def one(i: jax.Array, carry: tuple) -> tuple:
            state, logs = carry
            state, new = cycle(state, jax.tree.map(lambda x: x[i], cycles), shapes)
            return state, jax.tree.map(lambda all_, part: all_.at[i].set(part), logs, new)

        like = jax.eval_shape(lambda: cycle(state, jax.tree.map(lambda x: x[0], cycles), shapes)[1])
        length = len(next(iter(cycles.values())))
        empty = jax.tree.map(lambda x: jnp.zeros((length, *x.shape), x.dtype), like)
        state, logs = jax.lax.fori_loop(0, count, one, (state, empty))
        return state, jax.tree.map(lambda values: values.reshape(-1), logs)

    return program


def place(values: Any, sharding: NamedSharding) -> Any:
    """Combine the same host array of every process into one array over all devices."""
    if isinstance(values, jax.Array) and values.sharding == sharding:
        return values
    values = np.asarray(values)
    return jax.make_array_from_callback(values.shape, sharding, lambda part: values[part])
