"""MLflow's scoring server with the champion of a store, in a process of its own."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

HIDDEN = ("KERAS_BACKEND", "PYTHONPATH", "VIRTUAL_ENV")


def environment(uri: str) -> dict[str, str]:
    """The environment of a machine that has the store, but neither the repository nor a choice of backend."""
    return {name: value for name, value in os.environ.items() if name not in HIDDEN} | {"MLFLOW_TRACKING_URI": uri}


@contextmanager
def scoring_server(python: str, uri: str, folder: Path):
    """Start a server with a Python's own MLflow; yields its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [python, "-m", "mlflow", "models", "serve", "-m", "models:/furniture@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    path = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
    log = folder / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment(uri) | {"PATH": path}, stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + 120
            while True:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.3)
            yield port
        finally:
            process.terminate()
            process.wait(30)


def post(port: int, body: bytes) -> tuple[int, dict]:
    """Send a request; returns status and answer."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
