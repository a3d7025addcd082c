"""A queue of bounded length in front of one thread that draws: the generator uses all cores for one request anyway."""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Answer = TypeVar("Answer")
LONGEST_WAIT = 60  # seconds that a client is told to wait at most


class FullError(Exception):
    """No place is left; `retry_after` is the number of seconds after which there should be one."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"all places are taken: try again in {retry_after} s.")
        self.retry_after = retry_after


class Queue:
    """Runs functions one after the other for the tasks of one event loop.

    Attributes:
        places: how many may wait or be drawn at a time.
        taken: how many do.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self.taken = 0
        self._seconds = 0.1  # that a request takes, averaged over the last ones
        self._thread = ThreadPoolExecutor(1, "draw")

    @property
    def full(self) -> bool:
        return self.taken >= self.places

    async def run(self, function: Callable[[], Answer]) -> Answer:
        """The function's result.

        Raises:
            FullError: at once, when no place is left.
        """
        if self.full:
            raise FullError(min(LONGEST_WAIT, max(1, math.ceil(self.taken * self._seconds))))
        self.taken += 1
        drawing = asyncio.get_running_loop().run_in_executor(self._thread, self._timed, function)
        drawing.add_done_callback(self._leave)  # also when the client has gone: the thread is busy until then
        return await asyncio.shield(drawing)

    def close(self) -> None:
        """End the thread after what it has begun."""
        self._thread.shutdown(cancel_futures=True)

    def _leave(self, done: asyncio.Future) -> None:
        self.taken -= 1
        if not done.cancelled():
            done.exception()  # it was raised to the one who waits, who may have gone

    def _timed(self, function: Callable[[], Answer]) -> Answer:
        start = time.perf_counter()
        try:
            return function()
        finally:
            self._seconds += 0.1 * (time.perf_counter() - start - self._seconds)
