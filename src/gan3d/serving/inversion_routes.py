"""The routes of inversion: a file to a latent, a part to whole shapes, directions, the nearest training shape."""

import asyncio
import base64
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from gan3d.errors import UserError
from gan3d.inversion.completion import LARGEST_COUNT, NothingGivenError
from gan3d.inversion.nearest import Nearest
from gan3d.sampling.requests import SEED_LIMIT
from gan3d.serving.inversion_jobs import ModelTools, NoGradientsError, NoTrainingDataError, read_upload
from gan3d.serving.models import ModelHolder, Models, ServedModel
from gan3d.serving.scheduler import QueueFullError
from gan3d.serving.schema import Integer, parse_body
from gan3d.serving.vectors import encode_vector
from gan3d.voxels import pack_bits, unpack_bits

WAITING = 8  # inversions and completions that may wait; each takes seconds
SECONDS = 5  # of one, for the header Retry-After
Result = TypeVar("Result")


class CompleteRequest(BaseModel):
    """A part of a shape, to be completed."""

    model_config = ConfigDict(strict=True, extra="forbid")

    voxels: str = Field(description="Bits of the grid (R, R, R) in C order, most significant first, in base64.")
    mask: str = Field(description="Bits likewise, 1 where the voxel is given.")
    class_name: str | None = Field(None, alias="class", description="Class; without it, the one that fits best.")
    count: Integer = Field(4, ge=1, le=LARGEST_COUNT)
    seed: Integer = Field(0, ge=0, lt=SEED_LIMIT)


class NearestRequest(BaseModel):
    """A shape, of which the nearest training shape is asked for."""

    model_config = ConfigDict(strict=True, extra="forbid")

    voxels: str = Field(description="Bits of the grid (R, R, R) in C order, most significant first, in base64.")
    class_name: str | None = Field(None, alias="class", description="Class; optional where the model has one.")


class Inversions:
    """The tools of the served models, and the one thread that inverts beside the one that draws."""

    def __init__(self, models: Models, data: Path | None) -> None:
        self.models, self.data = models, data
        self._tools: dict[int, ModelTools] = {}
        self._thread = ThreadPoolExecutor(1, "inverting")
        self._waiting = 0

    def tools(self, holder: ModelHolder) -> ModelTools:
        """The tools of the model that a holder serves now; those of its earlier versions are dropped."""
        model = holder.current
        known = self._tools.get(id(holder))
        if known is None or known.model is not model:
            known = self._tools[id(holder)] = ModelTools(model, functools.partial(_folder, holder, model), self.data)
        return known

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function in its turn.

        Raises:
            QueueFullError: if too many wait.
        """
        if self._waiting >= WAITING:
            raise QueueFullError(SECONDS * WAITING)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, functools.partial(function, *arguments)
            )
        except NoGradientsError as error:
            raise HTTPException(501, str(error)) from None
        except NoTrainingDataError as error:
            raise HTTPException(404, str(error)) from None
        except NothingGivenError as error:
            raise HTTPException(409, str(error)) from None
        finally:
            self._waiting -= 1


def inversion_routes(models: Models, data: Path | None, find: Callable[[str], ModelHolder]) -> APIRouter:
    """The routes, for the first model and, below /models/NAME, for each.

    Args:
        models: served.
        data: the prepared data set whose training shapes are compared with; None: there are none.
        find: the holder of a name.
    """
    router, inversions = APIRouter(include_in_schema=False), Inversions(models, data)

    def served(request: Request) -> ModelHolder:
        name = request.path_params.get("name")
        return models.first if name is None else find(name)

    @router.post("/invert", response_class=Response)
    @router.post("/models/{name}/invert", response_class=Response)
    async def invert(request: Request) -> Response:
        """A file's bytes, with its name as `filename`; `class` is optional, `turn=false` leaves it as it lies."""
        holder, asked = served(request), request.query_params
        content, tools = await request.body(), inversions.tools(holder)
        if not content:
            raise UserError("the body is empty: send a file's bytes, and its name as ?filename=chair.stl.")
        if unknown := set(asked) - {"class", "filename", "turn"}:
            raise UserError(f"{min(unknown)[:40]!r} is not a known parameter: use class, filename, turn.")
        turn = asked.get("turn", "true")
        if turn not in ("true", "false"):
            raise UserError(f"turn is {turn[:40]!r}: send true or false.")
        return _json(
            await inversions.run(_invert, tools, content, asked.get("filename", ""), asked.get("class"), turn == "true")
        )

    @router.post("/complete", response_class=Response)
    @router.post("/models/{name}/complete", response_class=Response)
    async def complete(request: Request) -> Response:
        """Whole shapes around a part: what the mask covers stays, the rest is drawn."""
        holder = served(request)
        asked, tools = parse_body(CompleteRequest, await request.body()), inversions.tools(holder)
        return _json(await inversions.run(_complete, tools, asked))

    @router.get("/directions", response_class=Response)
    @router.get("/models/{name}/directions", response_class=Response)
    async def directions(request: Request) -> Response:
        """The directions of most variance, by what they change; `class` is optional where the model has one."""
        tools = inversions.tools(served(request))
        label = tools.model.sampler.label(request.query_params.get("class"))
        return _json(await inversions.run(_directions, tools, label))

    @router.post("/nearest", response_class=Response)
    @router.post("/models/{name}/nearest", response_class=Response)
    async def nearest(request: Request) -> Response:
        """The nearest training shape; needs the training shapes (`gan3d serve --data`)."""
        holder = served(request)
        asked, tools = parse_body(NearestRequest, await request.body()), inversions.tools(holder)
        return _json(await inversions.run(_nearest, tools, asked))

    return router


