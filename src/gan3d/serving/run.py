"""Start the server, and end it after the requests that it has begun."""

import logging
import socket
from collections.abc import Callable

import uvicorn

from gan3d.errors import UserError
from gan3d.serving.app import make
from gan3d.serving.model import Holder

GRACE = 30  # seconds that requests have to end after Ctrl-C


def serve(
    holder: Holder, host: str, port: int, places: int, most_bytes: int, poll: float, say: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        port: 0 for any that is free; the sentence that is said names it.
        places, most_bytes, poll: as `gan3d.serving.app.make`.

    Raises:
        UserError: when the address is taken or none of this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise UserError(f"{host}:{port} cannot be listened on ({error}): name another --host or --port.") from None
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("gan3d.serving").setLevel(logging.INFO)
    config = uvicorn.Config(
        make(holder, places, most_bytes, poll),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    shown = f"[{host}]" if ":" in host else host
    say(f"{holder.current.name} is served on http://{shown}:{listening.getsockname()[1]}; /docs explains it")
    uvicorn.Server(config).run(sockets=[listening])
