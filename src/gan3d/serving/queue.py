"""A bounded queue in front of one sampling thread, since one request already uses all cores."""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
MAX_RETRY_AFTER = 60  # seconds


class QueueFullError(Exception):
    """The queue is full; `retry_after` is the number of seconds until a retry is worthwhile."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the queue is full: try again in {retry_after} s.")
        self.retry_after = retry_after


class RequestQueue:
    """Runs functions one at a time for the tasks of one event loop.

    Attributes:
        capacity: how many requests may be queued, the running one included.
        depth: how many are.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.depth = 0
        self._mean_seconds = 0.1  # per request, as a moving average
        self._thread = ThreadPoolExecutor(1, "sampling")

    @property
    def full(self) -> bool:
        return self.depth >= self.capacity

    async def run(self, function: Callable[[], Result]) -> Result:
        """Return the function's result.

        Raises:
            QueueFullError: immediately, when the queue is full.
        """
        if self.full:
            raise QueueFullError(min(MAX_RETRY_AFTER, max(1, math.ceil(self.depth * self._mean_seconds))))
        self.depth += 1
        running = asyncio.get_running_loop().run_in_executor(self._thread, self._run_timed, function)
        running.add_done_callback(self._leave)  # even if the client has disconnected: the thread is busy until then
        return await asyncio.shield(running)

    def close(self) -> None:
        """Stop the thread after the running function."""
        self._thread.shutdown(cancel_futures=True)

    def _leave(self, done: asyncio.Future) -> None:
        self.depth -= 1
        if not done.cancelled():
            done.exception()  # mark it as retrieved: the client that waited for it may be gone

    def _run_timed(self, function: Callable[[], Result]) -> Result:
        start = time.perf_counter()
        try:
            return function()
        finally:
            self._mean_seconds += 0.1 * (time.perf_counter() - start - self._mean_seconds)
