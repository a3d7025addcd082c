"""Limits of request bodies: size, encoding, nesting and time, before anything is parsed."""

import asyncio
import json
from typing import Any

Scope = dict[str, Any]

BODY_TIMEOUT = 30.0  # seconds
DRAIN_TIMEOUT = 2.0  # seconds to discard the rest of a rejected body, so that its sender gets to read the response
MAX_LISTS = 2100  # lists and objects in a body: a request has one per latent vector, of 1024
UPLOADS = "/invert"  # end of the routes that take a file's bytes


class BodyLimit:
    """ASGI middleware that passes on complete bodies of at most `max_bytes`, and files of at most `max_upload`.

    A larger declared length is answered with 413 at once; a client that sends `Expect: 100-continue`, as curl does,
    then sends no body. A chunked body is answered with 413 when it passes the limit, and an incomplete one with 408
    after BODY_TIMEOUT. A compressed body is answered with 415.
    """

    def __init__(self, app: Any, max_bytes: int, max_upload: int | None = None) -> None:
        self.app, self.max_bytes, self.max_upload = app, max_bytes, max_upload or max_bytes

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        is_upload = scope["path"].endswith(UPLOADS)
        most = self.max_upload if is_upload else self.max_bytes
        too_large = f"the body is larger than the limit of {most} bytes."
        if not declared.isdigit() or int(declared[:20]) > most:
            await self._reject(413, too_large, receive, send)
            return
        if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
            await self._reject(415, "the body is compressed: send it without Content-Encoding.", receive, send)
            return
        if declared == b"0" and b"transfer-encoding" not in headers:
            await self.app(scope, receive, send)
            return
        parts: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    more = message.get("more_body", False) and size <= most
        except TimeoutError:
            await self._reject(408, f"the body did not arrive within {BODY_TIMEOUT:g} s.", receive, send)
            return
        if size > most:
            await self._reject(413, too_large, receive, send)
            return
        body = b"".join(parts)
        if not is_upload and body.count(b"[") + body.count(b"{") > MAX_LISTS:
            await self._reject(400, f"the body has more than {MAX_LISTS} lists: send fewer latents.", receive, send)
            return
        complete: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> dict[str, Any]:
            return complete.pop() if complete else await receive()

        await self.app(scope, replay, send)

    async def _reject(self, status: int, detail: str, receive: Any, send: Any) -> None:
        """Respond, and close the connection after a short delay; otherwise it is reset while the client still sends."""
        body = json.dumps({"detail": detail}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT):
                while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                    pass
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})
