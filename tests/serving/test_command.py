"""`gan3d serve` from the command line: on loopback, until SIGTERM."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest


def start(folder, *options) -> subprocess.Popen:
    command = [sys.executable, "-m", "gan3d", "serve", "--model", str(folder), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)


@pytest.mark.slow
def test_it_prints_its_address_and_ends_on_sigterm(folder):
    process = start(folder, "--port", "0")
    try:
        line = process.stdout.readline()
        found = re.search(r"serving .* on (http://127\.0\.0\.1:\d+); API documentation at /docs", line)
        assert found, line + process.stderr.read()
        body = json.dumps({"class": "chair", "output": "glb"}).encode()
        request = urllib.request.Request(f"{found[1]}/shapes", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.read(4) == b"glTF"
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_port_in_use_is_a_one_line_error(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start(folder, "--port", str(taken.getsockname()[1]))
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "cannot listen on" in lines[0]
    assert "--port" in lines[0]
    assert os.linesep not in lines[0]
