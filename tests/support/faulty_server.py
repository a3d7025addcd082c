"""An MLflow server that fails in one of the ways of real ones, on loopback."""

import http.client
import http.server
import random
import threading
import time
from contextlib import contextmanager

from free_port import free_port

FAULTS = ("refuses", "hangs", "errors", "delays", "drops")


class Proxy(http.server.BaseHTTPRequestHandler):
    """Answers for `upstream` with the server's fault."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests += 1
        fault = self.server.fault
        if fault == "hangs":
            self.server.stopped.wait()
            return
        if fault == "drops" and self.server.chance.random() < 0.3:
            self.close_connection = True
            return
        if fault == "delays":
            time.sleep(3.0)
        if fault == "errors" or self.server.upstream is None:
            self.reply(500, [], b"Internal Server Error")
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        connection.request(self.command, self.path, body, headers)
        response = connection.getresponse()
        kept = [(k, v) for k, v in response.getheaders() if k.lower() in ("content-type", "content-disposition")]
        self.reply(response.status, kept, response.read())
        connection.close()

    def reply(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    setattr(Proxy, f"do_{method}", Proxy.answer)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, address):
        pass


@contextmanager
def faulty_server(fault: str, upstream: int | None = None):
    """Yield a server whose `fault` may change; its `url` is for MLFLOW_TRACKING_URI."""
    port = free_port()
    if fault == "refuses":
        refusing = type("Refusing", (), {"url": f"http://127.0.0.1:{port}", "requests": 0})
        yield refusing
        return
    server = Server(("127.0.0.1", port), Proxy)
    server.fault, server.upstream, server.requests = fault, upstream, 0
    server.chance, server.stopped = random.Random(5), threading.Event()
    server.url = f"http://127.0.0.1:{port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
