"""What every request gets: an ID, security headers, a line in the log, and its place in the metrics."""

import logging
import re
import secrets
import time
from typing import Any

from gan3d.serving.metrics import Metrics

log = logging.getLogger("gan3d.serving.requests")

REQUEST_ID = re.compile(rb"[\w.-]{1,64}")
QUIET = frozenset({"/livez", "/readyz", "/healthz", "/metrics", "/v2/health/live", "/v2/health/ready"})  # asked often
SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class RequestContext:
    """ASGI middleware around all others.

    A request's ID is that of its header X-Request-ID, or a new one, and is in the response and in the log. Requests are
    counted and timed by the template of their route; those without one as "other".
    """

    def __init__(self, app: Any, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        identity = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8).encode()
        start, status = time.perf_counter(), 499  # stays if the client disconnects before the response

        async def send_with_headers(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", identity), *SECURITY]
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except BaseException:
            status = 500 if status == 499 else status
            raise
        finally:
            seconds = time.perf_counter() - start
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.durations.labels(route).observe(seconds)
            if route not in QUIET:
                self._log(scope, identity.decode(), status, seconds)

    def _log(self, scope: dict[str, Any], identity: str, status: int, seconds: float) -> None:
        if not log.isEnabledFor(logging.INFO):
            return
        path = scope["path"][:200]
        about = {
            "request_id": identity,
            "client": (scope["client"] or (None,))[0],
            "key": scope.get("gan3d.owner"),
            "method": scope["method"],
            "path": path,
            "status": status,
            "seconds": round(seconds, 4),
        }
        log.info("%s %s %d in %.3f s [%s]", scope["method"], ascii(path)[1:-1], status, seconds, identity, extra=about)
