"""Train the denoiser: restore real shapes that were corrupted the way generated ones are.

Each voxel of an edge is generated on its own, so that edges come out ragged. A network that has learnt to restore
ragged copies of real shapes decides for all voxels of an edge together (a denoising autoencoder: Vincent et al. 2010;
after a generator: Nguyen et al. 2017). It sees no generated shape.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from gan3d.array_archive import ArrayType, read_arrays
from gan3d.backend import compile_steps, fits, rank, value_and_grad
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.networks.architecture import Architecture
from gan3d.networks.denoiser import Denoiser
from gan3d.networks.layers import Tensor
from gan3d.networks.weights import get_weights, initialise_weights
from gan3d.outputs import new_file
from gan3d.training import batches
from gan3d.training.noise import logistic_noise, uniform_noise
from gan3d.training.optimizer import adam, first_moments
from gan3d.training.recipe import Recipe
from gan3d.training.step import preprocess_real

RATE = 0.01  # Adam's, until half of the images are seen; then it falls linearly to 0
MOMENTS = (0.9, 0.99)
CHUNK = 64  # steps between two reports
CELLS = (1, 2, 4)  # edges of the cubes of voxels that are shifted together
SHIFTED = 0.6  # probability that cells of a size are shifted at all
MAX_SHIFTED = 0.2  # of these cells, the largest share that is shifted, by one voxel
MAX_FLIPPED = 0.075  # largest share of voxels at the surface that are flipped
BOXES, MAX_BOX = 3, 3  # boxes that are filled or emptied, each with probability ½; their longest edge
CONFIDENCE = (2.0, 8.0)  # range of the corrupted voxels' logits
NOISE = 0.5  # scale of the logistic noise on these

Report = Callable[[int, float], Any]


def ignore(images: int, loss: float) -> None:
    """A report that goes nowhere."""


def train_denoiser(
    data: VoxelDataset,
    architecture: Architecture,
    recipe: Recipe,
    images: int,
    folder: Path,
    report: Report = ignore,
) -> dict[str, np.ndarray]:
    """The weights of a denoiser for shapes of a resolution, by name, trained on the split "train".

    Args:
        recipe: of the stage, for its batch, seed and mirror axes.
        images: real shapes to see.
        folder: of the stage's checkpoints; a denoiser that is kept there is returned without training.
        report: told the images seen and the mean cross-entropy per voxel, every CHUNK steps.
    """
    denoiser = Denoiser(architecture)
    recipe = replace(recipe, batch=max(1, recipe.batch // 2))  # it gains more from steps than from large batches
    path = folder / f"denoiser-{images}.npz"
    expected = {name: ArrayType(tuple(v.shape), ("<f4",)) for name, v in get_weights(denoiser).items()}
    if path.is_file():
        try:
            return read_arrays(path, expected, "")
        except UserError:
            pass  # damaged: trained again
    initialise_weights(denoiser, recipe.seed)
    rows = data.select("train")
    packed = data.packed(architecture.resolution)
    resident = fits(packed[:1].nbytes * len(rows))
    run = compile_steps(make_step(denoiser, recipe), 1, np.asarray(packed[rows]) if resident else None)
    values = list(get_weights(denoiser).values())
    state = {"denoiser": values, "adam": first_moments(values)}
    for seen in range(0, images, CHUNK * recipe.batch):
        batch = draw(None if resident else packed, data, rows, seen, CHUNK, recipe, images)
        state, logs = run(state, batch)
        report(min(seen + CHUNK * recipe.batch, images), float(np.mean(logs["loss"])))
    weights = dict(zip(expected, (np.asarray(value) for value in state["denoiser"]), strict=True))
    if rank() == 0:
        with new_file(path) as temporary:
            np.savez(temporary, **weights)  # type: ignore[arg-type]
    return weights


def draw(
    packed: Any, data: VoxelDataset, rows: np.ndarray, seen: int, steps: int, recipe: Recipe, images: int
) -> dict[str, np.ndarray]:
    """Batches of `steps` steps after `seen` images: bits or rows, labels, flip, and the scalars noise and rate."""
    size = recipe.batch
    chosen = batches.shuffled(len(rows), seen, steps * size, recipe.seed)
    rng = np.random.default_rng([recipe.seed, 4, seen])
    mirrored = data.mirrored(recipe.mirror)[rows][chosen].reshape(steps, size)
    progress = (seen + size * np.arange(steps)) / images
    return {
        **batches.select_shapes(packed, rows, chosen, (steps, size)),
        "labels": data.labels[rows][chosen].reshape(steps, size),
        "flip": np.where(rng.random((steps, size)) < 0.5, mirrored, 0),
        "noise": rng.integers(2**32, size=steps, dtype=np.uint32),
        "rate": (RATE * np.clip(2 - 2 * progress, 0, 1)).astype(np.float32),
    }


def make_step(denoiser: keras.Model, recipe: Recipe) -> Callable:
    """Build `step(state, batch, penalised) -> (state, logs)`; nothing is penalised."""
    resolution = denoiser.architecture.resolution
    optimizer = Recipe(beta_1=MOMENTS[0], beta_2=MOMENTS[1])

    def loss(weights: list, corrupted: Tensor, real: Tensor) -> tuple[Tensor, None]:
        logits = denoiser.stateless_call(weights, [], corrupted)[0]
        return ops.mean(ops.softplus(logits) - logits * real), None

    def step(state: dict, batch: dict, penalised: bool) -> tuple[dict, dict]:
        real = preprocess_real(batch["bits"], resolution, batch["flip"], 1.0)
        (value, _), gradients = value_and_grad(loss)(state["denoiser"], corrupt(real, batch["noise"]), real)
        weights, moments = adam(state["denoiser"], gradients, state["adam"], batch["rate"], optimizer)
        return {"denoiser": weights, "adam": moments}, {"loss": value}

    return step


def corrupt(shapes: Tensor, seed: Tensor) -> Tensor:
    """Ragged, noisy and damaged copies of shapes, as occupancy in (0, 1).

    Args:
        shapes: 0 or 1, float32 (B, R, R, R, 1).
        seed: a scalar, uint32, which alone determines the corruption.
    """
    size, side = shapes.shape[:2]
    seeds = (seed + ops.cast(np.uint32(7919 * i), "uint32") for i in range(1, 100))

    def uniform(*shape: int) -> Tensor:
        return uniform_noise(next(seeds), (size, *shape))

    for cell in CELLS:
        if cell < side:
            share = MAX_SHIFTED * uniform(1, 1, 1, 1) * ops.cast(uniform(1, 1, 1, 1) < SHIFTED, "float32")
            count = side // cell
            offsets = ops.floor(3 * uniform(count, count, count, 3)) - 1
            offsets = offsets * ops.cast(uniform(count, count, count, 1) < share, "float32")
            shapes = shift_voxels(shapes, ops.cast(offsets, "int32"), cell)
    at_surface = dilate(shapes) * dilate(1 - shapes)
    flipped = ops.cast(uniform(side, side, side, 1) < MAX_FLIPPED * uniform(1, 1, 1, 1), "float32") * at_surface
    shapes = shapes + flipped * (1 - 2 * shapes)
    for _ in range(BOXES):
        shapes = fill_box(shapes, uniform(8))
    low, high = CONFIDENCE
    logits = (low + (high - low) * uniform(1, 1, 1, 1)) * (2 * shapes - 1)
    return ops.sigmoid(logits + NOISE * logistic_noise(next(seeds), (size, side, side, side, 1)))


def shift_voxels(shapes: Tensor, offsets: Tensor, cell: int) -> Tensor:
    """Each voxel takes the value of the one at its cell's offset, int32 (B, R / cell, R / cell, R / cell, 3)."""
    size, side = shapes.shape[:2]
    for axis in (1, 2, 3):
        offsets = ops.repeat(offsets, cell, axis)
    places = np.stack(np.meshgrid(*[np.arange(side, dtype=np.int32)] * 3, indexing="ij"), -1)
    source = ops.clip(offsets + places, 0, side - 1)
    index = (source[..., 0] * side + source[..., 1]) * side + source[..., 2]
    moved = ops.take_along_axis(ops.reshape(shapes, (size, -1)), ops.reshape(index, (size, -1)), axis=1)
    return ops.reshape(moved, (size, side, side, side, 1))


def dilate(shapes: Tensor) -> Tensor:
    """The maximum over each voxel's 3³ neighbourhood."""
    return ops.max_pool(shapes, 3, 1, "same", data_format="channels_last")


def fill_box(shapes: Tensor, numbers: Tensor) -> Tensor:
    """Fill or empty a small box, with probability ½; numbers: eight of each shape in [0, 1), (B, 8)."""
    side = shapes.shape[1]
    edge = 1 + ops.floor(MAX_BOX * numbers[:, :3])
    first = ops.floor((side - 1) * numbers[:, 3:6])
    places = ops.convert_to_tensor(np.arange(side, dtype=np.float32))
    inside = ops.logical_and(places >= first[..., None], places < (first + edge)[..., None])
    box = ops.cast(numbers[:, 6] < 0.5, "float32")[:, None, None, None]
    for axis, shape in enumerate(((-1, side, 1, 1), (-1, 1, side, 1), (-1, 1, 1, side))):
        box = box * ops.cast(ops.reshape(inside[:, axis], shape), "float32")
    value = ops.cast(numbers[:, 7] < 0.5, "float32")[:, None, None, None]
    return shapes + box[..., None] * (value[..., None] - shapes)
