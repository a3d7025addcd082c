"""What Prometheus reads: requests by route and status, their time, shapes, the queue, the model."""

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

from gan3d.serving.model import Holder
from gan3d.serving.queue import Queue

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one server, which do not mix with those of another in the same process."""

    def __init__(self, holder: Holder, queue: Queue) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("gan3d_requests", "Requests answered.", ["route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "gan3d_request_seconds",
            "From the first byte to the last.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.shapes = Counter("gan3d_shapes", "Shapes handed out.", ["output"], registry=self.registry)
        for name, text, value in (
            ("gan3d_queue_taken", "Requests that wait or are drawn.", lambda: queue.taken),
            ("gan3d_queue_places", "Requests that may wait or be drawn.", lambda: queue.places),
            ("gan3d_reloads", "How often the model was exchanged.", lambda: holder.reloads),
            ("gan3d_reload_failures", "How often the alias could not be followed.", lambda: holder.failures),
        ):
            Gauge(name, text, registry=self.registry).set_function(value)
        self.registry.register(_Model(holder))

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


class _Model:
    """A gauge that is 1, labelled with the model that is served now."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder

    def collect(self) -> Any:
        family = GaugeMetricFamily("gan3d_model", "1 for the model that is served.", labels=["model"])
        family.add_metric([self.holder.current.name], 1)
        yield family


class Measured:
    """ASGI middleware that counts and times requests; a path that is no route is counted as "other"."""

    def __init__(self, app: Any, metrics: Metrics, routes: frozenset[str]) -> None:
        self.app, self.metrics, self.routes = app, metrics, routes

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        route = scope["path"] if scope["path"] in self.routes else "other"
        start, status = time.perf_counter(), 499  # the client had gone before there was an answer

        async def noted(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except BaseException:
            status = 500
            raise
        finally:
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)
