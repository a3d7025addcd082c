"""moto's S3 server on loopback, in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from free_port import free_port

SCRIPT = Path(sys.executable).with_name("moto_server")


@contextmanager
def s3_server(**env: str) -> Iterator[int]:
    """The port of a server that accepts connections; `env` is added to its environment."""
    port = free_port()
    command = [SCRIPT, "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=-3, stderr=-3, env=os.environ | env)
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.1)
