"""The HTTP request: typed fields for the OpenAPI page, and one sentence for any invalid body.

Types are checked here; the values are checked where they are used, in `gan3d.sampling`. What a model accepts is
described by `gan3d.serving.openapi`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gan3d.errors import UserError
from gan3d.sampling import requests
from gan3d.sampling.paths import PATHS
from gan3d.sampling.paths import PathName as Path
from gan3d.serving.vectors import decode_vector
from gan3d.shape_io.formats import OUTPUTS, STYLES, Style, check_printed, output_format
from gan3d.shape_io.print_settings import BASE, LARGEST, SMALLEST, THINNEST, PrintSettings

if TYPE_CHECKING:
    Output = str
else:
    Output = Literal[tuple(OUTPUTS)]


def _whole(value: Any) -> Any:
    """3.0 as 3: to JSON Schema, both are integers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _decoded(value: Any) -> Any:
    return decode_vector(value) if isinstance(value, str) else value


Integer = Annotated[int, BeforeValidator(_whole)]
# fail_fast: a million invalid numbers would otherwise become a million errors and block the server
Vector = Annotated[list[float], Field(fail_fast=True), BeforeValidator(_decoded)]

Body = TypeVar("Body", bound=BaseModel)
EXAMPLES: list[Any] = [
    {"class": "chair", "seed": 7, "output": "glb"},
    {"class": "chair", "count": 16, "seed": 7, "output": "png"},
    {"class": "chair", "seed": 3, "to": 8, "steps": 9, "truncation": 0.7, "output": "bits"},
]


class Printable(BaseModel):
    """A body to print, in millimetres."""

    model_config = ConfigDict(strict=True, extra="forbid")

    size: float = Field(
        100.0,
        description="Longest edge of the body in mm.",
        json_schema_extra={"minimum": SMALLEST, "maximum": LARGEST},
    )
    up: Literal["x", "y", "z"] = Field("z", description="The axis of the file that points up.")
    hollow: float | None = Field(
        None,
        description="Thickness of the walls of a hollow body in mm.",
        json_schema_extra={"minimum": THINNEST, "maximum": LARGEST},
    )
    base: bool = Field(False, description=f"Whether it stands on a plate, {BASE:g} mm thick or more.")
    drop: float = Field(
        0.0,
        description="Loose pieces below this share of the shape are left out; bridges join the others.",
        json_schema_extra={"minimum": 0, "maximum": 1},
    )


class ShapesRequest(BaseModel):
    """Shapes of one class, by seed, by explicit latents, or interpolated between two seeds."""

    model_config = ConfigDict(strict=True, extra="forbid", title="Request", json_schema_extra={"examples": EXAMPLES})

    class_name: str | None = Field(None, alias="class", description="Class; optional where the model has only one.")
    count: Integer | None = Field(None, description="Number of shapes; 1 unless latents or steps set it.")
    seed: Integer | None = Field(None, description="Default 0; the same seed gives the same shapes.")
    latents: list[Vector] | None = Field(
        None,
        fail_fast=True,
        description="Explicit latent vectors, instead of a seed: numbers, or base64 of little-endian float32.",
    )
    to: Integer | None = Field(None, description="Seed of the last shape of an interpolation that starts at `seed`.")
    steps: Integer | None = Field(
        None, description=f"Shapes of an interpolation, ends included; default {requests.STEPS}."
    )
    path: Path | None = Field(None, description=f"Of an interpolation; default {PATHS[0]}.")
    truncation: float | None = Field(
        None, description="From 1, full variety, to 0, the mean shape of the class; default 1."
    )
    threshold: float | None = Field(
        None, description="Occupancy above which a voxel is occupied; default: the model's threshold."
    )
    output: Output = Field(
        "grid",
        description="Nested lists; packed bits; meshes, in a zip archive if there are several; one picture of all.",
    )
    style: Style = Field(STYLES[0], description="Surface of meshes.")
    printable: Printable | None = Field(None, description="A body to print, as stl or 3mf, checked to be one piece.")

    def to_request(self) -> requests.Request:
        return requests.Request(self.class_name, self.count, self.seed, self.latents, self.to, self.steps, self.path)

    def print_settings(self) -> PrintSettings | None:
        return PrintSettings(**self.printable.model_dump()) if self.printable else None


class Grid(BaseModel):
    """The response to output "grid"."""

    classes: list[str] = Field(description="The class of each shape.")
    voxels: list[list[list[list[int]]]] = Field(description="(n, R, R, R), 1 where occupied; axes x, y, z.")


class Problem(BaseModel):
    """What is wrong, in one sentence."""

    detail: str


def parse_request(body: bytes) -> ShapesRequest:
    """Read the body of a request.

    Raises:
        UserError: one sentence that says what is wrong with it.
    """
    asked = parse_body(ShapesRequest, body)
    if asked.count is not None and (asked.latents is not None or asked.to is not None):
        raise UserError("count is given together with latents or `to`: leave count out.")
    if settings := asked.print_settings():
        check_printed(output_format(asked.output))
        settings.check()
    return asked


def parse_body(kind: type[Body], body: bytes) -> Body:
    """Read a body in JSON as a model of pydantic.

    Raises:
        UserError: one sentence that says what is wrong with it.
    """
    try:
        return kind.model_validate_json(body or b"null")
    except ValidationError as error:
        names = [field.alias or name for name, field in kind.model_fields.items()]
        raise UserError(describe_error(error.errors(include_url=False, include_input=False), names)) from None


def describe_error(errors: Sequence[Mapping[str, Any]], names: Sequence[str] | None = None) -> str:
    """One sentence for the first of pydantic's errors about a body, whose fields have `names`."""
    error = errors[0]
    location = [str(part) for part in error["loc"] if part not in ("body", "query")]
    if error["type"] == "json_invalid":
        return f"the body is not valid JSON: {error.get('ctx', {}).get('error', 'it cannot be read')}."
    if error["type"] == "extra_forbidden":
        return f"{location[0][:40]!r} is not a known field: use {', '.join(names or _field_names())}."
    if location and error["type"] == "missing":
        return f"{location[0]} is missing: a body has the fields {', '.join(names or _field_names())}."
    if not location or error["type"] in ("missing", "model_type"):
        return 'the body is not a JSON object: send one, such as {"class": "chair"}, as application/json.'
    field = location[0] + "".join(f"[{part}]" for part in location[1:])
    if error["type"] == "value_error":
        return f"{field} {error['ctx']['error']}."
    return f"{field} has the wrong type: {error['msg'][0].lower()}{error['msg'][1:]}."


def _field_names() -> list[str]:
    return [field.alias or name for name, field in ShapesRequest.model_fields.items()]
