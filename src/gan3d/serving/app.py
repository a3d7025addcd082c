"""The HTTP application: shapes, the models' descriptions, health, metrics, and a page that documents them."""

import asyncio
import base64
import functools
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from gan3d import __version__
from gan3d.errors import UserError
from gan3d.rendering.pages import fill_template
from gan3d.sampling.requests import Plan, plan_shapes
from gan3d.serving.access import Access
from gan3d.serving.body import BodyLimit
from gan3d.serving.cache import AnswerCache, answer_tag, matches
from gan3d.serving.context import RequestContext
from gan3d.serving.inference_protocol import UnknownModelError, inference_routes
from gan3d.serving.inversion_routes import inversion_routes
from gan3d.serving.latents import latents_routes
from gan3d.serving.metrics import Metrics
from gan3d.serving.models import LoadingError, ModelHolder, Models, ServedModel
from gan3d.serving.openapi import describe_api, media_types
from gan3d.serving.response import cost_of, encode_answer, keep_of
from gan3d.serving.scheduler import ClientGoneError, QueueFullError, Scheduler, StoppingError
from gan3d.serving.schema import Grid, Problem, describe_error, parse_request
from gan3d.serving.settings import Settings
from gan3d.serving.studio import studio_page
from gan3d.shape_io.formats import max_shapes

DESCRIPTION = (
    "Shapes from a voxel GAN, as grids, meshes or pictures. The same seed gives the same shape on every call, here, on"
    " the command line and in Python."
)
PROBLEMS = {
    400: "The request is invalid; `detail` says why.",
    401: "A key is needed.",
    408: "The request did not arrive in time.",
    409: "A shape is empty and has no mesh.",
    413: "The body is too large and was not read.",
    415: "The body is not JSON, or compressed.",
    429: "Too many requests; the header Retry-After says when to retry.",
    503: "The queue is full, the model is loading, or the server stops; the header Retry-After says when to retry.",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The shapes, in the media type of `output`.", "model": Grid, "content": media_types()},
    304: {"description": "The answer that `If-None-Match` names is still right."},
    **{status: {"description": text, "model": Problem} for status, text in PROBLEMS.items()},
}
OTHERS: dict[int | str, dict[str, Any]] = {
    status: {"description": PROBLEMS[status], "model": Problem} for status in (400, 401, 429)
}


class Server:
    """What the routes of one server share."""

    def __init__(self, models: Models, settings: Settings) -> None:
        self.models, self.settings = models, settings
        self.scheduler = Scheduler(settings.queue)
        self.cache = AnswerCache(settings.cache)
        self.metrics = Metrics(models, self.scheduler, self.cache)

    def find(self, name: str) -> ModelHolder:
        """The holder of a model's name; raises UnknownModelError without one."""
        if name not in self.models:
            raise UnknownModelError(f"model {name[:40]!r} is not served: choose one of {', '.join(self.models)}.")
        return self.models[name]

    async def answer(self, request: Request, name: str, holder: ModelHolder) -> Response:
        """The response to a request for shapes of a model."""
        model = holder.current
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "send the body as application/json.")
        asked = parse_request(await request.body())
        limit = max_shapes(asked.output, model.sampler.model.architecture.resolution)
        plan = plan_shapes(model.sampler, [asked.to_request()], asked.truncation, asked.threshold, limit)
        zipped = asked.output == "grid" and _accepts_gzip(request.headers.get("accept-encoding", ""))
        tag = answer_tag(model.version, model.engine, f"{asked.model_dump_json()} {zipped}")
        if matches(request.headers.get("if-none-match"), tag):
            self.metrics.cache_hits.inc()
            return Response(status_code=304, headers={"ETag": tag})
        answer = self.cache.get(tag)
        if answer is None:
            encode = functools.partial(encode_answer, model, asked, plan, zipped)
            keep = keep_of(asked.output, plan.threshold)
            try:
                answer = await self.draw(request, model, plan, keep, encode, cost_of(asked.output))
            except UserError as error:  # found out while encoding: the request itself is valid
                raise EmptyShapeError(str(error)) from None
            self.cache.put(tag, answer)
        else:
            self.metrics.cache_hits.inc()
        self.metrics.shapes.labels(name, asked.output).inc(answer.count)
        headers = answer.headers | {"ETag": tag, "Cache-Control": "private, no-cache"}
        return Response(answer.content, media_type=answer.media_type, headers=headers)

    async def draw(
        self,
        request: Request,
        model: ServedModel,
        plan: Plan,
        keep: Callable[[np.ndarray], np.ndarray],
        encode: Callable[[Sequence[np.ndarray]], Any],
        cost: int = 1,
    ) -> Any:
        """Draw and encode a plan in its turn; see `gan3d.serving.scheduler.Scheduler.run`."""
        gone = request.scope.get("extensions", {}).get("gan3d.gone", lambda: False)
        return await self.scheduler.run(model.sampler, plan, keep, encode, gone, cost)


