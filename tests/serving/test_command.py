"""`gan3d serve` as a person starts it: on loopback, and until Ctrl-C or SIGTERM."""

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
def test_it_tells_where_it_listens_and_ends_when_told(folder):
    process = start(folder, "--port", "0")
    try:
        told = process.stdout.readline()
        found = re.search(r"is served on (http://127\.0\.0\.1:\d+); /docs explains it", told)
        assert found, told + process.stderr.read()
        body = json.dumps({"class": "chair", "output": "glb"}).encode()
        request = urllib.request.Request(f"{found[1]}/shapes", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.read(4) == b"glTF"
    finally:
        process.send_signal(signal.SIGTERM)
        _, complaints = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in complaints


@pytest.mark.slow
def test_a_port_that_is_taken_is_one_line(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start(folder, "--port", str(taken.getsockname()[1]))
        _, complaints = process.communicate(timeout=120)
    assert process.returncode == 1
    lines = [line for line in complaints.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "cannot be listened on" in lines[0]
    assert "--port" in lines[0]
    assert os.linesep not in lines[0]
