"""Real servers over loopback, in this process, where Keras is imported already."""

import http.client
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass

from gan3d.serving.address import listen
from gan3d.serving.models import ModelHolder, Models
from gan3d.serving.run import GracefulServer, build_server
from gan3d.serving.settings import Settings

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def detail(self) -> str:
        return json.loads(self.body)["detail"]


@dataclass(frozen=True)
class Server:
    port: int
    holder: ModelHolder
    running: GracefulServer

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or (JSON if body is not None else {}))
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def shapes(self, **fields) -> Reply:
        fields = {"class" if name == "class_" else name: value for name, value in fields.items()}
        return self.ask("POST", "/shapes", json.dumps(fields).encode())


@contextmanager
def serving(*holders: ModelHolder, names: tuple[str, ...] = ("tiny",), port: int = 0, **settings):
    """A server of holders, on any free port; the settings are those of `gan3d.serving.settings.Settings`."""
    settings = {"max_body": 100_000, "poll": 0.1} | settings
    listening = listen("127.0.0.1", port)
    server = build_server(Models(dict(zip(names, holders, strict=True))), Settings(**settings))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Server(listening.getsockname()[1], holders[0], server)
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()
