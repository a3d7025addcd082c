"""Conversion on a Dask cluster; its workers must see the source and the output under the same paths."""

import atexit
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gan3d.data.pipeline.convert import ConversionSettings, convert_batch
from gan3d.data.sandbox.pool import Limits, SandboxPool
from gan3d.data.sources.walk import SourceItem
from gan3d.errors import UserError

CALLS_PER_THREAD = 4  # in flight
RETRIES = 3  # of a batch whose worker dies
CONNECT_TIMEOUT = 10  # seconds

_thread = threading.local()


def convert_on(address: str, calls: Iterable[tuple], limits: Limits) -> Iterator[tuple[int, Any]]:
    """Run calls of `convert_batch` on a cluster, under the same limits as on one machine.

    Args:
        address: of the scheduler.
        calls: arguments of `convert_batch`.
        limits: per call.

    Yields:
        (number of the call, its results or a `WorkerFailure`) in order of completion.

    Raises:
        UserError: if Dask is not installed, the scheduler does not answer or has no workers, or workers keep dying.
    """
    try:
        from distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise UserError("Dask is not installed: install it with `pip install 'gan3d[dask]'`.") from None
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"the Dask scheduler {address} does not answer ({why}): start it, or correct --dask.") from None
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise UserError(f"the Dask scheduler {address} has no workers: start some with `dask worker {address}`.")
        numbers: dict[Any, int] = {}
        remaining = enumerate(calls)
        completed = as_completed(loop=client.loop)

        def submit_next() -> None:
            call = next(remaining, None)
            if call is not None:
                number, (items, settings) = call
                future = client.submit(convert_in_sandbox, items, settings, limits, pure=False, retries=RETRIES)
                numbers[future.key] = number
                completed.add(future)

        for _ in range(CALLS_PER_THREAD * threads):
            submit_next()
        for future in completed:
            try:
                answer = future.result()
            except KilledWorker:
                raise UserError(
                    f"workers of {address} keep dying: give them more memory, or lower data.memory_limit."
                ) from None
            yield numbers.pop(future.key), answer
            future.release()
            submit_next()


def convert_in_sandbox(items: Sequence[SourceItem], settings: ConversionSettings, limits: Limits) -> Any:
    """Run `convert_batch` in a sandbox that this thread keeps for its next call."""
    sandbox = getattr(_thread, "sandbox", None)
    if sandbox is None or sandbox.limits != limits:
        sandbox = _thread.sandbox = SandboxPool(1, limits)
        atexit.register(sandbox.__exit__)
    return sandbox.call(convert_batch, items, settings)
