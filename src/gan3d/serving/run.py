"""Run the server; on shutdown, finish the requests in progress."""

import logging
import socket
from collections.abc import Callable

import uvicorn

from gan3d.serving.address import url
from gan3d.serving.app import create_app
from gan3d.serving.model import ModelHolder

SHUTDOWN_TIMEOUT = 30  # seconds for requests in progress after Ctrl-C


def serve(
    holder: ModelHolder,
    listening: socket.socket,
    queue_capacity: int,
    max_body: int,
    poll: float,
    echo: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM; the arguments are those of `gan3d.serving.app.create_app`."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("gan3d.serving").setLevel(logging.INFO)
    config = uvicorn.Config(
        create_app(holder, queue_capacity, max_body, poll),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
    )
    echo(f"serving {holder.current.name} on {url(listening)}; API documentation at /docs")
    uvicorn.Server(config).run(sockets=[listening])
