"""The request as HTTP knows it: typed fields for the OpenAPI page, and one sentence for whatever is wrong with a body.

Types are checked here; what the numbers mean is checked where they are used, in `gan3d.sampling`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gan3d.sampling import requests

EXAMPLES: list[Any] = [
    {"class": "chair", "seed": 7, "output": "glb"},
    {"class": "chair", "count": 16, "seed": 7, "output": "png"},
    {"class": "chair", "seed": 3, "to": 8, "steps": 9, "truncation": 0.7, "output": "bits"},
]


class ShapesRequest(BaseModel):
    """Shapes of one class, by seed, by explicit latents, or on the way from one seed to another."""

    model_config = ConfigDict(strict=True, extra="forbid", title="Request", json_schema_extra={"examples": EXAMPLES})

    class_name: str | None = Field(None, alias="class", description="Class; not needed where the model has only one.")
    count: int | None = Field(None, description="How many shapes; 1, when neither latents nor steps say.")
    seed: int | None = Field(None, description="0 when not given; the same seed gives the same shapes.")
    # of a million wrong numbers the first is told: an error each would hold up everybody else
    latents: list[Annotated[list[float], Field(fail_fast=True)]] | None = Field(
        None, fail_fast=True, description="Explicit latent vectors, instead of a seed."
    )
    to: int | None = Field(None, description="Seed of the last shape of an interpolation, which begins at `seed`.")
    steps: int | None = Field(None, description=f"Shapes of an interpolation, ends included; {requests.STEPS}.")
    truncation: float | None = Field(
        None, description="1 for all the variety that there is, less for more typical shapes, 0 for the mean shape."
    )
    threshold: float | None = Field(None, description="Occupancy above which a voxel is occupied; the model's own.")
    output: Literal["grid", "bits", "stl", "obj", "ply", "glb", "png"] = Field(
        "grid",
        description="Nested lists; packed bits; meshes, in a zip archive where there are several; a picture of all.",
    )
    style: Literal["marching_cubes", "blocks"] = Field("marching_cubes", description="Surface of meshes.")

    def request(self) -> requests.Request:
        return requests.Request(self.class_name, self.count, self.seed, self.latents, self.to, self.steps)


class Grid(BaseModel):
    """The answer to output "grid"."""

    classes: list[str] = Field(description="The class of each shape.")
    voxels: list[list[list[list[int]]]] = Field(description="(n, R, R, R), 1 where occupied; axes x, y, z.")


class Problem(BaseModel):
    """What is wrong, in one sentence."""

    detail: str


def sentence(errors: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong with a body, from pydantic's list of errors."""
    error = errors[0]
    place = [str(part) for part in error["loc"] if part != "body"]
    if error["type"] == "json_invalid":
        return f"the body is not valid JSON: {error.get('ctx', {}).get('error', 'it cannot be read')}."
    if error["type"] == "extra_forbidden":
        return f"{place[0][:40]!r} is not known: choose among {', '.join(_names())}."
    if not place or error["type"] == "missing":
        return 'the body is no JSON object: send one, such as {"class": "chair"}, as application/json.'
    field = place[0] + "".join(f"[{part}]" for part in place[1:])
    return f"{field} is of the wrong kind: {error['msg'][0].lower()}{error['msg'][1:]}."


def _names() -> list[str]:
    return [field.alias or name for name, field in ShapesRequest.model_fields.items()]