def _invert(tools: ModelTools, content: bytes, name: str, class_name: str | None, turn: bool) -> dict[str, Any]:
    inverter = tools.inverter()
    if class_name is not None:
        tools.model.sampler.label(class_name)  # raises before the file is read
    voxels = read_upload(content, name, inverter.resolution)
    found = inverter.invert(voxels, class_name, turn)
    return {
        "latent": encode_vector(found.latent),
        "class": found.class_name,
        "iou": found.iou,
        "chamfer_x1e3": found.chamfer_x1e3,
        "nearest": _nearest_or_none(tools, found.target, found.class_name),
        "known": found.known,
        "message": found.message,
        "voxels": bits(found.voxels),
        "input": bits(found.target),
    }


def _complete(tools: ModelTools, asked: CompleteRequest) -> dict[str, Any]:
    from gan3d.inversion.completion import complete

    inverter = tools.inverter()
    voxels, mask = (grid_of(name, getattr(asked, name), inverter.resolution) for name in ("voxels", "mask"))
    done = complete(inverter, voxels, mask, asked.class_name, asked.count, asked.seed)
    return {
        "class": done.class_name,
        "latents": [encode_vector(vector) for vector in done.latents],
        "voxels": [bits(shape) for shape in done.voxels],
        "iou": done.ious.tolist(),
    }


def _directions(tools: ModelTools, label: int) -> dict[str, Any]:
    found = tools.directions(label)
    return {
        "mean": encode_vector(found.mean),
        "directions": [
            {
                "name": each.name,
                "vector": encode_vector(each.vector),
                "low": each.low,
                "high": each.high,
                "share": each.share,
            }
            for each in found.directions
        ],
    }


def _nearest(tools: ModelTools, asked: NearestRequest) -> dict[str, Any]:
    sampler = tools.model.sampler
    class_name = sampler.classes[sampler.label(asked.class_name)]
    voxels = grid_of("voxels", asked.voxels, sampler.model.architecture.resolution)
    if not voxels.any():
        raise NothingGivenError("voxels is empty: send a shape.")
    found = tools.training().nearest(voxels, class_name)
    if found is None:
        raise NoTrainingDataError(f"the training shapes have none of the class {class_name}: name other data.")
    return _describe(found) | {"voxels": bits(found.voxels)}


def _nearest_or_none(tools: ModelTools, voxels: np.ndarray, class_name: str) -> dict[str, Any] | None:
    try:
        found = tools.training().nearest(voxels, class_name)
    except NoTrainingDataError:
        return None
    return None if found is None else _describe(found)


def _describe(found: Nearest) -> dict[str, Any]:
    return {"name": found.name, "iou": found.iou, "chamfer_x1e3": found.chamfer_x1e3}


def bits(voxels: np.ndarray) -> str:
    """Booleans (R, R, R) as base64 of their packed bits."""
    return base64.b64encode(pack_bits(voxels[None]).tobytes()).decode()


def grid_of(field: str, text: str, resolution: int) -> np.ndarray:
    """The inverse of `bits`.

    Raises:
        UserError: if the text is not such a grid; names the field.
    """
    size = resolution**3 // 8
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        raise UserError(f"{field} is not base64: send packed bits, encoded.") from None
    if len(content) != size:
        raise UserError(f"{field} has {len(content):,} bytes: a grid of {resolution}³ has {size:,}.")
    return unpack_bits(np.frombuffer(content, np.uint8)[None], resolution)[0]


def _json(answer: dict[str, Any]) -> Response:
    return Response(orjson.dumps(answer), media_type="application/json")


def _folder(holder: ModelHolder, model: ServedModel) -> Path | None:
    """Where the files of a served model lie."""
    from gan3d.registry.models import model_folder

    exact = f"models:/{model.version}" if holder.address.startswith("models:/") else holder.address
    try:
        return model_folder(exact, holder.mlruns)
    except UserError:
        return None
