"""Bodies that are too large, too slow, or incomplete, over plain sockets."""

import json
import os
import socket
import time
from contextlib import contextmanager

import psutil
import pytest
from loopback import serving

from gan3d.serving import body

MAX_BODY = 100_000


@contextmanager
def connection(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
        yield plain


def head(*lines: str) -> bytes:
    fixed = ("POST /shapes HTTP/1.1", "Host: localhost", "Content-Type: application/json")
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


def response(plain: socket.socket) -> tuple[int, dict]:
    """The first response; the connection may stay open."""
    data = b""
    while b"}" not in data.partition(b"\r\n\r\n")[2] and (part := plain.recv(65536)):
        data += part
    head_lines, _, body_bytes = data.partition(b"\r\n\r\n")
    return int(head_lines.split()[1]), json.loads(body_bytes)


def test_a_large_body_is_rejected_before_it_is_sent(server):
    with connection(server) as plain:
        plain.sendall(head("Content-Length: 100001"))
        status, problem = response(plain)
    assert status == 413
    assert problem["detail"] == "the body is larger than the limit of 100000 bytes."


def test_expect_100_continue_is_answered_with_413(server):
    with connection(server) as plain:
        plain.sendall(head("Content-Length: 99999999", "Expect: 100-continue"))
        assert response(plain)[0] == 413


def test_a_body_of_the_limit_is_accepted(server):
    request = json.dumps({"class": "chair", "output": "grid"}).encode()
    reply = server.ask("POST", "/shapes", request + b" " * (MAX_BODY - len(request)))
    assert reply.status == 200


def test_a_chunked_body_is_rejected_where_it_passes_the_limit(server):
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    with connection(server) as plain:
        plain.sendall(head("Transfer-Encoding: chunked"))
        for _ in range(MAX_BODY // 0x4000 + 1):
            plain.sendall(chunk)
        assert response(plain)[0] == 413  # although the body is incomplete


def test_a_chunked_body_below_the_limit_is_read(server):
    parts = [b'{"class": "chair",', b' "count": 1}']
    with connection(server) as plain:
        plain.sendall(head("Transfer-Encoding: chunked"))
        for part in [*parts, b""]:
            plain.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        status, grid = response(plain)
    assert (status, grid["classes"]) == (200, ["chair"])


@pytest.mark.slow
def test_an_endless_body_takes_no_memory(server):
    process = psutil.Process(os.getpid())  # the server runs in it
    before = process.memory_info().rss
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with connection(server) as plain:
        plain.sendall(head("Transfer-Encoding: chunked"))
        sent, deadline = 0, time.monotonic() + 30
        try:
            while time.monotonic() < deadline:
                plain.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass  # the server closed the connection
        assert time.monotonic() < deadline
        assert sent > 20 * 2**20
    assert process.memory_info().rss - before < 30 * 2**20
    assert server.shapes(class_="chair").status == 200


def test_a_body_that_does_not_arrive_times_out(holder, monkeypatch):
    monkeypatch.setattr(body, "BODY_TIMEOUT", 0.5)
    with serving(holder) as server, connection(server) as plain:
        plain.sendall(head("Content-Length: 50") + b'{"class"')
        start = time.monotonic()
        status, problem = response(plain)
        assert status == 408
        assert "did not arrive" in problem["detail"]
        assert time.monotonic() - start < 10


def test_disconnecting_clients_do_no_harm(server):
    for sent in (b"", b'{"class"', b'{"class": "chair", "output": "png", "count": 8}'):
        with connection(server) as plain:
            plain.sendall(head("Content-Length: 47") + sent)
    assert server.shapes(class_="chair").status == 200
