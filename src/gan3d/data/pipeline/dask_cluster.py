"""The conversion of blocks on a Dask cluster; its workers must see the source and the output under the same paths."""

import atexit
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gan3d.data.pipeline.convert import Form, convert_block
from gan3d.data.sandbox.pool import Limits, SandboxPool
from gan3d.data.sources.walk import Item
from gan3d.errors import UserError

AHEAD = 4  # calls under way for each thread of the cluster
AGAIN = 3  # times that a block is given to another worker when its own is lost
SECONDS = 10  # to reach the scheduler

_held = threading.local()


def convert_on(address: str, calls: Iterable[tuple], limits: Limits) -> Iterator[tuple[int, Any]]:
    """(number of the call, results of `convert_block` or a `Lost`) as they become ready.

    Each thread of a worker reads files in a process of its own, under the same limits as on one machine.

    Raises:
        UserError: when Dask is not installed, the scheduler does not answer or has no workers, or workers keep dying.
    """
    try:
        from distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise UserError("Dask is not installed: install it with `pip install 'gan3d[dask]'`.") from None
    try:
        client = Client(address, timeout=SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"the Dask scheduler {address} does not answer ({why}): start it, or correct --dask.") from None
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise UserError(f"the Dask scheduler {address} has no workers: start some with `dask worker {address}`.")
        numbers: dict[Any, int] = {}
        source = enumerate(calls)
        ready = as_completed(loop=client.loop)

        def submit() -> None:
            following = next(source, None)
            if following is not None:
                number, (items, form) = following
                future = client.submit(guarded, items, form, limits, pure=False, retries=AGAIN)
                numbers[future.key] = number
                ready.add(future)

        for _ in range(AHEAD * threads):
            submit()
        for future in ready:
            try:
                answer = future.result()
            except KilledWorker:
                raise UserError(
                    f"workers of {address} keep dying: give them more memory, or lower data.memory_limit."
                ) from None
            yield numbers.pop(future.key), answer
            future.release()
            submit()


def guarded(items: Sequence[Item], form: Form, limits: Limits) -> Any:
    """`convert_block` in a process beside this thread, which is kept for the next call."""
    guard = getattr(_held, "guard", None)
    if guard is None or guard.limits != limits:
        guard = _held.guard = SandboxPool(1, limits)
        atexit.register(guard.__exit__)
    return guard.call(convert_block, items, form)
