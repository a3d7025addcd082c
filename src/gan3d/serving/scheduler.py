"""What is drawn next: requests that wait are drawn together, small ones pass between slices of large ones.

One thread draws, since one slice already uses all cores. Work is counted in shapes × voxels. `gan3d.sampling.sampler`
pads slices to powers of four, so that a shape has the same voxels alone and in a slice.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from gan3d.sampling.requests import Plan

log = logging.getLogger("gan3d.serving")
Result = TypeVar("Result")

SLICE = 2**18  # voxels drawn at once: 64 shapes of 16³
SMALL_SLICE = 2**16  # voxels of a large request drawn at once while small requests come,
SMALL_SECONDS = 0.1  # and fewer where they would take longer
WINDOW = 0.004  # seconds to wait for requests that are drawn together
MEMORY = 0.95  # of the speed, from one slice to the next
RECENTLY = 1.0  # seconds since the last small request in which others are expected
MAX_RETRY_AFTER = 60  # seconds
RESERVED = 4  # one part in so many of the queue is kept for small requests
DRAIN_MARGIN = 0.8  # share of the drain time that is promised to requests


class QueueFullError(Exception):
    """The queue is full; `retry_after` is the number of seconds until a retry is worthwhile."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the queue is full: try again in {retry_after} s.")
        self.retry_after = retry_after


class StoppingError(Exception):
    """The server stops before the request can be answered."""

    retry_after = 5

    def __init__(self) -> None:
        super().__init__("the server is stopping: try again, on another instance or when it has started anew.")


class ClientGoneError(Exception):
    """The client has closed its connection, so nobody waits for the answer."""


@dataclass(eq=False)
class Job:
    """A request in the queue.

    Attributes:
        sampler: draws it.
        plan: what to draw.
        keep: what to keep of a slice's occupancy, float32 (n, R, R, R).
        gone: whether its client has closed the connection.
        done: resolves to all that was kept, slice by slice.
        weight: of a shape, in voxels.
    """

    sampler: Any
    plan: Plan
    keep: Callable[[np.ndarray], np.ndarray]
    gone: Callable[[], bool]
    done: asyncio.Future
    weight: int
    drawn: int = 0
    parts: list[np.ndarray] = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.plan.labels) - self.drawn


