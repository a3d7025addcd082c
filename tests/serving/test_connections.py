"""Clients that are slow, silent, greedy or many, over plain sockets."""

import http.client
import json
import os
import socket
import statistics
import time
from contextlib import ExitStack

import psutil
import pytest
from loopback import serving

from gan3d.serving import connections
from gan3d.serving.connections import ConnectionLimits, limit_connections

HEAD = b"POST /shapes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect(server, **options) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20, **options)


def everything(plain: socket.socket) -> bytes:
    """What the server sends until it closes the connection."""
    data = b""
    try:
        while part := plain.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def status_of(data: bytes) -> int:
    return int(data.split(b" ", 2)[1])


def test_a_kept_connection_answers_within_milliseconds(server):
    client = http.client.HTTPConnection("127.0.0.1", server.port)
    seconds = []
    for _ in range(200):
        start = time.perf_counter()
        client.request("GET", "/healthz")
        assert client.getresponse().read() == b'{"status":"alive"}'
        seconds.append(time.perf_counter() - start)
    client.close()
    assert statistics.median(seconds) < 0.005  # 40 ms with delayed acknowledgements


def test_head_and_body_come_in_one_packet(server):
    with connect(server) as plain:
        for _ in range(20):
            plain.sendall(GET)
            assert plain.recv(65536).endswith(b'{"status":"alive"}')


def test_the_answers_of_pipelined_requests_come_in_order(server):
    with connect(server) as plain:
        plain.sendall(
            GET + GET.replace(b"healthz", b"nothing") + GET.replace(b"localhost", b"localhost\r\nConnection: close")
        )
        data = everything(plain)
    assert [status_of(part) for part in data.split(b"HTTP/1.1")[1:] if part] == [200, 404, 200]


@pytest.mark.parametrize("sent", [b"", b"POST /shapes HT", HEAD])
def test_a_head_that_does_not_arrive_is_closed(holder, monkeypatch, sent):
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.3)
    with serving(holder) as server, connect(server) as plain:
        plain.sendall(sent)
        start = time.monotonic()
        data = everything(plain)
        assert time.monotonic() - start < 5
    assert (status_of(data) == 408) if sent else not data


def test_a_dripping_head_is_closed_also_on_a_kept_connection(holder, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.5)
    with serving(holder) as server, connect(server) as plain:
        plain.sendall(GET)
        assert status_of(plain.recv(65536)) == 200
        start = time.monotonic()
        try:
            for letter in HEAD * 10:
                plain.sendall(bytes([letter]))
                time.sleep(0.02)
        except OSError:
            pass
        assert time.monotonic() - start < 5


def test_a_long_head_is_refused(server):
    with connect(server) as plain:
        plain.sendall(HEAD)
        try:
            for _ in range(100):
                plain.sendall(b"X-Long: " + b"x" * 4096 + b"\r\n")
        except OSError:
            pass
        data = everything(plain)
    assert not data or status_of(data) == 431


def test_an_answer_that_is_not_read_is_dropped(holder, monkeypatch):
    monkeypatch.setattr(connections, "WRITE_TIMEOUT", 0.5)
    monkeypatch.setattr(connections, "WRITE_RATE", 2**30)
    body = json.dumps({"class": "chair", "count": 1024}).encode()
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with serving(holder) as server, socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(("127.0.0.1", server.port))
        plain.sendall(request * 20)  # 20 MiB of answers, more than the kernel keeps
        open_now = server.running.server_state.connections
        deadline = time.monotonic() + 20
        while not open_now:
            time.sleep(0.01)
        while open_now and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not open_now
        assert server.shapes(class_="chair").status == 200


def test_connections_beyond_the_cap_are_refused_and_the_next_ones_served(holder):
    with serving(holder, connections=5) as server, ExitStack() as opened:
        held = [opened.enter_context(connect(server)) for _ in range(5)]
        for plain in held:
            plain.sendall(GET)
            assert status_of(plain.recv(65536)) == 200
        for _ in range(20):
            reply = server.ask("GET", "/healthz")
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        held[0].close()
        deadline = time.monotonic() + 5
        while server.ask("GET", "/healthz").status != 200:
            assert time.monotonic() < deadline


def test_the_cap_is_below_the_limit_of_descriptors(monkeypatch):
    monkeypatch.setattr(connections.resource, "getrlimit", lambda which: (128, 128))
    assert limit_connections(1000) == ConnectionLimits(128 - connections.RESERVED)
    assert limit_connections(10) == ConnectionLimits(10)


def test_a_length_together_with_chunks_is_refused_and_closed(server):
    body = b'{"class": "chair"}'
    with connect(server) as plain:
        plain.sendall(HEAD + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % len(body) + body)
        data = everything(plain)
    assert status_of(data) == 400
    assert b'"detail"' in data


def test_chunks_of_one_byte_are_refused_early(server):
    with connect(server) as plain:
        plain.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        start = time.process_time()  # of this process, in which the server runs
        try:
            for _ in range(100):
                plain.sendall(b"1\r\n \r\n" * 1000)
        except OSError:
            pass
        assert time.process_time() - start < 1
        data = everything(plain)
    assert not data or status_of(data) == 413
    assert server.shapes(class_="chair").status == 200


def test_a_compressed_body_is_refused(server):
    reply = server.ask("POST", "/shapes", b"{}", {"Content-Type": "application/json", "Content-Encoding": "gzip"})
    assert (reply.status, reply.detail) == (415, "the body is compressed: send it without Content-Encoding.")


def test_another_media_type_is_refused(server):
    reply = server.ask("POST", "/shapes", b'{"class": "chair"}', {"Content-Type": "text/plain"})
    assert reply.status == 415


def test_a_body_of_lists_does_not_stop_the_loop(server):
    body = b'{"class": "chair", "latents": [' + b"[]," * 30_000 + b"[]]}"
    start = time.perf_counter()
    reply = server.ask("POST", "/shapes", body)
    assert time.perf_counter() - start < 1
    assert (reply.status, "send fewer latents" in reply.detail) == (400, True)


@pytest.mark.full
def test_500_half_open_connections(holder):
    """The server answers others meanwhile, closes all of them in time, and keeps neither memory nor descriptors."""
    process = psutil.Process(os.getpid())
    with serving(holder) as server, ExitStack() as opened:
        server.shapes(class_="chair")
        descriptors, memory = process.num_fds(), process.memory_info().rss
        held = [opened.enter_context(connect(server)) for _ in range(500)]
        for number, plain in enumerate(held):
            plain.sendall((b"", HEAD[:20], HEAD, HEAD + b"Content-Length: 100\r\n\r\n{")[number % 4])
        start = time.monotonic()
        while time.monotonic() - start < 2:
            assert server.shapes(class_="chair").status == 200
        while server.running.server_state.connections:
            assert time.monotonic() - start < 45
            time.sleep(0.5)
            assert server.ask("GET", "/livez").status == 200
        opened.close()
        assert process.num_fds() <= descriptors + 2
        assert process.memory_info().rss - memory < 50 * 2**20
