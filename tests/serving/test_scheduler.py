"""The scheduler: requests together, small ones between large ones, bounded work, and nobody is forgotten."""

import asyncio
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from gan3d.errors import UserError
from gan3d.sampling.requests import Plan
from gan3d.serving import scheduler as scheduling
from gan3d.serving.scheduler import ClientGoneError, QueueFullError, Scheduler, StoppingError, rows_at_once

RESOLUTION = 16
VOXELS = RESOLUTION**3


class Clock:
    """A sampler that takes a set time; its occupancy is the first number of each latent."""

    batch = 64

    def __init__(self, seconds: float = 0.0, go: threading.Event | None = None, per_shape: float = 0.0) -> None:
        self.model = SimpleNamespace(architecture=SimpleNamespace(resolution=RESOLUTION))
        self.seconds, self.go, self.per_shape, self.slices = seconds, go, per_shape, []

    def finite_occupancy(self, vectors, labels, truncation=1.0):
        self.slices.append(len(vectors))
        time.sleep(self.seconds + self.per_shape * len(vectors))
        if self.go is not None:
            self.go.wait(10)
        if (vectors < 0).any():
            raise UserError("not finite")
        return np.broadcast_to(vectors[:, :1, None, None], (len(vectors), RESOLUTION, RESOLUTION, RESOLUTION))


def plan(*values: float, truncation: float = 1.0) -> Plan:
    vectors = np.array(values, np.float32)[:, None]
    return Plan(vectors, np.zeros(len(values), int), ["a"] * len(values), truncation, 0.5)


def ask(queue: Scheduler, sampler: Clock, given: Plan, gone=lambda: False, cost: int = 1):
    def first(parts):
        return np.concatenate(parts)[:, 0, 0, 0].tolist()

    return queue.run(sampler, given, lambda occupancy: occupancy, first, gone, cost)


def run(scenario, capacity: int = 2**26):
    async def main():
        queue = Scheduler(capacity)
        try:
            return await scenario(queue)
        finally:
            queue.close()

    return asyncio.run(asyncio.wait_for(main(), 30))


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 4),
        (5, 4),
        (8, 4),
        (11, 4),
        (12, 12),
        (16, 16),
        (47, 16),
        (48, 48),
        (64, 64),
        (999, 64),
    ],
)
def test_rows_waste_little_when_padded_to_powers_of_four(count, expected):
    assert rows_at_once(count, 64) == expected


def test_waiting_requests_are_drawn_together_and_get_their_own_shapes():
    sampler = Clock(0.02)

    async def scenario(queue):
        return await asyncio.gather(*(ask(queue, sampler, plan(n, n + 0.5)) for n in range(33)))

    assert run(scenario) == [[n, n + 0.5] for n in range(33)]
    assert len(sampler.slices) <= 5
    assert sum(sampler.slices) == 66


def test_only_equal_truncations_are_drawn_together():
    sampler = Clock(0.01)

    async def scenario(queue):
        return await asyncio.gather(*(ask(queue, sampler, plan(n, truncation=n % 2)) for n in range(8)))

    assert run(scenario) == [[n] for n in range(8)]
    assert max(sampler.slices) == 4


def test_a_lonely_client_does_not_wait_for_others():
    sampler = Clock()

    async def scenario(queue):
        await ask(queue, sampler, plan(1))
        start = time.perf_counter()
        for n in range(50):
            await ask(queue, sampler, plan(n))
        return time.perf_counter() - start

    assert run(scenario) < 50 * scheduling.WINDOW


def test_small_requests_pass_between_slices_of_large_ones():
    sampler = Clock(0.02)

    async def scenario(queue):
        large = [asyncio.create_task(ask(queue, sampler, plan(*range(1024)))) for _ in range(4)]
        await asyncio.sleep(0.05)
        waits = []
        for n in range(5):
            start = time.perf_counter()
            assert await ask(queue, sampler, plan(n)) == [n]
            waits.append(time.perf_counter() - start)
        assert not any(task.done() for task in large)
        for task in large:
            assert await task == list(range(1024))
        return max(waits)

    assert run(scenario) < 0.3  # all the large ones take longer than 1.3 s


def test_large_requests_advance_while_small_ones_keep_coming():
    sampler = Clock(0.002)

    async def scenario(queue):
        large = asyncio.create_task(ask(queue, sampler, plan(*range(1024))))
        count = 0
        while not large.done():
            await ask(queue, sampler, plan(1))
            count += 1
        return count, await large

    count, drawn = run(scenario)
    assert drawn == list(range(1024))
    assert 16 <= count <= 200


