"""OpenTelemetry: traces of requests, where its environment variables ask for them."""

import os
from typing import Any

from gan3d.errors import UserError

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def wanted() -> bool:
    """Whether the environment names a collector, and does not switch traces off."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(os.environ.get(name) for name in ENDPOINTS)


def trace(app: Any) -> Any:
    """The application, with a span per request sent to the collector of the environment; unchanged without one.

    Sampling, headers and resource attributes follow OpenTelemetry's own variables; the service is called gan3d unless
    OTEL_SERVICE_NAME says otherwise.

    Raises:
        UserError: when traces are wanted and the extra `otel` is not installed.
    """
    if not wanted():
        return app
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        names = " and ".join(name for name in ENDPOINTS if os.environ.get(name))
        raise UserError(
            f"{names} asks for traces, which need {error.name}: pip install 'gan3d[otel]', or unset it."
        ) from None
    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "gan3d")})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetryMiddleware(
        app,
        excluded_urls="livez,readyz,healthz,metrics,v2/health",
        tracer_provider=provider,
        exclude_spans=["receive", "send"],
    )
