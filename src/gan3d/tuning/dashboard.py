"""optuna-dashboard on the studies, for this machine alone."""

import socket
from collections.abc import Callable
from pathlib import Path

from optuna.storages import RDBStorage
from optuna_dashboard import run_server
from sqlalchemy.engine import make_url

from gan3d.errors import UserError
from gan3d.tuning.study_spec import reached

HOST = "127.0.0.1"


def serve(url: str, port: int, say: Callable[[str], None] = print) -> None:
    """Serve until Ctrl-C.

    Raises:
        UserError: when there are no studies yet, or when the port is taken.
    """
    made = make_url(url)
    if made.get_backend_name() == "sqlite" and not Path(made.database or "").is_file():
        raise UserError(f"{made.database} is missing: there are no studies before the first `gan3d tune STAGE`.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"port {port} cannot be used ({error.strerror}): choose another with --port.") from None
    with reached(url):
        storage = RDBStorage(url)
    say(f"the studies are at http://{HOST}:{port}/dashboard; Ctrl-C ends it")
    run_server(storage, host=HOST, port=port)