def test_a_full_queue_says_when_to_retry_and_empties_again():
    go = threading.Event()
    sampler = Clock(go=go)

    async def scenario(queue):
        waiting = [asyncio.create_task(ask(queue, sampler, plan(1, 2))) for _ in range(5)]
        await asyncio.sleep(0.05)
        assert (queue.work, queue.depth, queue.full) == (10 * VOXELS, 5, True)
        with pytest.raises(QueueFullError, match="try again in") as error:
            await ask(queue, sampler, plan(1))
        assert 1 <= error.value.retry_after <= scheduling.MAX_RETRY_AFTER
        go.set()
        await asyncio.gather(*waiting)
        assert (queue.work, queue.depth) == (0, 0)
        return await ask(queue, sampler, plan(1))

    assert run(scenario, 10 * VOXELS) == [1]


def test_retry_after_follows_from_the_work():
    go = threading.Event()
    sampler = Clock(go=go)

    async def scenario(queue):
        queue._recent = (64 * VOXELS, 1.0)  # a second per 64 shapes
        large = [asyncio.create_task(ask(queue, sampler, plan(*range(640)))) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(QueueFullError) as error:
            await ask(queue, sampler, plan(*range(640)))
        small = asyncio.create_task(ask(queue, sampler, plan(1)))  # a part of the queue is kept for it
        await asyncio.sleep(0.01)
        assert queue.depth == 3
        go.set()
        await asyncio.gather(*large, small)
        return error.value.retry_after

    assert run(scenario, 2000 * VOXELS) == 20


def test_meshes_are_counted_as_more_work():
    go = threading.Event()

    async def scenario(queue):
        first = asyncio.create_task(ask(queue, Clock(go=go), plan(1), cost=8))
        await asyncio.sleep(0.05)
        assert queue.work == 8 * VOXELS
        go.set()
        await first

    run(scenario)


def test_a_request_larger_than_the_queue_runs_alone():
    async def scenario(queue):
        return await ask(queue, Clock(), plan(*range(100)))

    assert run(scenario, VOXELS) == list(range(100))


def test_who_has_gone_is_not_drawn():
    sampler, go = Clock(go=threading.Event()), None
    go = sampler.go

    async def scenario(queue):
        first = asyncio.create_task(ask(queue, sampler, plan(0)))
        await asyncio.sleep(0.05)
        left = [asyncio.create_task(ask(queue, sampler, plan(*range(1000)), gone=lambda: True)) for _ in range(10)]
        cancelled = asyncio.create_task(ask(queue, sampler, plan(*range(1000))))
        await asyncio.sleep(0.05)
        cancelled.cancel()
        go.set()
        await first
        found = await asyncio.gather(*left, return_exceptions=True)
        assert all(isinstance(error, ClientGoneError) for error in found)
        return await ask(queue, sampler, plan(7))

    assert run(scenario) == [7]
    assert sampler.slices == [1, 1]


def test_an_error_reaches_its_request_and_frees_its_place():
    async def scenario(queue):
        with pytest.raises(UserError, match="not finite"):
            await ask(queue, Clock(), plan(-1))
        assert queue.work == 0
        return await ask(queue, Clock(), plan(1))

    assert run(scenario) == [1]


def test_draining_answers_what_it_can_and_refuses_the_rest_at_once():
    sampler = Clock(per_shape=0.004)

    async def scenario(queue):
        queue._recent = (250 * VOXELS, 1.0)
        small = [asyncio.create_task(ask(queue, sampler, plan(n))) for n in range(10)]
        large = [asyncio.create_task(ask(queue, sampler, plan(*range(256)))) for _ in range(8)]
        await asyncio.sleep(0.01)
        queue.drain(3.5)  # enough for two of the large ones, of a second each
        with pytest.raises(StoppingError):
            await ask(queue, sampler, plan(1))
        start = time.perf_counter()
        found = await asyncio.gather(*small, *large, return_exceptions=True)
        assert time.perf_counter() - start < 5
        assert found[:10] == [[n] for n in range(10)]
        return [isinstance(one, StoppingError) for one in found[10:]]

    refused = run(scenario)
    assert not refused[0]
    assert refused[3:] == [True] * 5


def test_what_is_not_drawn_in_time_is_refused():
    sampler = Clock(go=threading.Event())

    async def scenario(queue):
        queue._recent = (1e12, 1.0)
        waiting = asyncio.create_task(ask(queue, sampler, plan(1)))
        await asyncio.sleep(0.05)
        queue.drain(0.1)
        start = time.perf_counter()
        with pytest.raises(StoppingError, match="the server is stopping"):
            await waiting
        sampler.go.set()
        return time.perf_counter() - start

    assert run(scenario) < 2
