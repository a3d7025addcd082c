"""Run the server: it listens while the models load, and answers what it has accepted before it stops."""

import asyncio
import functools
import gc
import logging
import os
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

from gan3d.serving.address import BACKLOG, url
from gan3d.serving.app import create_app
from gan3d.serving.connections import Connection, limit_connections
from gan3d.serving.logs import configure_logs
from gan3d.serving.models import Models
from gan3d.serving.scheduler import Scheduler
from gan3d.serving.settings import Settings
from gan3d.serving.tracing import trace

log = logging.getLogger("gan3d.serving")

KEEP_ALIVE = 65  # seconds of an idle connection: longer than load balancers keep theirs, so that they close first
LAST_WORDS = 0.2  # seconds to send the last answers when a second signal ends the server
SWITCH_INTERVAL = 0.001  # seconds until a thread that encodes lets the event loop run


class GracefulServer(uvicorn.Server):
    """uvicorn's server, which drains the queue when it stops; a second signal ends it at once."""

    def __init__(self, config: uvicorn.Config, scheduler: Scheduler, drain: float) -> None:
        super().__init__(config)
        self.scheduler, self.drain = scheduler, drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.scheduler.depth:
            log.info("stopping: answering %d requests, for up to %g s", self.scheduler.depth, self.drain)
        self.scheduler.drain(self.drain)
        await super().shutdown(sockets)
        if self.force_exit:
            self.scheduler.close()
            await asyncio.sleep(LAST_WORDS)


def build_server(models: Models, settings: Settings) -> GracefulServer:
    """The server of an application, which does not run yet."""
    app = create_app(models, settings)
    config = uvicorn.Config(
        trace(app),
        http=functools.partial(Connection, limits=limit_connections(settings.connections)),  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(settings.drain) + 5,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.private_key,
    )
    return GracefulServer(config, app.state.server.scheduler, settings.drain)


def serve(
    models: Models, listening: socket.socket, settings: Settings, log_format: str, echo: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM, and end the process.

    Args:
        models: to load and serve.
        listening: a socket that listens.
        settings: limits and rules.
        log_format: "text" or "json", to stderr.
        echo: prints the address, once the models are loaded.

    Raises:
        UserError: when a model cannot be loaded.
    """
    # a copy: while Keras is imported, what it writes to stderr is held back
    configure_logs(log_format, os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="replace"))
    sys.setswitchinterval(SWITCH_INTERVAL)
    server = build_server(models, settings)

    def loaded(failure: Exception | None) -> None:
        if failure is not None:
            server.should_exit = True
            return
        gc.freeze()  # the collector need not walk the frameworks again
        names = ", ".join(holder.current.version for holder in models.values())
        scheme = "https" if settings.certificate else "http"
        echo(f"serving {names} on {url(listening, scheme)}; API documentation at /docs")

    address = url(listening)
    models.load_in_background(loaded)
    log.info("listening on %s while the model is loaded", address)
    server.run(sockets=[listening])
    if models.failure is not None:
        raise models.failure
    log.info("stopped")
    logging.shutdown()
    sys.stdout.flush()
    os._exit(1 if server.force_exit else 0)  # threads that load or draw are not waited for