class EmptyShapeError(Exception):
    """A valid request, of which a shape has no mesh."""


def create_app(models: Models, settings: Settings) -> FastAPI:
    """Create the application; its state has the `Server` as `server`.

    Args:
        models: to serve, loaded or not.
        settings: limits and rules.
    """
    server = Server(models, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        models.watch(settings.poll)
        watching = asyncio.create_task(_watch_keys(settings))
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        models.close()
        server.scheduler.close()

    # FastAPI's own pages load scripts from a CDN; ours works offline. Its redirects of slashes trust the host's name
    app = FastAPI(
        title="gan3d",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.server = server
    _handle_errors(app)
    _add_shapes(app, server)
    _add_health(app, server)
    app.include_router(latents_routes(models, server.find))
    app.include_router(inference_routes(models, server.draw))
    app.include_router(inversion_routes(models, settings.data, server.find))
    _add_pages(app)
    _describe(app, server)
    # the last one added is the outermost
    app.add_middleware(Access, hosts=settings.hosts, keys=settings.keys, rate=settings.rate)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body, max_upload=settings.max_upload)
    app.add_middleware(RequestContext, metrics=server.metrics)
    return app


def _add_shapes(app: FastAPI, server: Server) -> None:
    models = server.models

    @app.post("/shapes", responses=RESPONSES, response_class=Response, summary="Sample shapes")
    async def shapes(request: Request) -> Response:
        """Returns one shape as a mesh as the file itself, and several as a zip archive."""
        return await server.answer(request, next(iter(models)), models.first)

    @app.post("/models/{name}/shapes", responses=RESPONSES, response_class=Response)
    async def shapes_of(request: Request, name: str) -> Response:
        """Returns one shape as a mesh as the file itself, and several as a zip archive."""
        return await server.answer(request, name, server.find(name))

    problems = {503: {"description": PROBLEMS[503], "model": Problem}, **OTHERS}

    @app.get("/model", summary="The served model", responses=problems)
    async def model() -> dict[str, Any]:
        return models.first.current.describe()

    @app.get("/models", summary="The served models by name", responses=problems)
    async def all_models() -> dict[str, dict[str, Any]]:
        return {name: holder.current.describe() for name, holder in models.items()}

    @app.get("/models/{name}", responses=problems)
    async def model_of(name: str) -> dict[str, Any]:
        return server.find(name).current.describe()


def _add_health(app: FastAPI, server: Server) -> None:
    models, scheduler = server.models, server.scheduler
    bad_host: dict[int | str, dict[str, Any]] = {400: OTHERS[400]}

    @app.get("/healthz", summary="Whether the server is alive", responses=bad_host)
    @app.get("/livez", summary="Whether the server is alive", responses=bad_host)
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get(
        "/readyz",
        summary="Whether the models are loaded and requests accepted",
        responses={**bad_host, 503: {"description": "Not now; `detail` says why.", "model": Problem}},
    )
    async def ready() -> dict[str, str]:
        if not models.ready:
            raise LoadingError
        if scheduler.full:
            raise HTTPException(503, "the queue is full.")
        return {"status": "ready", "model": models.first.current.version}

    @app.get("/metrics", summary="Metrics for Prometheus", response_class=Response, responses=OTHERS)
    async def prometheus() -> Response:
        return Response(server.metrics.text(), media_type="text/plain; version=0.0.4")


def _add_pages(app: FastAPI) -> None:
    """The studio, with what the routes offer, and the documentation of the API."""

    @cache
    def page(name: str) -> HTMLResponse:
        text = studio_page(_paths(app.routes)) if name == "studio" else fill_template("server", title="gan3d")
        return HTMLResponse(text, headers={"Content-Security-Policy": _content_policy(text)})

    @app.get("/", include_in_schema=False)
    async def studio() -> HTMLResponse:
        return page("studio")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return page("server")


def _paths(routes: Sequence[Any]) -> list[str]:
    """The paths of routes, also of those of included routers, which FastAPI keeps in one object."""
    found: list[str] = []
    for route in routes:
        included = getattr(route, "original_router", None)
        found += [route.path] if included is None else _paths(included.routes)
    return found


def _content_policy(page: str) -> str:
    """Only the page's own script and style run, and nobody frames it."""

    def hashes(tag: str) -> str:
        found = re.findall(rf"<{tag}(?: type=\"module\")?>(.*?)</{tag}>", page, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in found]
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; connect-src 'self';"
        " img-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _describe(app: FastAPI, server: Server) -> None:
    """Complete the OpenAPI document, which changes with the models."""
    generate = app.openapi
    made: dict[tuple, dict[str, Any]] = {}

    def openapi() -> dict[str, Any]:
        key = tuple(holder.loaded and holder.loaded.version for holder in server.models.values())
        if key not in made:
            app.openapi_schema = None
            made.clear()
            document = describe_api(generate(), server.models, server.settings.keys is not None)
            for operations in document["paths"].values():
                for details in operations.values():
                    details["responses"].pop("422", None)  # FastAPI's default; ours is 400
            made[key] = document
        return made[key]

    app.openapi = openapi  # type: ignore[method-assign]


def _handle_errors(app: FastAPI) -> None:
    """Convert every error to a status and one sentence."""

    @app.exception_handler(UserError)
    async def user_error(request: Request, error: UserError) -> JSONResponse:
        return _problem(request, 400, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid_query(request: Request, error: RequestValidationError) -> JSONResponse:
        return _problem(request, 400, describe_error(error.errors()))

    @app.exception_handler(EmptyShapeError)
    async def empty_shape(request: Request, error: EmptyShapeError) -> JSONResponse:
        return _problem(request, 409, str(error))

    @app.exception_handler(UnknownModelError)
    async def unknown_model(request: Request, error: UnknownModelError) -> JSONResponse:
        return _problem(request, 404, str(error))

    @app.exception_handler(QueueFullError)
    @app.exception_handler(StoppingError)
    @app.exception_handler(LoadingError)
    async def try_again(request: Request, error: Any) -> JSONResponse:
        return _problem(request, 503, str(error), {"Retry-After": str(error.retry_after)})

    @app.exception_handler(ClientGoneError)
    async def client_gone(request: Request, error: ClientGoneError) -> Response:
        return Response(status_code=499)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        where = f"{request.method} {request.url.path[:40]}"
        return _problem(request, error.status_code, f"{where}: {error.detail}", error.headers)

    @app.exception_handler(Exception)
    async def internal_error(request: Request, error: Exception) -> JSONResponse:
        return _problem(request, 500, "internal server error: see the server's log.")


def _problem(request: Request, status: int, detail: str, headers: Any = None) -> JSONResponse:
    field = "error" if request.url.path.startswith("/v2/") else "detail"  # as the Open Inference Protocol says
    return JSONResponse({field: detail}, status, headers)


def _accepts_gzip(header: str) -> bool:
    return any(
        re.fullmatch(r"\s*(gzip|\*)\s*(;\s*q=(1(\.0*)?|0\.\d*[1-9]\d*))?\s*", part) for part in header.split(",")
    )


async def _watch_keys(settings: Settings) -> None:
    while settings.keys is not None:
        await asyncio.sleep(settings.poll)
        settings.keys.refresh()
