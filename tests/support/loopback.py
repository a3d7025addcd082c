"""Real servers over loopback, in this process, where Keras is imported already."""

import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from gan3d.serving.app import create_app
from gan3d.serving.model import ModelHolder

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
def serving(holder: ModelHolder, queue_capacity: int = 64, max_body: int = 100_000, poll: float = 0.1):
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    server = uvicorn.Server(uvicorn.Config(create_app(holder, queue_capacity, max_body, poll), log_config=None))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Server(listening.getsockname()[1], holder)
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()
