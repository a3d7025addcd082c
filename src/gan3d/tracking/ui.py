"""Start MLflow's server on the project's store, and tell where to look."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests

from gan3d.addresses import mask
from gan3d.errors import UserError
from gan3d.tracking import database
from gan3d.tracking.store import ID_VARIABLE, connect, experiment_id, store_uri

APP = "gan3d"  # entry point of `gan3d.tracking.ui_app`
HOST = "127.0.0.1"
START_SECONDS = 120.0
QUIET = {  # no telemetry, no background jobs of MLflow's generative AI part, no news of it
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "PYTHONWARNINGS": "ignore",
}


def serve(mlruns: Path, model: str, port: int, log: Callable[[str], None]) -> int:
    """Run the server until it is interrupted; returns its exit code.

    Args:
        mlruns: folder of the store, which is created if it is missing.
        model: name of the registered model.
        port: of this machine.
        log: takes the lines that a person reads.

    Raises:
        UserError: if the port is in use, or the store cannot be opened.
    """
    uri = store_uri(mlruns)
    if uri.startswith("http"):
        links(log, uri, experiment_id(connect(mlruns)), model)
        return 0
    check_port(port)
    number = experiment_id(connect(mlruns))
    if (path := database.path_of(uri)) is not None:
        uri = database.url_of(path.resolve())
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", APP, "--workers", "1"]
    command += [
        "--host",
        HOST,
        "--port",
        str(port),
        "--backend-store-uri",
        uri,
        "--uvicorn-opts",
        "--log-level=warning",
    ]
    environment = QUIET | os.environ | {ID_VARIABLE: number}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        wait_until_ready(server, f"http://{HOST}:{port}")
        links(log, f"http://{HOST}:{port}", number, model)
        log("MLflow's telemetry and assistant notices are off; Ctrl-C stops the server.")
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        stop(server)
        signal.signal(signal.SIGTERM, previous)


def check_port(port: int) -> None:
    """Raise UserError if a port is in use."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        raise UserError(
            f"port {port} cannot be used ({os.strerror(error.errno or 0)}): name another one by --port."
        ) from None


def wait_until_ready(server: subprocess.Popen, address: str) -> None:
    """Wait for the server's first answer.

    Raises:
        UserError: if it ends before, or does not answer within START_SECONDS.
    """
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            raise UserError("MLflow's server ended at once: see its messages above, and run `make setup` again.")
        try:
            if requests.get(f"{address}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise UserError(f"MLflow's server does not answer at {address} after {START_SECONDS:.0f} s: try again.")


def links(log: Callable[[str], None], address: str, experiment: str, model: str) -> None:
    """Tell the addresses of the pages that people want."""
    root = f"{mask(address).rstrip('/')}/?workflowType=machine_learning#"
    log(f"experiments: {root}/experiments/{experiment}/runs")
    log(f"comparison:  {root}/experiments/{experiment}/runs?compareRunsMode=CHART")
    log(f"models:      {root}/models/{model}")


def stop(server: subprocess.Popen) -> None:
    """End the server and its workers."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
