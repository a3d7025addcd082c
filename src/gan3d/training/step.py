"""One training step as a pure function: state and batch in, state and logs out."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from gan3d.backend import value_and_grad, vjp
from gan3d.networks.layers import Tensor, blend
from gan3d.training import augment as augmentation
from gan3d.training.losses import LOSSES, interleave
from gan3d.training.noise import logistic_noise
from gan3d.training.optimizer import adam, first_moments
from gan3d.training.recipe import Recipe

State = dict[str, Any]


def first_state(generator: keras.Model, discriminator: keras.Model, augment: float | None = None) -> State:
    """The initial state of a stage, NumPy arrays: weights, the generator's EMA, Adam's moments and step count.

    `augment` is the initial probability of an adapted augmentation, which is then part of the state.
    """

    def values(model: keras.Model) -> list[np.ndarray]:
        return [ops.convert_to_numpy(variable) for variable in model.trainable_variables]

    state = {
        "generator": values(generator),
        "ema": values(generator),
        "discriminator": values(discriminator),
        "adam_g": first_moments(values(generator)),
        "adam_d": first_moments(values(discriminator)),
    }
    return state if augment is None else state | {"augment": np.float32(augment)}


def unpack_on_device(bits: Tensor, resolution: int) -> Tensor:
    """`gan3d.voxels.unpack` on the device: uint8 (B, R³ / 8) to float32 (B, R, R, R, 1)."""
    shifts = ops.convert_to_tensor(np.arange(7, -1, -1, dtype=np.int32))
    bits = ops.bitwise_and(ops.right_shift(ops.cast(bits[..., None], "int32"), shifts), 1)
    return ops.cast(ops.reshape(bits, (-1, resolution, resolution, resolution, 1)), "float32")


def preprocess_real(bits: Tensor, resolution: int, flip: Tensor, alpha: Tensor) -> Tensor:
    """Real shapes as D sees them: flipped along axis 1, 2 or 3 as `flip` says (0: not at all), faded in.

    During fade-in they are blended with their max-pooled version, upsampled again, as fakes are.
    """
    real = unpack_on_device(bits, resolution)
    for axis in (1, 2, 3):
        real = ops.where(ops.reshape(flip == axis, (-1, 1, 1, 1, 1)), ops.flip(real, axis), real)
    if resolution == 4:
        return real
    coarse = ops.max_pool(real, 2, 2, data_format="channels_last")
    for axis in (1, 2, 3):
        coarse = ops.repeat(coarse, 2, axis)
    return blend(coarse, real, alpha)


def make_step(
    generator: keras.Model, discriminator: keras.Model, recipe: Recipe, held_out: np.ndarray | None = None
) -> Callable:
    """Build `step(state, batch, penalised) -> (state, logs)` for two networks and a recipe.

    The batch holds every random number of the step: bits (B, R³ / 8), labels (B,), latents (B, latent), flip (B,),
    mix (B,), the scalars alpha, decay (of the EMA) and noise (a seed), and with augmentation, changes (B, 2, NUMBERS).

    Args:
        held_out: held-out shapes as bits, uint8 (V, R³ / 8), by which an adapted augmentation tells whether D memorises
            its training shapes; the batch then holds indices into them, held_out (B,). Without them, D is assumed to
            memorise.
    """
    loss = LOSSES[recipe.loss]
    resolution = generator.architecture.resolution

    def generate(weights: list, batch: dict) -> Tensor:
        latents, labels, noise = batch["latents"], batch["labels"], None
        if recipe.noise:
            noise = recipe.noise * logistic_noise(batch["noise"], (latents.shape[0], *(resolution,) * 3, 1))
        return generator.stateless_call(weights, [], latents, labels, alpha=batch["alpha"], noise=noise)[0]

    def discriminate(weights: list, voxels: Tensor, batch: dict) -> Tensor:
        parts = voxels.shape[0] // batch["labels"].shape[0]  # 2 for pairs
        labels, alpha = ops.repeat(batch["labels"], parts), batch["alpha"]
        return discriminator.stateless_call(weights, [], voxels, labels, alpha=alpha, parts=parts)[0]

    def discriminator_loss(weights: list, real: Tensor, fake: Tensor, batch: dict, penalised: bool) -> tuple:
        scores = discriminate(weights, interleave(real, fake), batch)
        scores = scores[::2], scores[1::2]
        penalty = ops.zeros(())
        if penalised and loss.penalty:
            penalty = loss.penalty(lambda x: discriminate(weights, x, batch), real, fake, batch["mix"])
        weight = recipe.gamma * recipe.penalty_every
        value = loss.discriminator(*scores)
        return value + weight * penalty, (value, penalty, *scores)

    def generator_loss(fake: Tensor, discriminator_weights: list, score_real: Tensor, batch: dict) -> tuple:
        return loss.generator(score_real, discriminate(discriminator_weights, fake, batch)), None

    def augmented(voxels: Tensor, batch: dict, which: int, probability: Tensor) -> Tensor:
        return augmentation.augment(voxels, batch["changes"][:, which], probability) if recipe.augmented else voxels

    def is_memorising(
        discriminator_weights: list, batch: dict, real: Tensor, fake: Tensor, probability: Tensor
    ) -> Tensor | bool:
        """Whether held-out shapes are scored more like generated ones than like the training shapes of their class."""
        if held_out is None:
            return True
        bits = ops.take(ops.convert_to_tensor(held_out), ops.maximum(batch["held_out"], 0), axis=0)
        unflipped = ops.zeros_like(batch["flip"])  # the flip belongs to another shape, whose axis may differ
        voxels = augmented(preprocess_real(bits, resolution, unflipped, batch["alpha"]), batch, 0, probability)
        margin = real + fake - 2 * discriminate(discriminator_weights, voxels, batch)
        return ops.sum(ops.where(batch["held_out"] < 0, 0.0, margin)) > 0

    def step(state: State, batch: dict, penalised: bool) -> tuple[State, dict]:
        probability = state.get("augment", recipe.augment)
        real = preprocess_real(batch["bits"], resolution, batch["flip"], batch["alpha"])
        real = augmented(real, batch, 0, probability)
        # both networks use the same fakes: generated once, with G's gradient pulled back through them
        fake, pull = vjp(lambda weights: augmented(generate(weights, batch), batch, 1, probability), state["generator"])

        # Discriminator
        (_, aux), gradients = value_and_grad(discriminator_loss)(state["discriminator"], real, fake, batch, penalised)
        loss_d, penalty, score_real, score_fake = aux
        gradient_d = norm(gradients)
        discriminator_weights, adam_d = adam(state["discriminator"], gradients, state["adam_d"], recipe.lr_d, recipe)
        # relativistic losses leave the level of scores free: compare each shape with its pair, of the same class
        references = (0.0, 0.0) if loss.absolute else (score_fake, score_real)
        accuracy = [ops.mean(ops.cast(b, "float32")) for b in (score_real > references[0], score_fake < references[1])]
        if loss.gated:
            updates = sum(accuracy) / 2 <= recipe.gate[1]
            discriminator_weights, adam_d = select(
                updates, (discriminator_weights, adam_d), (state["discriminator"], state["adam_d"])
            )

        # Generator; real scores from before D's step only weight the pairs, so a forward pass is saved
        (loss_g, _), grad_fake = value_and_grad(generator_loss)(fake, discriminator_weights, score_real, batch)
        gradients = pull(grad_fake)
        gradient_g = norm(gradients)
        weights, adam_g = adam(state["generator"], gradients, state["adam_g"], recipe.lr_g, recipe)
        if loss.gated:
            updates = sum(accuracy) / 2 >= recipe.gate[0]
            weights, adam_g = select(updates, (weights, adam_g), (state["generator"], state["adam_g"]))

        # EMA of G
        ema = [w + batch["decay"] * (a - w) for a, w in zip(state["ema"], weights, strict=True)]

        new_state = {
            "generator": weights,
            "ema": ema,
            "discriminator": discriminator_weights,
            "adam_g": adam_g,
            "adam_d": adam_d,
        }
        if "augment" in state:
            new_state["augment"] = probability
            if penalised:
                memorising = is_memorising(state["discriminator"], batch, score_real, score_fake, probability)
                new_state["augment"] = augmentation.adapt(probability, accuracy[0], memorising, recipe)
        return new_state, {
            "loss_d": loss_d,
            "loss_g": loss_g,
            "penalty": penalty,
            "score_real": ops.mean(score_real),
            "score_fake": ops.mean(score_fake),
            "score_real_std": ops.std(score_real),
            "score_fake_std": ops.std(score_fake),
            "accuracy_real": accuracy[0],
            "accuracy_fake": accuracy[1],
            "gradient_d": gradient_d,
            "gradient_g": gradient_g,
            **({"augment": new_state["augment"]} if "augment" in new_state else {}),
        }

    return step


def norm(gradients: list) -> Tensor:
    """Euclidean norm of all gradients together."""
    return ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients))


def select(condition: Tensor, yes: Any, no: Any) -> Any:
    """Elementwise `where` over two equal structures."""
    return keras.tree.map_structure(lambda a, b: ops.where(condition, a, b), yes, no)
