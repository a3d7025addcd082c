"""Bodies of bounded size: a larger one is refused before it is read, one in chunks where it passes the limit."""

import asyncio
import json
from typing import Any

Scope = dict[str, Any]

PATIENCE = 30.0  # seconds that a body may take
LINGER = 2.0  # seconds in which the rest of a refused body is thrown away, so that its sender comes to read the answer


class BodyLimit:
    """ASGI middleware that hands the application whole bodies of at most `most` bytes.

    A declared length above it is answered with 413 at once; a client that sends `Expect: 100-continue`, as curl does,
    then sends nothing at all. A body in chunks is answered with 413 when it has passed the limit, one that does not
    end in time with 408.
    """

    def __init__(self, app: Any, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared[:20]) > self.most:
            await self._refuse(413, f"the body is larger than the {self.most} bytes that are allowed.", receive, send)
            return
        parts, size, more = [], 0, True
        try:
            async with asyncio.timeout(PATIENCE):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    more = message.get("more_body", False) and size <= self.most
        except TimeoutError:
            await self._refuse(408, f"the body did not arrive within {PATIENCE:g} s.", receive, send)
            return
        if size > self.most:
            await self._refuse(413, f"the body is larger than the {self.most} bytes that are allowed.", receive, send)
            return
        whole: list[dict[str, Any]] = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

        async def replay() -> dict[str, Any]:
            return whole.pop() if whole else await receive()

        await self.app(scope, replay, send)

    async def _refuse(self, status: int, sentence: str, receive: Any, send: Any) -> None:
        """Answer, and close the connection a little later: closed at once, it would be reset while the client sends."""
        body = json.dumps({"detail": sentence}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        try:
            async with asyncio.timeout(LINGER):
                while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                    pass
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})
