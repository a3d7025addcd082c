"""The queue: in order, bounded, and emptied after errors and disconnects."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from gan3d.serving.queue import QueueFullError, RequestQueue
from loopback import serving


def test_one_at_a_time_and_in_order():
    queue, order = RequestQueue(10), []

    def job(number):
        order.append(number)
        time.sleep(0.01)
        order.append(number)
        return number

    async def run_all():
        return await asyncio.gather(*(queue.run(lambda n=n: job(n)) for n in range(5)))

    assert asyncio.run(run_all()) == list(range(5))
    assert order == [n for n in range(5) for _ in range(2)]
    assert queue.depth == 0


def test_a_full_queue_says_when_to_retry_and_empties_again():
    queue, go = RequestQueue(2), threading.Event()

    async def scenario():
        waiting = [asyncio.create_task(queue.run(go.wait)) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert queue.full
        with pytest.raises(QueueFullError) as error:
            await queue.run(lambda: 1)
        assert error.value.retry_after >= 1
        go.set()
        await asyncio.gather(*waiting)
        return await queue.run(lambda: 1)

    assert asyncio.run(scenario()) == 1


def test_errors_and_disconnects_free_their_slots():
    queue, go = RequestQueue(1), threading.Event()

    async def scenario():
        with pytest.raises(ZeroDivisionError):
            await queue.run(lambda: 1 / 0)
        left = asyncio.create_task(queue.run(go.wait))
        await asyncio.sleep(0.05)
        left.cancel()
        await asyncio.sleep(0.05)
        assert queue.full  # the thread is still busy
        go.set()
        while queue.full:
            await asyncio.sleep(0.01)
        return await queue.run(lambda: "free")

    assert asyncio.run(asyncio.wait_for(scenario(), 10)) == "free"


def test_a_full_server_responds_503_with_retry_after_and_recovers(holder):
    with serving(holder, queue_capacity=2) as server, ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(server.shapes, class_="chair", count=24, output="png") for _ in range(8)]
        replies = [future.result() for future in asked]
        rejected = [reply for reply in replies if reply.status == 503]
        assert {reply.status for reply in replies} == {200, 503}
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in rejected)
        assert all("try again in" in reply.detail for reply in rejected)
        assert server.ask("GET", "/readyz").status == 200
        assert server.shapes(class_="chair").status == 200
