"""Prometheus metrics: requests by route and status, their duration, shapes, the queue, the model."""

import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from gan3d.serving.model import ModelHolder
from gan3d.serving.queue import RequestQueue

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds


class Metrics:
    """The metrics of one server, separate from those of any other in the same process."""

    def __init__(self, holder: ModelHolder, queue: RequestQueue) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("gan3d_requests", "HTTP requests.", ["route", "status"], registry=self.registry)
        self.durations = Histogram(
            "gan3d_request_duration_seconds",
            "Time from the first byte of a request to the last of its response.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.shapes = Counter("gan3d_shapes", "Shapes returned.", ["output"], registry=self.registry)
        for name, text, value in (
            ("gan3d_queue_depth", "Requests in the queue, the running one included.", lambda: queue.depth),
            ("gan3d_queue_capacity", "Requests that fit into the queue.", lambda: queue.capacity),
        ):
            Gauge(name, text, registry=self.registry).set_function(value)
        self.registry.register(_ModelCollector(holder))

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _ModelCollector:
    """The served model as a label, and how often it was reloaded."""

    def __init__(self, holder: ModelHolder) -> None:
        self.holder = holder

    def collect(self) -> Iterator[Any]:
        info = GaugeMetricFamily("gan3d_model_info", "1, labelled with the served model.", labels=["model"])
        info.add_metric([self.holder.current.name], 1)
        yield info
        yield CounterMetricFamily("gan3d_model_reloads", "Times the model was replaced.", self.holder.reloads)
        yield CounterMetricFamily(
            "gan3d_model_reload_failures", "Times the alias could not be followed.", self.holder.failures
        )


class MetricsMiddleware:
    """ASGI middleware that counts and times requests; unknown paths are counted as route "other"."""

    def __init__(self, app: Any, metrics: Metrics, routes: frozenset[str]) -> None:
        self.app, self.metrics, self.routes = app, metrics, routes

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        route = scope["path"] if scope["path"] in self.routes else "other"
        start, status = time.perf_counter(), 499  # stays if the client disconnects before the response

        async def send_and_note_status(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note_status)
        except BaseException:
            status = 500
            raise
        finally:
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.durations.labels(route).observe(time.perf_counter() - start)
