"""Run the server, and end it after the requests that it has begun."""

import logging
import socket
from collections.abc import Callable

import uvicorn

from gan3d.serving.address import url
from gan3d.serving.app import make
from gan3d.serving.model import Holder

GRACE = 30  # seconds that requests have to end after Ctrl-C


def serve(
    holder: Holder, listening: socket.socket, places: int, most_bytes: int, poll: float, say: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM; the arguments are those of `gan3d.serving.app.make`."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("gan3d.serving").setLevel(logging.INFO)
    config = uvicorn.Config(
        make(holder, places, most_bytes, poll),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    say(f"{holder.current.name} is served on {url(listening)}; /docs explains it")
    uvicorn.Server(config).run(sockets=[listening])
