"""Many clients at once, and ten thousand requests: no server error, no growing memory, nobody forgotten."""

import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest
from loopback import JSON, serving
from paths import REPOSITORY

from gan3d.sampling.sampler import Sampler

BENCHMARK = REPOSITORY / "benchmarks" / "serving.py"


def ask(port: int, fields: dict) -> tuple[int, str | None]:
    """Status and Retry-After."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/shapes", json.dumps(fields), JSON)
        response = connection.getresponse()
        response.read()
        return response.status, response.getheader("retry-after")
    finally:
        connection.close()


def test_200_clients_at_once_are_answered_or_told_when_to_come_back(holder):
    """With room for sixteen of the largest requests, the others get 503, and a small one is answered all the same."""
    size = 1024 * 8**3
    with serving(holder, queue=16 * size) as server, ThreadPoolExecutor(200) as clients:
        large = [
            clients.submit(ask, server.port, {"class": "chair", "count": 1024, "seed": n, "output": "bits"})
            for n in range(199)
        ]
        small = clients.submit(ask, server.port, {"class": "table", "seed": 1})
        found = [reply.result() for reply in large]
        assert small.result()[0] == 200
        statuses = [status for status, _ in found]
        assert set(statuses) == {200, 503}
        assert all(1 <= int(after) <= 60 for status, after in found if status == 503)
        assert server.shapes(class_="chair").status == 200


def test_who_leaves_is_not_drawn(holder, monkeypatch):
    """Fifteen clients ask for the largest request and leave; the next one does not wait for theirs."""
    drawn = []
    finite = Sampler.finite_occupancy

    def counted(self, vectors, labels, truncation=1.0):
        drawn.append(len(labels))
        return finite(self, vectors, labels, truncation)

    monkeypatch.setattr(Sampler, "finite_occupancy", counted)
    body = json.dumps({"class": "chair", "count": 1024, "output": "bits"}).encode()
    head = b"POST /shapes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with serving(holder) as server:
        left = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(15)]
        for number, plain in enumerate(left):
            asked = body.replace(b"}", b', "seed": %d}' % number)
            plain.sendall(head + b"Content-Length: %d\r\n\r\n" % len(asked) + asked)
        for plain in left:
            plain.close()
        assert server.shapes(class_="chair").status == 200
        while server.running.scheduler.depth:
            pass
    assert sum(drawn) < 15 * 1024


@pytest.mark.full
def test_ten_thousand_requests(tmp_path):
    """With a promotion and a rollback in the middle, and SIGTERM at the end."""
    command = [sys.executable, BENCHMARK, "--only", "soak", "--out", tmp_path / "soak.json"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=3600)
    found = json.loads((tmp_path / "soak.json").read_text())["soak"]
    assert (found["good"], found["malformed"]) == (9000, 1000)
    assert "wrong status" not in found
    assert set(found["statuses"]) == {"200", "400", "413"}
    assert found["reloads"] == 2
    assert found["memory_growth_mib"] < 50
    assert found["after_sigterm"]["answered"] == found["after_sigterm"]["accepted"]
    assert found["after_sigterm"]["exit"] == 0
