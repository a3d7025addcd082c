"""`gan3d serve` from the command line: it listens while it loads, answers what it accepted, and ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection

import pytest
from free_port import free_port

pytestmark = pytest.mark.slow

JSON = {"Content-Type": "application/json"}


@contextmanager
def started(folder, *options, environment=None):
    command = [sys.executable, "-m", "gan3d", "serve", "--model", str(folder), *options]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, **(environment or {})},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ready(process) -> int:
    """The port, once the model is loaded."""
    line = process.stdout.readline()
    found = re.search(r"serving .* on https?://127\.0\.0\.1:(\d+); API documentation at /docs", line)
    assert found, line + process.stderr.read()
    return int(found[1])


def post(port: int, fields: dict) -> tuple[int, dict, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/shapes", json.dumps(fields), JSON)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def one_error(process) -> str:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in errors
    return line


def test_it_is_alive_while_it_loads_and_ends_on_sigterm(folder):
    port = free_port()
    with started(folder, "--port", str(port)) as process:
        statuses = []
        while "ready" not in statuses:
            with suppress(ConnectionError):
                for path in ("livez", "readyz"):
                    connection = HTTPConnection("127.0.0.1", port, timeout=60)
                    connection.request("GET", f"/{path}")
                    response = connection.getresponse()
                    body = json.loads(response.read())
                    statuses.append(body.get("status") or f"{response.status} {body['detail']}")
                    connection.close()
            assert process.poll() is None
            time.sleep(0.02)
        assert statuses[:2] == ["alive", "503 the model is being loaded: try again in 2 s."]
        assert ready(process) == port
        body = json.dumps({"class": "chair", "output": "glb"}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/shapes", body, JSON)
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.read(4) == b"glTF"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in errors
        assert re.search(r"POST /shapes 200 in \S+ s \[[0-9a-f]{16}\]", errors)


def test_ctrl_c_while_it_loads_ends_it(folder):
    port = free_port()
    with started(folder, "--port", str(port)) as process:
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.01)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert time.monotonic() - start < 20
        assert process.returncode in (0, 130)
        assert "Traceback" not in errors
        assert "same command" not in errors


def test_every_accepted_request_is_answered_when_it_stops(folder):
    """Large and small requests wait, and a body is half sent, when SIGTERM comes."""
    with started(folder, "--port", "0", "--drain", "5") as process, ThreadPoolExecutor(40) as clients:
        port = ready(process)
        half = socket.create_connection(("127.0.0.1", port))
        half.sendall(b"POST /shapes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        asked = [{"class": "chair", "count": 64, "seed": n, "output": "png"} for n in range(30)]
        asked += [{"class": "chair", "count": 1, "seed": n} for n in range(10)]
        replies = [clients.submit(post, port, fields) for fields in asked]
        time.sleep(1)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        found = [reply.result() for reply in replies]
        _, errors = process.communicate(timeout=60)
        assert time.monotonic() - start < 20
        half.close()
    statuses = {status for status, _, _ in found}
    assert 200 in statuses
    assert statuses <= {200, 503}
    assert all("retry-after" in headers for status, headers, _ in found if status == 503)
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_a_second_signal_ends_it_at_once(folder):
    with started(folder, "--port", "0") as process, ThreadPoolExecutor(20) as clients:
        port = ready(process)
        replies = [
            clients.submit(post, port, {"class": "chair", "count": 64, "seed": n, "output": "png"}) for n in range(20)
        ]
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert time.monotonic() - start < 5
        for reply in replies:
            with suppress(OSError):
                assert reply.result()[0] in (200, 503)


def test_a_port_in_use_is_a_one_line_error(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken, started(folder, "--port", str(taken.getsockname()[1])) as it:
        error = one_error(it)
    assert "cannot listen on" in error
    assert "--port" in error


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--host", "0.0.0.0"), "give --keys FILE"),
        (("--keys", "missing"), "missing cannot be read"),
        (("--rate", "often"), "write it as 100/minute"),
        (("--ssl-certfile", "missing"), "--ssl-certfile missing is not a file"),
        (("--model", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_served_is_a_one_line_error(folder, options, words):
    with started(folder, "--port", "0", *options) as process:
        assert words in one_error(process)


def test_logs_are_json_lines(folder):
    with started(folder, "--port", "0", "--log-format", "json") as process:
        post(ready(process), {"class": "chair"})
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    (request,) = [line for line in lines if line["logger"] == "gan3d.serving.requests"]
    assert (request["method"], request["path"], request["status"], request["level"]) == ("POST", "/shapes", 200, "info")
    assert {"time", "request_id", "client", "seconds"} <= set(request)


def test_traces_go_to_the_collector_of_the_environment(folder):
    """A collector of OTLP over HTTP gets a span of the route."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    bodies = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        }
        with started(folder, "--port", "0", environment=environment) as process:
            assert post(ready(process), {"class": "chair"})[0] == 200
            deadline = time.monotonic() + 20
            while not any(b"/shapes" in body for _, body in bodies):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        collector.shutdown()
    assert {path for path, _ in bodies} == {"/v1/traces"}
    assert any(b"gan3d" in body for _, body in bodies)
