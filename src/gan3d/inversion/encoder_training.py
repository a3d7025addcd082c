"""Training of the encoder, on pairs of latents and shapes that the generator itself makes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gan3d.training.recipe import Recipe

if TYPE_CHECKING:
    from gan3d.inversion.encoder import Encoder
    from gan3d.sampling.sampler import Sampler

BATCH = 32
SHAPES = {4: 8192, 8: 8192, 16: 8192, 32: 8192, 64: 4096, 128: 1024}  # that are drawn, by resolution
EPOCHS = 8
RATE, LEAST = 0.015, 0.0005  # of Adam, from the first step to the last by a cosine
BETAS = Recipe(beta_1=0.9, beta_2=0.99)
CLASSES = 0.1  # weight of the classes' cross-entropy
CHUNK = 8  # steps between two reports
SEED = 2**32 + 21


def train_encoder(
    sampler: "Sampler",
    shapes: int | None = None,
    epochs: int = EPOCHS,
    seed: int = 0,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> "Encoder":
    """Train the encoder of a generator.

    Args:
        sampler: of the generator.
        shapes: to draw and learn from; None: by resolution.
        epochs: over these shapes.
        seed: of latents, initial weights and order.
        progress: told (work done, work in total, what happens), in shapes drawn or seen.

    Returns:
        The encoder.
    """
    from gan3d.backend import compile_steps
    from gan3d.inversion.encoder import Encoder
    from gan3d.networks.weights import get_weights, initialise_weights

    a = sampler.model.architecture
    count = BATCH * max(1, (SHAPES[a.resolution] if shapes is None else shapes) // BATCH)
    total = count * (1 + epochs)
    rng = np.random.default_rng([SEED, seed])
    latents = rng.standard_normal((count, a.latent), np.float32)
    labels = rng.integers(0, len(a.classes), count, dtype=np.int32)
    bits = _draw(sampler, latents, labels, lambda done: progress(done, total, "drawing shapes"))
    encoder = Encoder(a)
    initialise_weights(encoder, seed)
    values = list(get_weights(encoder).values())
    zeros = [np.zeros_like(value) for value in values]
    state: Any = {"weights": values, "moments": {"m": zeros, "v": [z.copy() for z in zeros], "t": np.float32(0)}}
    run = compile_steps(make_encoder_step(encoder), 1)
    order = np.concatenate([rng.permutation(count) for _ in range(epochs)]).reshape(-1, BATCH)
    turn = np.linspace(0, np.pi / 2, len(order))
    rates = (LEAST + (RATE - LEAST) * np.cos(turn) ** 2).astype(np.float32)
    for start in range(0, len(order), CHUNK):
        rows = order[start : start + CHUNK]
        batch = {
            "labels": labels[rows],
            "latents": latents[rows],
            "bits": bits[rows],
            "rate": rates[start : start + CHUNK],
        }
        state, logs = run(state, batch)
        cosine = float(np.asarray(logs["cosine"]).mean())
        progress(count + BATCH * min(start + CHUNK, len(order)), total, f"cosine {cosine:.2f}")
    for variable, value in zip(encoder.trainable_variables, state["weights"], strict=True):
        variable.assign(np.asarray(value))
    return encoder


def make_encoder_step(encoder: "Encoder") -> Callable:
    """Build `step(state, batch, penalised) -> (state, logs)` for `gan3d.backend.compile_steps`.

    The loss is 1 - the cosine between the true and the encoded latent, and the cross-entropy of the class.
    """
    from keras import ops

    from gan3d.backend import value_and_grad
    from gan3d.inversion.encoder import unit
    from gan3d.training.optimizer import adam
    from gan3d.training.step import unpack_on_device

    resolution = encoder.architecture.resolution

    def loss(weights: list, batch: dict) -> tuple:
        voxels = unpack_on_device(batch["bits"], resolution)
        encoded, logits = encoder.stateless_call(weights, [], voxels)[0]
        cosine = ops.mean(encoded * unit(batch["latents"]))  # of vectors of unit mean square
        entropy = ops.mean(ops.logsumexp(logits, axis=-1) - ops.sum(logits * one_hot(batch["labels"], logits), -1))
        return 1 - cosine + CLASSES * entropy, cosine

    def one_hot(labels: Any, logits: Any) -> Any:
        return ops.one_hot(labels, logits.shape[-1], dtype="float32")

    def step(state: dict, batch: dict, penalised: Any) -> tuple[dict, dict]:
        (_, cosine), gradients = value_and_grad(loss)(state["weights"], batch)
        weights, moments = adam(state["weights"], gradients, state["moments"], batch["rate"], BETAS)
        return {"weights": weights, "moments": moments}, {"cosine": cosine}

    return step


def _draw(sampler: "Sampler", latents: np.ndarray, labels: np.ndarray, progress: Callable[[int], None]) -> np.ndarray:
    """The shapes of latents as bits, uint8 (n, R³ / 8)."""
    from gan3d.voxels import pack_bits

    parts = []
    for start in range(0, len(latents), sampler.batch):
        part = slice(start, start + sampler.batch)
        parts.append(pack_bits(sampler.binary(sampler.finite_occupancy(latents[part], labels[part]))))
        progress(min(start + sampler.batch, len(latents)))
    return np.concatenate(parts)
