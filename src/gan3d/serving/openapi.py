"""The OpenAPI document: one route per model, with the bounds of what that model accepts."""

from typing import Any

from gan3d.sampling.paths import PATHS
from gan3d.sampling.requests import SEED_LIMIT
from gan3d.serving.inversion_openapi import inversion_paths
from gan3d.serving.models import Models, ServedModel
from gan3d.serving.schema import ShapesRequest
from gan3d.serving.vectors import vector_pattern
from gan3d.shape_io.formats import ARCHIVE, OUTPUTS, max_shapes

LATENT_BOUND = 1e15  # of a latent's numbers: squares stay finite in float32
NOTHING = {"type": "null"}
BINARY = {"schema": {"type": "string", "format": "binary"}}


def request_schema(model: ServedModel) -> dict[str, Any]:
    """JSON schema of the requests that a model accepts.

    The fields are described once; `anyOf` are the forms of a request: by seed, by latents, and interpolated, each for
    arrays and for meshes and pictures, of which fewer fit into a response.
    """
    schema = ShapesRequest.model_json_schema(by_alias=True)
    architecture = model.sampler.model.architecture
    fields = schema["properties"]
    classes = {"type": "string", "enum": list(architecture.classes)}
    seed = {"type": "integer", "minimum": 0, "maximum": SEED_LIMIT - 1}
    number = {"type": "number", "exclusiveMinimum": -LATENT_BOUND, "exclusiveMaximum": LATENT_BOUND}
    fraction = {"type": "number", "minimum": 0, "maximum": 1}
    numbers = {"type": "array", "items": number, "minItems": architecture.latent, "maxItems": architecture.latent}
    vector = {"anyOf": [numbers, {"type": "string", "pattern": vector_pattern(architecture.latent)}]}
    path = {"type": "string", "enum": list(PATHS)}
    one_class = len(architecture.classes) == 1
    forms = []
    for names in _output_groups(architecture.resolution):
        limit = max_shapes(names[0], architecture.resolution)
        count = {"type": "integer", "minimum": 1, "maximum": limit}
        steps = {"type": "integer", "minimum": 2, "maximum": limit}
        latents = {"type": "array", "items": vector, "minItems": 1, "maxItems": limit}
        kinds: list[tuple[dict[str, Any], tuple[str, ...]]] = [
            ({"count": count, "seed": seed}, ()),
            ({"latents": latents}, ("latents",)),
            ({"seed": seed, "to": seed, "steps": steps, "path": path}, ("to",)),
        ]
        for form, required in kinds:
            properties = {name: form.get(name) for name in fields}
            properties |= {"class": classes, "truncation": fraction, "threshold": fraction}
            properties = {
                name: NOTHING if given is None else given if name in required else _optional(given)
                for name, given in properties.items()
            }
            if not one_class:
                properties["class"] = classes
            properties |= {"output": {"type": "string", "enum": names}, "style": fields["style"]}
            if OUTPUTS[names[0]].printed:
                properties["printable"] = fields["printable"]
            needed = [*required, *([] if one_class else ["class"]), *([] if "grid" in names else ["output"])]
            if limit >= 2 or "to" not in required:
                forms.append(
                    {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}
                )
    for form in fields["latents"]["anyOf"]:
        if form["type"] == "array":
            form["items"] = {"anyOf": [form["items"], {"type": "string"}]}
    fields["class"] |= {"examples": list(architecture.classes)[:2]}
    example = next(iter(architecture.classes))
    examples = [one | {"class": example} for one in schema["examples"]]
    return schema | {"anyOf": forms, "examples": examples}


def describe_api(document: dict[str, Any], models: Models, secured: bool) -> dict[str, Any]:
    """Complete FastAPI's document: what each model accepts, its own route if there are several, and keys."""
    paths = document["paths"]
    template = paths.pop("/models/{name}/shapes")["post"]
    descriptions = {
        "": (paths.pop("/models/{name}")["get"], "The model"),
        "/latents": (paths.pop("/models/{name}/latents")["get"], "The latents of a seed for"),
    }
    for name, holder in models.items():
        if holder.loaded is None:
            continue
        schema = request_schema(holder.loaded)
        routes = [("/shapes", paths["/shapes"]["post"])] if holder is models.first else []
        if len(models) > 1:
            own = template | {"operationId": f"shapes_{name}", "summary": f"Sample shapes from {name}"}
            routes.append((f"/models/{name}/shapes", own))
            for path, (description, summary) in descriptions.items():
                about = description | {"operationId": f"{path[1:] or 'model'}_{name}", "summary": f"{summary} {name}"}
                parameters = [one for one in about.pop("parameters", []) if one["in"] != "path"]
                paths[f"/models/{name}{path}"] = {"get": about | ({"parameters": parameters} if parameters else {})}
        for path, operation in routes:
            operation = {key: value for key, value in operation.items() if key != "parameters"}
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
            paths[path] = {"post": operation}
        if holder is models.first:
            paths |= inversion_paths(holder.loaded, "", "")
        if len(models) > 1:
            paths |= inversion_paths(holder.loaded, f"/models/{name}", name)
    if secured:
        document.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
    return document


def media_types() -> dict[str, Any]:
    """The media types of binary answers."""
    found = dict.fromkeys([each.media_type for name, each in OUTPUTS.items() if name != "grid"] + [ARCHIVE])
    return dict.fromkeys(found, BINARY)


def _output_groups(resolution: int) -> list[list[str]]:
    """Outputs with the same limit of shapes that may be printed, or not; "grid", the default, first."""
    groups: dict[tuple[int, bool], list[str]] = {}
    for name, each in OUTPUTS.items():
        groups.setdefault((max_shapes(name, resolution), each.printed), []).append(name)
    return list(groups.values())


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, NOTHING]}
