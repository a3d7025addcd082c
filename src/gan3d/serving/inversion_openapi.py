"""The routes of inversion in the OpenAPI document, with the bounds of what a model accepts."""

from typing import Any

from gan3d.inversion.completion import LARGEST_COUNT
from gan3d.sampling.requests import SEED_LIMIT
from gan3d.serving.models import ServedModel
from gan3d.serving.vectors import bytes_pattern, vector_pattern

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
PROBLEM = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS = {
    400: "The request is invalid, or its file cannot be read; `detail` says why.",
    401: "A key is needed.",
    404: "The server has no training shapes of the model.",
    408: "The request did not arrive in time.",
    409: "The shape, or what is given of it, is empty.",
    413: "The body is too large and was not read.",
    415: "The body is compressed.",
    429: "Too many requests; the header Retry-After says when to retry.",
    501: "The server's engine cannot invert.",
    503: "Too many wait, the model is loading, or the server stops; the header Retry-After says when to retry.",
}


def inversion_paths(model: ServedModel, prefix: str, name: str) -> dict[str, Any]:
    """Paths below `prefix`, each with its operation, for one model.

    Args:
        model: served; its classes and sizes are the bounds.
        prefix: such as /models/NAME.
        name: of the model, for the operations' identifiers; empty for the routes without prefix.
    """
    architecture = model.sampler.model.architecture
    one_class = len(architecture.classes) == 1
    class_name = {"type": "string", "enum": list(architecture.classes)}
    latent = {"type": "string", "pattern": vector_pattern(architecture.latent)}
    grid = {
        "type": "string",
        "pattern": bytes_pattern(architecture.resolution**3 // 8),
        "description": "Bits of the grid (R, R, R) in C order, most significant first, in base64.",
    }
    known = {"name": TEXT, "iou": NUMBER, "chamfer_x1e3": NUMBER}
    seed = {"type": "integer", "minimum": 0, "maximum": SEED_LIMIT - 1, "default": 0}
    count = {"type": "integer", "minimum": 1, "maximum": LARGEST_COUNT, "default": 4}
    inverted = {
        **{"latent": latent, "class": class_name, "iou": NUMBER, "chamfer_x1e3": NUMBER, "known": {"type": "boolean"}},
        **{"nearest": {"anyOf": [_object(known), {"type": "null"}]}, "message": TEXT, "voxels": grid, "input": grid},
    }
    completed = {"class": class_name, "latents": _list(latent), "voxels": _list(grid), "iou": _list(NUMBER)}
    direction = {"name": TEXT, "vector": latent, "low": NUMBER, "high": NUMBER, "share": NUMBER}
    part = {"voxels": grid, "mask": grid | {"description": "Bits likewise, 1 where the voxel is given."}}
    best = _or_null(class_name, "Class; without it, the one that fits best.")
    own = _or_null(class_name, "Class; optional where the model has one.") if one_class else class_name
    operations = {
        "/invert": _operation(
            "Find the latent of a file's shape",
            inverted,
            (400, 401, 408, 413, 415, 429, 501, 503),
            parameters=[
                _query("filename", TEXT | {"minLength": 1}, required=True, description="Tells the format."),
                _query("class", class_name, description="Without it, the one that fits best."),
                _query(
                    "turn", {"type": "string", "enum": ["true", "false"]}, description="false: leave it as it lies."
                ),
            ],
            body=("application/octet-stream", TEXT | {"format": "binary", "minLength": 1}),
        ),
        "/complete": _operation(
            "Draw whole shapes around a part",
            completed,
            (400, 401, 408, 409, 413, 415, 429, 501, 503),
            body=("application/json", _object(part | {"class": best, "count": count, "seed": seed}, tuple(part))),
        ),
        "/directions": _operation(
            "The directions in which a class varies most",
            {"mean": latent, "directions": _list(_object(direction))},
            (400, 401, 429, 503),
            parameters=[_query("class", class_name, required=not one_class)],
        ),
        "/nearest": _operation(
            "The nearest training shape",
            known | {"voxels": grid},
            (400, 401, 404, 408, 409, 413, 415, 429, 503),
            body=(
                "application/json",
                _object({"voxels": grid, "class": own}, ("voxels",) if one_class else ("voxels", "class")),
            ),
        ),
    }
    end = f"_{name}" if name else ""
    return {
        prefix + path: {"get" if path == "/directions" else "post": each | {"operationId": f"{path[1:]}{end}"}}
        for path, each in operations.items()
    }


def _operation(
    summary: str,
    answer: dict[str, Any],
    problems: tuple[int, ...],
    parameters: list[dict[str, Any]] | None = None,
    body: tuple[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """An operation that answers with an object in JSON."""
    responses: dict[str, Any] = {
        str(status): {"description": PROBLEMS[status], "content": PROBLEM} for status in problems
    }
    content = {"application/json": {"schema": _object(answer)}}
    found: dict[str, Any] = {
        "summary": summary,
        "responses": {"200": {"description": "Found.", "content": content}} | responses,
    }
    if parameters:
        found["parameters"] = parameters
    if body:
        found["requestBody"] = {"required": True, "content": {body[0]: {"schema": body[1]}}}
    return found


def _query(name: str, schema: dict[str, Any], required: bool = False, description: str = "") -> dict[str, Any]:
    found = {"name": name, "in": "query", "required": required, "schema": schema}
    return found | ({"description": description} if description else {})


def _object(properties: dict[str, Any], required: tuple[str, ...] | None = None) -> dict[str, Any]:
    """An object of these properties alone; all are required unless some are named."""
    names = list(properties) if required is None else list(required)
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _or_null(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}], "description": description}
