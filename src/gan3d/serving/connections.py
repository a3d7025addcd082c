"""Connections of uvicorn's server: deadlines, caps, and a response's head and body in one write.

uvicorn has a deadline for idle connections alone. Here, a client has a limited time to send the head of a request and
to read an answer, and connections are fewer than the process's descriptors.
"""

import asyncio
import json
import logging
import resource
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

log = logging.getLogger("gan3d.serving.connections")

HEAD_TIMEOUT = 30.0  # seconds until the head of a request is complete, its first byte included
HEAD_BYTES = 65536  # of the longest head
MAX_CHUNKS = 4096  # of a body: a million chunks of one byte would take seconds to parse
WRITE_TIMEOUT = 30.0  # seconds to read an answer, and more for a long one:
WRITE_RATE = 65536  # bytes per second of the slowest client
REFUSAL_TIMEOUT = 2.0  # seconds for a refused client to send its request: closed earlier, it may not see the answer
RESERVED = 64  # descriptors for refused clients, files, the registry
JOINED = 65536  # bytes of the largest body that is copied to be written with its head


@dataclass
class ConnectionLimits:
    """Limits of all connections of a server, and how many clients are being refused."""

    connections: int
    refused: int = 0


def limit_connections(wanted: int) -> ConnectionLimits:
    """At most so many connections, and fewer where the process may not open as many files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return ConnectionLimits(wanted)
    return ConnectionLimits(max(1, min(wanted, soft - RESERVED)))


class OneWrite:
    """A transport that writes the head of a response together with its body, as one packet if it fits."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head and len(data) <= JOINED:
            self._head, data = b"", self._head + data
        elif not self._head and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
            self._loop.call_soon(self._flush)  # if no body follows at once
            return
        self._flush()
        self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            self._head, head = b"", self._head
            self._transport.write(head)


class Connection(HttpToolsProtocol):
    """A client's connection."""

    def __init__(self, *, limits: ConnectionLimits, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._limits = limits
        self._refusing = self._reading_head = self._in_body = self._too_many_chunks = False
        self._head_bytes = self._chunks = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self._limits.connections:
            self.transport = transport
            self._begin_refusal()
            return
        transport.set_write_buffer_limits(high=0)  # `pause_writing` as soon as the client does not read
        super().connection_made(OneWrite(transport, self.loop))  # type: ignore[arg-type]
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        if self._write_deadline is not None:
            self._write_deadline.cancel()
        if self._refusing:
            self._limits.refused -= 1
            return
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusing:
            self._refuse()
            return
        if self.transport.is_closing():
            return
        if not self._reading_head and not self._in_body and (self.cycle is None or self.cycle.response_complete):
            self._begin_head()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._reading_head and self._head_bytes > HEAD_BYTES and self.parser is not None:
            self._answer(431, f"the head of the request is longer than {HEAD_BYTES} bytes.")

    def on_headers_complete(self) -> None:
        self._reading_head, self._in_body = False, True
        self._chunks = self._head_bytes = 0
        self._stop_deadline()
        extensions: Any = self.scope.setdefault("extensions", {})
        extensions["gan3d.gone"] = self.transport.is_closing
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > MAX_CHUNKS:
            self._too_many_chunks = True
            raise ValueError("too many chunks")  # stops the parser, which reports an error

    def send_400_response(self, msg: str) -> None:
        if self._too_many_chunks:
            self._answer(413, f"the body is sent in more than {MAX_CHUNKS} chunks: send larger ones.")
        else:
            self._answer(400, "this is not a valid HTTP request.")

    def pause_writing(self) -> None:
        super().pause_writing()
        seconds = WRITE_TIMEOUT + self.transport.get_write_buffer_size() / WRITE_RATE
        self._write_deadline = self.loop.call_later(seconds, self._abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None

    def shutdown(self) -> None:
        """Close when the server stops, after the answer; a body that is still being sent is not waited for."""
        if self.cycle is not None and not self.cycle.response_complete and self.cycle.more_body:
            self._answer(503, "the server is stopping: try again.")
        else:
            super().shutdown()

    def _begin_head(self) -> None:
        self._reading_head, self._head_bytes = True, 0
        self._stop_deadline()
        self._deadline = self.loop.call_later(HEAD_TIMEOUT, self._head_is_late)

    def _head_is_late(self) -> None:
        if self._head_bytes:
            self._answer(408, f"the head of the request did not arrive within {HEAD_TIMEOUT:g} s.")
        else:
            self.transport.close()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _abort(self) -> None:
        log.warning("closed a connection whose client did not read its answer")
        self.transport.abort()

    def _answer(self, status: int, sentence: str) -> None:
        """Answer a request that does not reach the application, and close."""
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            self.transport.write(_problem(status, sentence))
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _begin_refusal(self) -> None:
        """Refuse a client beyond the cap, as soon as it has sent something and will read the answer."""
        log.warning("refusing connections: %d are open", self._limits.connections)
        self._refusing = True
        self._limits.refused += 1
        if self._limits.refused > RESERVED // 2:
            self._refuse()
        else:
            self._deadline = self.loop.call_later(REFUSAL_TIMEOUT, self._refuse)

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(
                _problem(503, "too many connections are open: try again in 1 s.", b"retry-after: 1\r\n")
            )
            self.transport.close()


def _problem(status: int, sentence: str, headers: bytes = b"") -> bytes:
    body = json.dumps({"detail": sentence}).encode()
    head = b"content-type: application/json\r\nconnection: close\r\nx-content-type-options: nosniff\r\n"
    return STATUS_LINE[status] + headers + head + b"content-length: %d\r\n\r\n" % len(body) + body
