"""Who may ask: allowed hosts, API keys, rate limits, as one ASGI middleware."""

import ipaddress
import json
import math
import time
from collections.abc import Sequence
from typing import Any

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from gan3d.errors import UserError
from gan3d.serving.keys import Keys

PROBES = frozenset({"/livez", "/readyz", "/healthz", "/v2/health/live", "/v2/health/ready"})
OPEN = PROBES | {"/", "/docs"}  # without a key; the page asks for one


def parse_rate(text: str) -> RateLimitItem:
    """A rate such as 100/minute.

    Raises:
        UserError: for any other text.
    """
    try:
        return parse(text)
    except ValueError:
        raise UserError(f"--rate {text} is not a rate: write it as 100/minute or 10/second.") from None


class Access:
    """Answers 400 for a foreign host, 401 without a key, 429 above the rate; all else goes on.

    A page in a browser can reach a server by a name that its owner points here (DNS rebinding), but not by an address:
    hosts that are addresses are always allowed.
    """

    def __init__(self, app: Any, hosts: Sequence[str], keys: Keys | None, rate: RateLimitItem | None) -> None:
        self.app, self.keys, self.rate = app, keys, rate
        self.hosts = {host.lower() for host in hosts}
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) > 1 or (hosts and not self._allowed(hosts[0].decode("latin-1"))):
            detail = "this host is not allowed: use the server's address, or start it with --allow-host."
            await _refuse(send, 400, detail)
            return
        if scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        owner = None
        if self.keys is not None:
            owner = self.keys.owner(_key(scope["headers"]))
            if owner is None:
                await _refuse(
                    send,
                    401,
                    "a key is needed: send it in the header Authorization, as Bearer KEY.",
                    (b"www-authenticate", b"Bearer"),
                )
                return
            scope["gan3d.owner"] = owner
        if self.rate is not None:
            client = owner or (scope["client"] or ("?",))[0]
            if not self._limiter.hit(self.rate, client):
                reset = self._limiter.get_window_stats(self.rate, client).reset_time
                seconds = max(1, math.ceil(reset - time.time()))
                detail = f"more than {self.rate} requests: try again in {seconds} s."
                await _refuse(send, 429, detail, (b"retry-after", str(seconds).encode()))
                return
        await self.app(scope, receive, send)

    def _allowed(self, header: str) -> bool:
        host = header.lower().rsplit("]", 1)[0].lstrip("[") if header.startswith("[") else header.lower().split(":")[0]
        if host in self.hosts or "*" in self.hosts or host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


def _key(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The key that a client sends; empty without one."""
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip().decode("latin-1")
        if name == b"x-api-key":
            return value.strip().decode("latin-1")
    return ""


async def _refuse(send: Any, status: int, detail: str, *headers: tuple[bytes, bytes]) -> None:
    body = json.dumps({"detail": detail}).encode()
    fixed = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": body})
