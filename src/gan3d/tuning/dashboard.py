"""optuna-dashboard on the studies, served to this machine only."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

from optuna.storages import RDBStorage
from optuna_dashboard import run_server
from sqlalchemy.engine import make_url

from gan3d.errors import UserError
from gan3d.tuning.gallery import artifact_store
from gan3d.tuning.storage import ensure_database
from gan3d.tuning.study_spec import translate_database_errors

HOST = "127.0.0.1"


def serve(url: str, port: int, mlruns: Path, log: Callable[[str], None] = print) -> None:
    """Serve until Ctrl-C.

    Args:
        mlruns: folder that holds the trials' pictures.

    Raises:
        UserError: if there are no studies yet, or the port is taken.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        raise UserError(f"{parsed.database} is missing: create a study with `gan3d tune STAGE` first.")
    check_port(port)
    with translate_database_errors(url):
        ensure_database(url)
    log(f"the studies are at http://{HOST}:{port}/dashboard; stop with Ctrl-C")
    run(url, port, mlruns)


def check_port(port: int) -> int:
    """The port, if it is free.

    Raises:
        UserError: if it is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"port {port} cannot be used ({error.strerror}): choose another with --port.") from None
    return port


def wait_until_served(port: int, seconds: float = 30.0) -> None:
    """Wait until a server in another thread answers."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def run(url: str, port: int, mlruns: Path) -> None:
    """Run the server in this thread, with the pictures of all trials."""
    with translate_database_errors(url):
        storage = RDBStorage(url)
    run_server(storage, host=HOST, port=port, artifact_store=artifact_store(mlruns))
