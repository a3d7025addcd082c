"""The latent vectors of a seed over HTTP: clients walk between them, and ask for the shapes of what they find."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query

from gan3d.sampling.latents import draw_latents
from gan3d.sampling.requests import SEED_LIMIT
from gan3d.serving.models import ModelHolder, Models
from gan3d.serving.schema import Problem
from gan3d.serving.vectors import encode_vector

Seed = Annotated[int, Query(ge=0, lt=SEED_LIMIT)]
Count = Annotated[int, Query(ge=1, le=1024)]
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request is invalid; `detail` says why.", "model": Problem},
    401: {"description": "A key is needed.", "model": Problem},
    429: {"description": "Too many requests; the header Retry-After says when to retry.", "model": Problem},
    503: {"description": "The model is loading; the header Retry-After says when to retry.", "model": Problem},
}


def latents_routes(models: Models, find: Callable[[str], ModelHolder]) -> APIRouter:
    """`GET /latents` of the first model, and of each model by name.

    Args:
        find: the holder of a model's name.
    """
    router = APIRouter()

    def answer(holder: ModelHolder, seed: int, count: int) -> dict[str, list[str]]:
        drawn = draw_latents(seed, count, holder.current.sampler.model.architecture.latent)
        return {"latents": [encode_vector(vector) for vector in drawn]}

    @router.get("/latents", summary="The latents of a seed", responses=PROBLEMS)
    async def latents(seed: Seed = 0, count: Count = 1) -> dict[str, list[str]]:
        """The vectors that `POST /shapes` draws for a seed, of any class, as base64 of little-endian float32."""
        return answer(models.first, seed, count)

    @router.get("/models/{name}/latents", responses=PROBLEMS)
    async def latents_of(name: str, seed: Seed = 0, count: Count = 1) -> dict[str, list[str]]:
        """The vectors that `POST /shapes` draws for a seed, of any class, as base64 of little-endian float32."""
        return answer(find(name), seed, count)

    return router
