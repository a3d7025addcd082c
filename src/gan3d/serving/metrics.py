"""Prometheus metrics: requests by route and status, their duration, shapes, slices, the queue, the models."""

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from gan3d.serving.cache import AnswerCache
from gan3d.serving.models import Models
from gan3d.serving.scheduler import Scheduler

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds


class Metrics:
    """The metrics of one server, separate from those of any other in the same process."""

    def __init__(self, models: Models, scheduler: Scheduler, cache: AnswerCache) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("gan3d_requests", "HTTP requests.", ["route", "status"], registry=self.registry)
        self.durations = Histogram(
            "gan3d_request_duration_seconds",
            "Time from the head of a request to the last byte of its response.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.shapes = Counter("gan3d_shapes", "Shapes returned.", ["model", "output"], registry=self.registry)
        self.slice_requests = Histogram(
            "gan3d_slice_requests",
            "Requests drawn together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.slice_shapes = Histogram(
            "gan3d_slice_shapes", "Shapes drawn together.", buckets=(1, 4, 16, 64), registry=self.registry
        )
        scheduler.on_slice = self._count_slice
        for name, text, value in (
            ("gan3d_queue_depth", "Requests in the queue, the running ones included.", lambda: scheduler.depth),
            ("gan3d_queue_voxels", "Voxels in the queue, those being drawn included.", lambda: scheduler.work),
            ("gan3d_queue_capacity_voxels", "Voxels that fit into the queue.", lambda: scheduler.capacity),
            ("gan3d_queue_seconds", "Estimated time to empty the queue.", lambda: scheduler.seconds_of_work),
            ("gan3d_cache_bytes", "Size of the cached answers.", lambda: cache.size),
        ):
            Gauge(name, text, registry=self.registry).set_function(value)
        self.cache_hits = Counter("gan3d_cache_hits", "Answers from the cache, or unchanged.", registry=self.registry)
        self.registry.register(_ModelCollector(models))

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _count_slice(self, requests: int, shapes: int) -> None:
        self.slice_requests.observe(requests)
        self.slice_shapes.observe(shapes)


class _ModelCollector:
    """The served models as labels, and how often they were reloaded."""

    def __init__(self, models: Models) -> None:
        self.models = models

    def collect(self) -> Iterator[Any]:
        info = GaugeMetricFamily("gan3d_model_info", "1, labelled with a served model.", labels=["model", "version"])
        reloads = CounterMetricFamily("gan3d_model_reloads", "Times the model was replaced.", labels=["model"])
        failures = CounterMetricFamily(
            "gan3d_model_reload_failures", "Times the alias could not be followed.", labels=["model"]
        )
        for name, holder in self.models.items():
            if holder.loaded is not None:
                info.add_metric([name, holder.loaded.version], 1)
            reloads.add_metric([name], holder.reloads)
            failures.add_metric([name], holder.failures)
        yield from (info, reloads, failures)
