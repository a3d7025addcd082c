"""The step: a pure function whose gradients, optimiser, penalties, gates and average are what they should be."""

from dataclasses import replace
from functools import cache

import keras
import numpy as np
import pytest
from keras import ops

from gan3d.backend import compile_steps
from gan3d.networks.architecture import Architecture
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.networks.weights import initialise_weights
from gan3d.training import batches
from gan3d.training.losses import LOSSES
from gan3d.training.optimizer import adam
from gan3d.training.recipe import Recipe
from gan3d.training.step import first_state, make_step, preprocess_real, select

RECIPE = Recipe(batch=4, penalty_every=2, lr_g=5e-3, lr_d=5e-3, fade_in=64, seed=3)


class Double(Architecture):
    """Computes in float64, so that finite differences are exact enough to mean something."""

    policy = "float64"


@cache
def networks(double: bool = False) -> tuple[Generator, Discriminator]:
    kind = Double if double else Architecture
    architecture = kind(6, ("column", "slab"), (3,) if double else (4, 3), (0.2,) if double else (0.2, 0.1))
    models = Generator(architecture), Discriminator(architecture)
    for model in models:
        initialise_weights(model, 1)
    return models


def drawn(resolution: int, steps: int, recipe: Recipe = RECIPE, images: int = 16) -> dict[str, np.ndarray]:
    """Batches of noise."""
    rng = np.random.default_rng(0)
    packed = rng.integers(0, 256, (10, resolution**3 // 8), np.uint8)
    return batches.draw(
        packed, np.arange(10), np.arange(10, dtype=np.int32) % 2, np.ones(10, np.int32), 6, images, steps, recipe
    )


def one(batches: dict[str, np.ndarray], i: int = 0) -> dict:
    return {name: ops.convert_to_tensor(values[i]) for name, values in batches.items()}


def exact() -> tuple:
    """A state and a batch in float64; biases are moved off zero, where an empty voxel meets the rectifier's kink."""
    rng, batch = np.random.default_rng(2), one(drawn(4, 1))
    state = start(networks(True))
    for name in ("generator", "discriminator"):
        state[name] = [w + 0.2 * rng.standard_normal(w.shape) for w in state[name]]
    return state, batch | {"decay": ops.cast(batch["decay"], "float64")}


def start(models: tuple[Generator, Discriminator]) -> dict:
    """First state, as tensors of the networks' type."""
    dtype = models[0].trainable_variables[0].dtype
    return keras.tree.map_structure(lambda x: ops.convert_to_tensor(x, dtype), first_state(*models))


def flat(state) -> list[np.ndarray]:
    return [ops.convert_to_numpy(leaf).copy() for leaf in keras.tree.flatten(state)]


def same(a, b) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(flat(a), flat(b), strict=True))


def moments(state: dict, which: str) -> list[np.ndarray]:
    """After one step from zero with β₁ = 0, Adam's first moment is the gradient."""
    return [ops.convert_to_numpy(m) for m in state[which]["m"]]


def test_a_step_is_pure():
    models = networks()
    state, batch, step = start(models), one(drawn(8, 1)), make_step(*networks(), RECIPE)
    before = flat([state, batch, *(model.trainable_variables for model in models)])
    results = [step(state, batch, True) for _ in range(2)]
    assert same(*results)
    after = flat([state, batch, *(model.trainable_variables for model in models)])
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    new = results[0][0]
    keras.tree.assert_same_structure(state, new)
    for name in ("generator", "discriminator", "ema"):
        assert not same(state[name], new[name]), name


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_runs_and_stays_finite(loss):
    recipe = replace(RECIPE, loss=loss, gate=(0.0, 1.0))
    step, given, state = make_step(*networks(), recipe), drawn(8, 3, recipe), start(networks())
    for i in range(3):
        state, logs = step(state, one(given, i), i == 0)
        assert all(np.isfinite(leaf).all() for leaf in flat([state, logs]))
        assert (float(logs["penalty"]) > 0) == (i == 0 and LOSSES[loss].penalty is not None)
    assert set(logs) == {
        "loss_d",
        "loss_g",
        "penalty",
        "score_real",
        "score_fake",
        "score_real_std",
        "score_fake_std",
        "accuracy_real",
        "accuracy_fake",
        "gradient_d",
        "gradient_g",
    }
    assert not same(state["generator"], start(networks())["generator"])


# the others are made of the same parts
BY_DIFFERENCES = [
    "relativistic",
    "wgan_gp",
    *(pytest.param(loss, marks=pytest.mark.slow) for loss in ("non_saturating", "bce_gated")),
]


def unit_direction(seed: int, like: list) -> list:
    rng = np.random.default_rng(seed)
    direction = [rng.standard_normal(array.shape) for array in like]
    length = sum((d**2).sum() for d in direction) ** 0.5
    return [d / length for d in direction]


def slope(function, weights: list, direction: list, h: float = 3e-3) -> float:
    ends = [function([w + s * h * d for w, d in zip(weights, direction, strict=True)]) for s in (1, -1)]
    return (ends[0] - ends[1]) / (2 * h)


@pytest.mark.parametrize("penalised", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("loss", BY_DIFFERENCES)
def test_the_discriminator_follows_the_gradient_of_its_penalised_loss(loss, penalised):
    """Against finite differences of what the step itself logs, γ · (steps between penalties) weighing the penalty."""
    recipe = replace(RECIPE, loss=loss, gamma=0.7, penalty_every=3, gate=(0.0, 1.0))
    step, (state, batch) = make_step(*networks(True), recipe), exact()
    after, _ = step(state, batch, penalised)
    gradients = moments(after, "adam_d")

    def value(weights: list) -> float:
        _, logs = step(state | {"discriminator": weights}, batch, penalised)
        return float(logs["loss_d"]) + 0.7 * 3 * float(logs["penalty"])

    errors = []
    for trial in range(3):  # a rectifier's kink may lie between the two ends of one direction, not of most
        direction = unit_direction(trial, gradients)
        expected = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
        found = slope(value, state["discriminator"], direction)
        errors.append(abs(found - expected) / max(abs(expected), 5e-3))
    assert np.median(errors) < 2e-2, errors


@pytest.mark.parametrize("loss", BY_DIFFERENCES)
def test_the_generator_follows_the_gradient_of_its_loss(loss):
    """The discriminator stands still here, since its own step depends on what the generator draws."""
    recipe = replace(RECIPE, loss=loss, lr_d=0.0, gate=(0.0, 1.0))
    step, (state, batch) = make_step(*networks(True), recipe), exact()
    after, _ = step(state, batch, False)
    gradients = moments(after, "adam_g")
    errors = []
    for trial in range(3):
        direction = unit_direction(trial, gradients)
        expected = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
        found = slope(
            lambda weights: float(step(state | {"generator": weights}, batch, False)[1]["loss_g"]),
            state["generator"],
            direction,
        )
        errors.append(abs(found - expected) / max(abs(expected), 5e-3))
    assert np.median(errors) < 2e-2, errors


@pytest.mark.parametrize(("beta_1", "beta_2"), [(0.0, 0.99), (0.5, 0.9)])
def test_adam_equals_that_of_keras(rng, beta_1, beta_2):
    recipe = Recipe(beta_1=beta_1, beta_2=beta_2)
    shapes = [(3, 2), (4,)]
    variables = [keras.Variable(rng.standard_normal(shape).astype(np.float32)) for shape in shapes]
    # Keras' epsilon is that of Kingma & Ba's last line of §2, as ours
    theirs = keras.optimizers.Adam(0.01, beta_1=beta_1, beta_2=beta_2, epsilon=1e-8)
    weights = [ops.convert_to_tensor(ops.convert_to_numpy(v).copy()) for v in variables]
    zeros = [ops.zeros(shape) for shape in shapes]
    state = {"m": zeros, "v": zeros, "t": ops.zeros(())}
    for _ in range(7):
        gradients = [ops.convert_to_tensor(rng.standard_normal(shape).astype(np.float32)) for shape in shapes]
        theirs.apply(gradients, variables)
        weights, state = adam(weights, gradients, state, 0.01, recipe)
        for ours, variable in zip(weights, variables, strict=True):
            np.testing.assert_allclose(ops.convert_to_numpy(ours), ops.convert_to_numpy(variable), rtol=2e-5, atol=1e-6)
    assert float(state["t"]) == 7


@pytest.mark.slow
def test_a_compiled_run_equals_steps_one_by_one():
    """The first step of every cycle is penalised."""
    recipe = replace(RECIPE, penalty_every=3)
    step, given = make_step(*networks(), recipe), drawn(8, 6, recipe)
    state, logs = compile_steps(step, 3)(first_state(*networks()), given)
    assert (logs["penalty"] > 0).tolist() == [True, False, False] * 2
    single, rows = start(networks()), []
    for i in range(6):
        single, row = step(single, one(given, i), i % 3 == 0)
        rows.append({name: float(value) for name, value in row.items()})
    for a, b in zip(flat(state), flat(single), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    for name, values in logs.items():
        np.testing.assert_allclose(values, [row[name] for row in rows], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("decay", [0.0, 0.25, 1.0])
def test_the_average_moves_towards_the_new_weights(decay):
    state = start(networks())
    state["ema"] = [w + 1 for w in state["generator"]]
    batch = one(drawn(8, 1)) | {"decay": ops.convert_to_tensor(np.float32(decay))}
    after, _ = make_step(*networks(), RECIPE)(state, batch, False)
    for old, weight, new in zip(state["ema"], after["generator"], after["ema"], strict=True):
        expected = decay * ops.convert_to_numpy(old) + (1 - decay) * ops.convert_to_numpy(weight)
        np.testing.assert_allclose(ops.convert_to_numpy(new), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("gate", "generator_learns", "discriminator_learns"),
    [((0.0, 1.0), True, True), ((0.0, -0.1), True, False), ((1.1, 1.0), False, True)],
)
def test_gates_freeze_one_side(gate, generator_learns, discriminator_learns):
    """Weights and moments: the discriminator above the second threshold, the generator below the first."""
    recipe = replace(RECIPE, loss="bce_gated", gate=gate)
    state = start(networks())
    after, logs = make_step(*networks(), recipe)(state, one(drawn(8, 1)), False)
    assert 0 <= float(logs["accuracy_real"]) <= 1
    for weights, optimiser, learns in (
        ("generator", "adam_g", generator_learns),
        ("discriminator", "adam_d", discriminator_learns),
    ):
        assert same(after[weights], state[weights]) != learns
        assert same(after[optimiser], state[optimiser]) != learns


def test_gates_open_and_close_at_the_accuracy_itself():
    """The mean of both accuracies, thresholds included."""
    state, batch = start(networks()), one(drawn(8, 1))
    _, logs = make_step(*networks(), replace(RECIPE, loss="bce_gated"))(state, batch, False)
    accuracy = (float(logs["accuracy_real"]) + float(logs["accuracy_fake"])) / 2
    for gate, learns in (((accuracy, accuracy), (True, True)), ((accuracy + 0.01, accuracy - 0.01), (False, False))):
        after, _ = make_step(*networks(), replace(RECIPE, loss="bce_gated", gate=gate))(state, batch, False)
        assert tuple(not same(after[name], state[name]) for name in ("generator", "discriminator")) == learns


def test_lengths_of_the_gradients_are_logged():
    """Of both networks, the penalty's share included, before Adam makes them all alike."""
    state, batch = start(networks()), one(drawn(8, 1))
    after, logs = make_step(*networks(), RECIPE)(state, batch, True)
    for name in ("d", "g"):
        expected = sum((m.astype(np.float64) ** 2).sum() for m in moments(after, f"adam_{name}")) ** 0.5
        assert float(logs[f"gradient_{name}"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", ["relativistic", "non_saturating"])
def test_accuracies_count_scores_on_the_right_side(loss):
    """Of 0 where the loss gives the level of scores a meaning, of its pair's where it does not."""
    batch = one(drawn(8, 1))
    generator, discriminator = networks()
    _, logs = make_step(generator, discriminator, replace(RECIPE, loss=loss))(start(networks()), batch, False)
    real = preprocess_real(batch["bits"], 8, batch["flip"], batch["alpha"])
    fake = generator(batch["latents"], batch["labels"], alpha=batch["alpha"])
    scores = [ops.convert_to_numpy(discriminator(x, batch["labels"], alpha=batch["alpha"])) for x in (real, fake)]
    levels = (0.0, 0.0) if loss == "non_saturating" else (scores[1], scores[0])
    assert float(logs["score_real"]) == pytest.approx(scores[0].mean(), rel=1e-4, abs=1e-5)
    assert float(logs["score_fake"]) == pytest.approx(scores[1].mean(), rel=1e-4, abs=1e-5)
    assert float(logs["score_real_std"]) == pytest.approx(scores[0].std(), rel=1e-3, abs=1e-5)
    assert float(logs["accuracy_real"]) == (scores[0] > levels[0]).mean()
    assert float(logs["accuracy_fake"]) == (scores[1] < levels[1]).mean()


def test_choose_takes_one_of_two_structures():
    yes, no = {"a": [ops.ones(2)], "b": ops.ones(())}, {"a": [ops.zeros(2)], "b": ops.zeros(())}
    assert same(select(ops.convert_to_tensor(True), yes, no), yes)
    assert same(select(ops.convert_to_tensor(False), yes, no), no)
