"""The Open Inference Protocol (V2 over REST), which clients of KServe and Triton speak; tensors are JSON or binary.

A model takes one shape per row: `seed` INT64 (n) or `latents` FP32 (n, latent), and `class` BYTES (n), which may be
left out where there is one class. It returns `voxels` UINT8 (n, R, R, R), and `occupancy` FP32 of the same shape if
asked. The parameters are `truncation` and `threshold`.
https://github.com/kserve/open-inference-protocol
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import numpy as np
import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gan3d import __version__
from gan3d.errors import UserError
from gan3d.sampling import requests
from gan3d.serving.binary_tensors import HEADER, decode, join, split_body, split_tensors
from gan3d.serving.models import Models, ServedModel
from gan3d.shape_io.formats import max_shapes

Draw = Callable[..., Awaitable[tuple[bytes, dict[str, str]]]]
DATATYPES = {"seed": "INT64", "class": "BYTES", "latents": "FP32"}
OUTPUTS = {"voxels": "UINT8", "occupancy": "FP32"}


class TensorParameters(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    binary_data_size: int | None = None


class Tensor(BaseModel):
    """An input: its data as a flat or nested list, or behind the JSON."""

    model_config = ConfigDict(strict=True)

    name: Literal["seed", "class", "latents"]
    shape: list[int] = Field(min_length=1, max_length=2)
    datatype: str
    data: list[Any] | None = None
    parameters: TensorParameters = TensorParameters()


class Parameters(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    truncation: float | None = None
    threshold: float | None = None
    binary_data_output: bool = False  # for outputs that do not say it themselves


class WantedParameters(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    binary_data: bool | None = None


class Wanted(BaseModel):
    """An output that is asked for."""

    name: Literal["voxels", "occupancy"]
    parameters: WantedParameters = WantedParameters()


class Inference(BaseModel):
    """A request of the protocol."""

    model_config = ConfigDict(strict=True)

    id: str = Field("", max_length=200)
    parameters: Parameters = Parameters()
    inputs: list[Tensor] = Field(min_length=1, max_length=3)
    outputs: list[Wanted] = Field(default_factory=lambda: [Wanted(name="voxels")], min_length=1, max_length=2)

    def is_binary(self, output: Wanted) -> bool:
        """Whether an output is sent behind the JSON."""
        own = output.parameters.binary_data
        return self.parameters.binary_data_output if own is None else own


def inference_routes(models: Models, draw: Draw) -> APIRouter:
    """The routes of the protocol.

    Args:
        models: served.
        draw: draws a plan; called with the HTTP request, the model, the plan, what to keep and how to encode it.
    """
    router = APIRouter(prefix="/v2", include_in_schema=False)

    @router.get("")
    async def server() -> dict[str, Any]:
        return {"name": "gan3d", "version": __version__, "extensions": ["binary_tensor_data"]}

    @router.get("/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @router.get("/health/ready")
    async def ready() -> Response:
        return _ready(models.ready)

    @router.get("/models/{name}/ready")
    @router.get("/models/{name}/versions/{version}/ready")
    async def model_ready(name: str, version: str | None = None) -> Response:
        holder = models.get(name)
        known = holder is not None and holder.loaded is not None
        return _ready(known and (version is None or version == _version(models[name].current)))

    @router.get("/models/{name}")
    @router.get("/models/{name}/versions/{version}")
    async def metadata(name: str, version: str | None = None) -> dict[str, Any]:
        model = _find(models, name, version)
        architecture = model.sampler.model.architecture
        shapes = {"seed": [-1], "class": [-1], "latents": [-1, architecture.latent]}
        return {
            "name": name,
            "versions": [_version(model)],
            "platform": f"gan3d_{model.engine}",
            "inputs": [{"name": each, "datatype": DATATYPES[each], "shape": shapes[each]} for each in DATATYPES],
            "outputs": [
                {"name": each, "datatype": datatype, "shape": [-1, *(architecture.resolution,) * 3]}
                for each, datatype in OUTPUTS.items()
            ],
        }

    @router.post("/models/{name}/infer")
    @router.post("/models/{name}/versions/{version}/infer")
    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        model = _find(models, name, version)
        asked = parse_inference(await request.body(), request.headers.get(HEADER))
        plan = requests.plan_shapes(
            model.sampler,
            to_requests(asked),
            asked.parameters.truncation,
            asked.parameters.threshold,
            max_shapes("grid", model.sampler.model.architecture.resolution),
        )
        wanted = [each.name for each in asked.outputs]
        keep = (
            (lambda occupancy: occupancy) if "occupancy" in wanted else (lambda occupancy: occupancy > plan.threshold)
        )

        binary = [asked.is_binary(each) for each in asked.outputs]

        def encode(parts: Sequence[np.ndarray]) -> tuple[bytes, dict[str, str]]:
            outputs = [_tensor(each, np.concatenate(parts), plan.threshold) for each in wanted]
            answer = {"model_name": name, "model_version": _version(model), "id": asked.id, "outputs": outputs}
            return join(answer, binary)

        content, headers = await draw(request, model, plan, keep, encode)
        return Response(content, headers=headers)

    return router


def parse_inference(body: bytes, length: str | None = None) -> Inference:
    """Read a request, and the tensors behind its JSON into their `data`; raises UserError with one sentence.

    Args:
        body: of the HTTP request.
        length: of the JSON at its start; None: it is nothing else.
    """
    head, tail = split_body(body, length)
    try:
        asked = Inference.model_validate_json(head or b"null")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"]) or "the body"
        raise UserError(f"{where} is wrong: {first['msg'][0].lower()}{first['msg'][1:]}.") from None
    for tensor in asked.inputs:
        if (tensor.data is None) == (tensor.parameters.binary_data_size is None):
            raise UserError(f"{tensor.name} needs its data, either as a list or behind the JSON: give one of them.")
    behind = [tensor for tensor in asked.inputs if tensor.data is None]
    contents = split_tensors(tail, [tensor.parameters.binary_data_size or 0 for tensor in behind])
    for tensor, content in zip(behind, contents, strict=True):
        tensor.data = decode(content, tensor.datatype, tensor.name)
    return asked


def to_requests(asked: Inference) -> list[requests.Request]:
    """One request per row.

    Raises:
        UserError: when tensors contradict each other, their type or their shape.
    """
    given = {tensor.name: _values(tensor) for tensor in asked.inputs}
    if len(given) < len(asked.inputs):
        raise UserError("an input is given twice: give each tensor once.")
    if ("seed" in given) == ("latents" in given):
        raise UserError("give either the input `seed` or the input `latents`.")
    rows = {name: len(values) for name, values in given.items()}
    if len(set(rows.values())) > 1:
        raise UserError(f"the inputs have different numbers of rows ({rows}): give one value per shape.")
    count = next(iter(rows.values()))
    classes = given.get("class", [None] * count)
    if "seed" in given:
        return [requests.Request(name, seed=seed) for name, seed in zip(classes, given["seed"], strict=True)]
    return [requests.Request(name, vectors=[row]) for name, row in zip(classes, given["latents"], strict=True)]


def _values(tensor: Tensor) -> list[Any]:
    """The rows of a tensor."""
    expected = DATATYPES[tensor.name]
    if tensor.datatype != expected:
        raise UserError(f"{tensor.name} has the datatype {tensor.datatype[:40]!r}: send {expected}.")
    kinds: tuple[type, ...] = {"seed": (int,), "class": (str,), "latents": (int, float)}[tensor.name]
    flat = [one for row in tensor.data or [] for one in (row if isinstance(row, list) else [row])]
    if not all(type(one) in kinds for one in flat):
        raise UserError(f"{tensor.name} has data of another type than {expected}: check its values.")
    dimensions = 2 if tensor.name == "latents" else 1
    if len(tensor.shape) != dimensions or min(tensor.shape) < 1 or int(np.prod(tensor.shape, dtype=float)) != len(flat):
        raise UserError(f"the data of {tensor.name} does not fill its shape: check both.")
    if dimensions == 1:
        return flat
    width = tensor.shape[1]
    return [flat[start : start + width] for start in range(0, len(flat), width)]


def _tensor(name: str, kept: np.ndarray, threshold: float) -> dict[str, Any]:
    voxels = kept if kept.dtype == bool else kept > threshold
    data = kept.ravel() if name == "occupancy" else voxels.view(np.uint8).ravel()
    return {"name": name, "datatype": OUTPUTS[name], "shape": list(kept.shape), "data": data}


def _find(models: Models, name: str, version: str | None) -> ServedModel:
    if name not in models:
        raise UnknownModelError(f"model {name[:40]!r} is not served: choose one of {', '.join(models)}.")
    model = models[name].current
    if version not in (None, _version(model)):
        raise UnknownModelError(f"version {version[:40]!r} of {name} is not served, but {_version(model)}.")
    return model


class UnknownModelError(Exception):
    """No model of this name or version is served."""


def _version(model: ServedModel) -> str:
    """The number of a registered version; 1 for a folder."""
    _, _, number = model.version.rpartition("/")
    return number if number.isdigit() else "1"


def _ready(ready: bool) -> Response:
    return Response(orjson.dumps({"ready": ready}), 200 if ready else 503, media_type="application/json")
