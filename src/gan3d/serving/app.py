"""The HTTP application: shapes, the model's facts, health, metrics, and a page that explains them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from gan3d import __version__
from gan3d.errors import UserError
from gan3d.serving.answer import answer
from gan3d.serving.body import BodyLimit
from gan3d.serving.metrics import Measured, Metrics
from gan3d.serving.model import Holder
from gan3d.serving.queue import FullError, Queue
from gan3d.serving.schema import Grid, Problem, ShapesRequest, sentence
from gan3d.shape_io.encoding import MEDIA

PAGE = Path(__file__).with_name("page.html")
FILES = {media: {"schema": {"type": "string", "format": "binary"}} for media in dict.fromkeys(MEDIA.values())}
DESCRIPTION = (
    "Shapes from a voxel GAN, as grids, meshes or pictures. The same seed gives the same shape on every call, here, on"
    " the command line and in Python."
)
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The shapes, in the media type of `output`.",
        "model": Grid,
        "content": {media: form for media, form in FILES.items() if media != MEDIA["grid"]}
        | {"application/zip": FILES[MEDIA["bits"]]},
    },
    400: {"description": "The request makes no sense; the sentence says why.", "model": Problem},
    408: {"description": "The body did not arrive in time.", "model": Problem},
    413: {"description": "The body is too large; it was not read.", "model": Problem},
    503: {"description": "The queue is full; the header Retry-After says when to come back.", "model": Problem},
}


def make(holder: Holder, places: int, most_bytes: int, poll: float) -> FastAPI:
    """The application.

    Args:
        holder: of the model.
        places: how many requests may wait or be drawn at a time.
        most_bytes: of a body.
        poll: seconds between two looks at the alias.
    """
    queue = Queue(places)
    metrics = Metrics(holder, queue)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        holder.watch(poll)
        yield
        holder.close()
        queue.close()

    # the usual pages load their scripts from elsewhere; ours needs nothing
    app = FastAPI(
        title="gan3d", version=__version__, description=DESCRIPTION, lifespan=life, docs_url=None, redoc_url=None
    )
    _refusals(app)

    @app.post("/shapes", responses=ANSWERS, response_class=Response, summary="Draw shapes")
    async def shapes(asked: ShapesRequest) -> Response:
        """Draws what is asked for; one shape as a mesh is the file itself, several are a zip archive."""
        drawn = await queue.run(lambda: answer(holder.current, asked))
        metrics.shapes.labels(asked.output).inc(drawn.count)
        return Response(drawn.content, media_type=drawn.media_type, headers=drawn.headers)

    @app.get("/model", summary="The model that is served")
    async def model() -> dict[str, Any]:
        return holder.current.facts()

    @app.get("/healthz", summary="Whether the server lives")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", summary="Whether the server takes requests now", responses={503: {"model": Problem}})
    async def ready() -> dict[str, str]:
        if queue.full:
            raise HTTPException(503, "the queue is full.")
        return {"status": "ready", "model": holder.current.name}

    @app.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/docs", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    @app.get("/", include_in_schema=False)
    async def start() -> RedirectResponse:
        return RedirectResponse("/docs")

    for details in app.openapi()["paths"]["/shapes"].values():
        del details["responses"]["422"]  # FastAPI's own, which `_refusals` replaces
    routes = frozenset(path for path in (getattr(route, "path", None) for route in app.routes) if path)
    app.add_middleware(BodyLimit, most=most_bytes)
    app.add_middleware(Measured, metrics=metrics, routes=routes)  # the last one added is the outermost
    return app


def _refusals(app: FastAPI) -> None:
    """Whatever is wrong becomes a status and one sentence."""

    @app.exception_handler(UserError)
    async def wrong(request: Request, error: UserError) -> JSONResponse:
        return _problem(400, str(error))

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return _problem(400, sentence(error.errors()))

    @app.exception_handler(FullError)
    async def full(request: Request, error: FullError) -> JSONResponse:
        return _problem(503, str(error), {"Retry-After": str(error.retry_after)})

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:
            return _problem(400, "the body is not valid JSON: it cannot be read.")
        return _problem(error.status_code, f"{request.method} {request.url.path}: {error.detail}", error.headers)

    @app.exception_handler(Exception)
    async def defect(request: Request, error: Exception) -> JSONResponse:
        return _problem(500, "the server has a defect: its log says more.")


def _problem(status: int, detail: str, headers: Any = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
