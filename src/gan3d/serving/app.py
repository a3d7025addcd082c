"""The HTTP application: shapes, the model's description, health, metrics, and a page that documents them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from gan3d import __version__
from gan3d.errors import UserError
from gan3d.rendering.pages import fill_template
from gan3d.serving.body import BodyLimit
from gan3d.serving.metrics import Metrics, MetricsMiddleware
from gan3d.serving.model import ModelHolder
from gan3d.serving.queue import QueueFullError, RequestQueue
from gan3d.serving.response import respond
from gan3d.serving.schema import Grid, Problem, ShapesRequest, describe_error
from gan3d.shape_io.formats import ARCHIVE, OUTPUTS

BINARY = {"schema": {"type": "string", "format": "binary"}}
MEDIA_TYPES = dict.fromkeys([each.media_type for name, each in OUTPUTS.items() if name != "grid"] + [ARCHIVE])
DESCRIPTION = (
    "Shapes from a voxel GAN, as grids, meshes or pictures. The same seed gives the same shape on every call, here, on"
    " the command line and in Python."
)
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The shapes, in the media type of `output`.",
        "model": Grid,
        "content": dict.fromkeys(MEDIA_TYPES, BINARY),
    },
    400: {"description": "The request is invalid; `detail` says why.", "model": Problem},
    408: {"description": "The body did not arrive in time.", "model": Problem},
    413: {"description": "The body is too large and was not read.", "model": Problem},
    503: {"description": "The queue is full; the header Retry-After says when to retry.", "model": Problem},
}


def create_app(holder: ModelHolder, queue_capacity: int, max_body: int, poll: float) -> FastAPI:
    """Create the application.

    Args:
        holder: of the model.
        queue_capacity: how many requests may be queued, the running one included.
        max_body: size limit of a request's body, in bytes.
        poll: seconds between two checks of the model's alias.
    """
    queue = RequestQueue(queue_capacity)
    metrics = Metrics(holder, queue)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        holder.watch(poll)
        yield
        holder.close()
        queue.close()

    # FastAPI's own pages load scripts from a CDN; ours works offline
    app = FastAPI(
        title="gan3d", version=__version__, description=DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    _handle_errors(app)

    @app.post("/shapes", responses=RESPONSES, response_class=Response, summary="Sample shapes")
    async def shapes(asked: ShapesRequest) -> Response:
        """Returns one shape as a mesh as the file itself, and several as a zip archive."""
        response = await queue.run(lambda: respond(holder.current, asked))
        metrics.shapes.labels(asked.output).inc(response.count)
        return Response(response.content, media_type=response.media_type, headers=response.headers)

    @app.get("/model", summary="The served model")
    async def model() -> dict[str, Any]:
        return holder.current.describe()

    @app.get("/healthz", summary="Whether the server is alive")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", summary="Whether the server accepts requests now", responses={503: {"model": Problem}})
    async def ready() -> dict[str, str]:
        if queue.full:
            raise HTTPException(503, "the queue is full.")
        return {"status": "ready", "model": holder.current.name}

    @app.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(fill_template("server", title="gan3d"))

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("/docs")

    for details in app.openapi()["paths"]["/shapes"].values():
        del details["responses"]["422"]  # FastAPI's default; `_handle_errors` answers 400 instead
    routes = frozenset(path for path in (getattr(route, "path", None) for route in app.routes) if path)
    app.add_middleware(BodyLimit, max_bytes=max_body)
    app.add_middleware(MetricsMiddleware, metrics=metrics, routes=routes)  # the last one added is the outermost
    return app


def _handle_errors(app: FastAPI) -> None:
    """Convert every error to a status and one sentence."""

    @app.exception_handler(UserError)
    async def user_error(request: Request, error: UserError) -> JSONResponse:
        return _problem(400, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
        return _problem(400, describe_error(error.errors()))

    @app.exception_handler(QueueFullError)
    async def queue_full(request: Request, error: QueueFullError) -> JSONResponse:
        return _problem(503, str(error), {"Retry-After": str(error.retry_after)})

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:
            return _problem(400, "the body is not valid JSON: it cannot be read.")
        return _problem(error.status_code, f"{request.method} {request.url.path}: {error.detail}", error.headers)

    @app.exception_handler(Exception)
    async def internal_error(request: Request, error: Exception) -> JSONResponse:
        return _problem(500, "internal server error: see the server's log.")


def _problem(status: int, detail: str, headers: Any = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