def rows_at_once(count: int, most: int) -> int:
    """How many of `count` waiting shapes to draw now: most, or what wastes little when padded to a power of four."""
    if count >= most:
        return most
    padded = 4 ** (-(-(count - 1).bit_length() // 2))
    return count if padded <= 4 or 4 * count >= 3 * padded else padded // 4


class Scheduler:
    """The queue of one event loop, and the threads that draw and encode.

    Attributes:
        capacity: voxels that may be in the queue, those being drawn and encoded included.
        work: voxels that are.
        depth: requests that are.
        on_slice: called with the number of requests and shapes of every slice.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.work = self.depth = 0
        self.on_slice: Callable[[int, int], None] = lambda requests, shapes: None
        self._small: deque[Job] = deque()  # at most one slice is left of each
        self._large: deque[Job] = deque()
        self._in_progress: set[asyncio.Future] = set()
        self._recent = (1e6, 1.0)  # voxels drawn, and the seconds it took; older slices count less
        self._peak = self._last_peak = 0  # small requests at once, lately
        self._last_small = -math.inf
        self._turn_of_large = False
        self._stopping = False
        self._arrived = asyncio.Event()
        self._pump: asyncio.Task | None = None
        self._drawing = ThreadPoolExecutor(1, "drawing")
        self._encoding = ThreadPoolExecutor(2, "encoding")

    @property
    def full(self) -> bool:
        return self.work >= self.capacity

    @property
    def rate(self) -> float:
        """Voxels per second."""
        voxels, seconds = self._recent
        return voxels / seconds

    @property
    def seconds_of_work(self) -> float:
        return self.work / self.rate

    async def run(
        self,
        sampler: Any,
        plan: Plan,
        keep: Callable[[np.ndarray], np.ndarray],
        encode: Callable[[list[np.ndarray]], Result],
        gone: Callable[[], bool] = lambda: False,
        cost: int = 1,
    ) -> Result:
        """Draw the shapes of a request, and encode them.

        Args:
            sampler: of the model.
            plan: what to draw.
            keep: what to keep of the occupancy of some of the shapes, float32 (n, R, R, R); keeps n.
            encode: turns all that was kept, slice by slice, into the answer; in a thread unless it is quick.
            gone: whether the client has gone.
            cost: of a shape, as a multiple of drawing it.

        Raises:
            QueueFullError: immediately, when the queue is full.
            StoppingError: when the server stops first.
            ClientGoneError: when the client has gone before the last slice.
        """
        voxels = sampler.model.architecture.resolution**3
        work = len(plan.labels) * voxels * cost
        is_small = len(plan.labels) * voxels <= SLICE
        self._admit(work, is_small)
        done = asyncio.get_running_loop().create_future()
        job = Job(sampler, plan, keep, gone, done, voxels)
        (self._small if is_small else self._large).append(job)
        self.work += work
        self.depth += 1
        self._in_progress.add(done)
        if is_small:
            self._last_small = time.monotonic()
            self._peak = max(self._peak, len(self._small))
        self._arrived.set()
        if self._pump is None:
            self._pump = asyncio.create_task(self._draw_all())
        try:
            kept = await done
            if work <= SMALL_SLICE:
                return encode(kept)
            return await self._in_thread(encode, kept)
        finally:
            self._in_progress.discard(done)
            self.work -= work
            self.depth -= 1

    def drain(self, seconds: float) -> None:
        """Accept nothing more; refuse now what cannot be drawn in so many seconds, and then what was not."""
        self._stopping = True
        budget = seconds * DRAIN_MARGIN * self.rate
        for lane in (self._small, self._large):
            for job in lane:
                budget -= job.left * job.weight
                if budget < 0:
                    self._fail(job.done, StoppingError())
        asyncio.get_running_loop().call_later(seconds, self.stop)

    def stop(self) -> None:
        """Refuse all that is in the queue."""
        self._stopping = True
        for done in list(self._in_progress):
            self._fail(done, StoppingError())

    def close(self) -> None:
        """Let the threads end after what they do now."""
        self.stop()
        for pool in (self._drawing, self._encoding):
            pool.shutdown(wait=False, cancel_futures=True)

    def _admit(self, work: int, is_small: bool) -> None:
        if self._stopping:
            raise StoppingError
        capacity = self.capacity if is_small else self.capacity * (RESERVED - 1) // RESERVED
        if self.work and self.work + work > capacity:
            raise QueueFullError(min(MAX_RETRY_AFTER, max(1, math.ceil(self.seconds_of_work))))

    async def _in_thread(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run in a thread; refused, if the server stops first."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        running = loop.run_in_executor(self._encoding, function, *arguments)
        running.add_done_callback(lambda ended: _pass_on(ended, done))
        self._in_progress.add(done)
        try:
            return await done
        finally:
            self._in_progress.discard(done)

    async def _draw_all(self) -> None:
        """Draw slices until nothing waits."""
        try:
            while self._small or self._large:
                await self._wait_for_others()
                if chosen := self._next_slice():
                    await self._draw(chosen)
        finally:
            self._pump = None

    def _drop_finished(self) -> None:
        """Drop what was refused or whose client has gone."""
        for lane in (self._small, self._large):
            for job in [job for job in lane if job.done.done() or job.gone()]:
                lane.remove(job)
                self._fail(job.done, ClientGoneError())

    async def _wait_for_others(self) -> None:
        """Wait a moment for as many small requests as came at once lately."""
        expected = max(self._peak, self._last_peak)
        if self._large or len(self._small) >= expected:
            return
        try:
            async with asyncio.timeout(WINDOW):
                while len(self._small) < expected:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            pass

    def _next_slice(self) -> list[tuple[Job, int]]:
        """The jobs to draw now, and how many shapes of each."""
        self._drop_finished()
        large = bool(self._large) and (self._turn_of_large or not self._small)
        self._turn_of_large = not large
        lane = self._large if large else self._small
        if not lane:
            return []
        head = lane[0]
        if large:
            lane.rotate(-1)  # large requests take turns
            hurry = time.monotonic() - self._last_small < RECENTLY
            together = [head]
        else:
            self._last_peak, self._peak = self._peak, 0
            hurry = False
            same = (id(head.sampler), head.plan.truncation)
            together = [job for job in lane if (id(job.sampler), job.plan.truncation) == same]
        voxels = min(SMALL_SLICE, int(self.rate * SMALL_SECONDS)) if hurry else SLICE
        most = _power_of_four(voxels // head.weight, head.sampler.batch)
        rows = rows_at_once(sum(job.left for job in together), most)
        chosen: list[tuple[Job, int]] = []
        for job in together:
            if rows:
                chosen.append((job, min(rows, job.left)))
                rows -= chosen[-1][1]
        return chosen

    async def _draw(self, chosen: list[tuple[Job, int]]) -> None:
        head = chosen[0][0]
        vectors = np.concatenate([job.plan.vectors[job.drawn : job.drawn + count] for job, count in chosen])
        labels = np.concatenate([job.plan.labels[job.drawn : job.drawn + count] for job, count in chosen])
        self.on_slice(len(chosen), len(labels))
        start = time.perf_counter()

        def draw() -> list[np.ndarray | Exception]:
            try:
                occupancy = head.sampler.finite_occupancy(vectors, labels, head.plan.truncation)
                ends = np.cumsum([count for _, count in chosen])[:-1]
                return [job.keep(part) for (job, _), part in zip(chosen, np.split(occupancy, ends), strict=True)]
            except Exception as error:
                return [error] * len(chosen)

        parts = await asyncio.get_running_loop().run_in_executor(self._drawing, draw)
        drawn, took = len(labels) * head.weight, time.perf_counter() - start
        self._recent = (self._recent[0] * MEMORY + drawn, self._recent[1] * MEMORY + took)
        waiting = len(self._small)
        self._peak = max(self._peak, waiting)
        for (job, count), part in zip(chosen, parts, strict=True):
            if isinstance(part, Exception):
                self._fail(job.done, part)
            else:
                job.parts.append(part)
                job.drawn += count
                if not job.left and not job.done.done():
                    job.done.set_result(job.parts)
            if job.done.done():
                lane = self._small if job in self._small else self._large
                if job in lane:
                    lane.remove(job)

    def _fail(self, done: asyncio.Future, error: Exception) -> None:
        if not done.done():
            done.set_exception(error)


def largest_slice(sampler: Any) -> int:
    """The most shapes of a model that are drawn at once."""
    return _power_of_four(SLICE // sampler.model.architecture.resolution**3, sampler.batch)


def _power_of_four(most: int, batch: int) -> int:
    """The largest power of four up to both numbers; at least 1."""
    return 4 ** ((max(1, min(most, batch)).bit_length() - 1) // 2)


def _pass_on(ended: asyncio.Future, done: asyncio.Future) -> None:
    """Give a thread's result to who still waits for it."""
    error = None if ended.cancelled() else ended.exception()
    if done.done():
        return
    if ended.cancelled():
        done.set_exception(StoppingError())
    elif error is not None:
        done.set_exception(error)
    else:
        done.set_result(ended.result())
