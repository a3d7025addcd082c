"""Diagnostics are right about scores, memorising and coverage, and do not disturb the training."""

import numpy as np
import pytest

from gan3d.dataset import VoxelDataset
from gan3d.metrics import chamfer
from gan3d.monitoring.diagnostics import Diagnostics, coverage, metric_name
from gan3d.networks.weights import get_weights
from gan3d.sampling.sampler import Sampler
from gan3d.training.growth import grow
from gan3d.training.step import first_state


@pytest.fixture(scope="module")
def networks(dataset, architecture):
    return grow(None, architecture(8), seed=1)


@pytest.fixture(scope="module")
def diagnostics(dataset, networks) -> Diagnostics:
    return Diagnostics(dataset, networks[:2], Sampler(networks[2]))


def shapes(rng, count: int) -> np.ndarray:
    return rng.random((count, 8, 8, 8)) > 0.8


def test_all_values_are_finite_and_reproducible(diagnostics, networks, rng):
    state, samples, labels = first_state(*networks[:2]), shapes(rng, 4), np.array([0, 0, 1, 1])
    before = [get_weights(model) for model in networks[:2]]
    found = diagnostics.examine(state, 1.0, samples, labels)
    assert found == diagnostics.examine(state, 1.0, samples, labels)
    assert np.isfinite(list(found.values())).all()
    for model, weights in zip(networks[:2], before, strict=True):
        assert all(np.array_equal(value, weights[name]) for name, value in get_weights(model).items())
    for kind in ("train", "validation", "generated"):
        low, middle, high = (found[f"scores/{kind}_{name}"] for name in ("p10", "p50", "p90"))
        assert low <= middle <= high
    assert found["samples/largest_piece_of_data"] == 1.0  # columns and slabs
    assert found["samples/occupancy"] == pytest.approx(samples.mean())
    assert not any(name.startswith("coverage/") for name in found)  # 6 validation shapes per class are too few


def test_every_kind_of_shapes_has_the_same_labels(diagnostics, dataset):
    counts = np.bincount(diagnostics.labels)
    assert counts.tolist() == [32, 32]
    for split in ("train", "validation"):
        rows = diagnostics._rows(split)
        assert np.array_equal(dataset.labels[rows], diagnostics.labels)
        assert set(dataset.splits[rows]) == {split}


def memoriser(known: np.ndarray, level: float):
    """A discriminator that memorised shapes: scores 1 for those, 0 for others, plus an arbitrary level."""

    class Memoriser:
        def stateless_call(self, weights, state, voxels, labels, alpha):
            flat = np.asarray(voxels).reshape(len(labels), -1) > 0.5
            return np.array([level + float((flat == known).all(1).any(0)) for flat in flat[:, None]]), state

    return Memoriser()


@pytest.mark.parametrize("level", [0.0, 100.0])
def test_overfitting_is_complete_for_a_discriminator_that_memorises_the_training_shapes(
    diagnostics, dataset, networks, level
):
    state = first_state(*networks[:2])
    train, validation = (dataset.voxels(8, dataset.select(split)).reshape(-1, 512) for split in ("train", "validation"))
    own = replaced(diagnostics, memoriser(train, level))
    found = own._scores(state, 1.0)
    copies = np.mean([(shape == train).all(1).any() for shape in validation])
    assert found["overfitting/r_v"] == pytest.approx(1 - copies, abs=0.1)
    assert found["overfitting/r_t"] == 1.0
    wise = replaced(diagnostics, memoriser(np.concatenate([train, validation]), level))._scores(state, 1.0)
    assert wise["overfitting/r_v"] == 0.0


def replaced(diagnostics: Diagnostics, discriminator) -> Diagnostics:
    other = object.__new__(Diagnostics)
    other.__dict__ |= diagnostics.__dict__ | {"discriminator": discriminator}
    return other


@pytest.mark.slow
def test_a_guessing_discriminator_does_not_overfit(diagnostics, networks):
    """Differences of real shapes are noise, and they are not divided by the noise between real and generated ones."""

    class Guessing:
        random = np.random.default_rng(3)

        def stateless_call(self, weights, state, voxels, labels, alpha):
            return self.random.standard_normal(len(labels)), state

    own = replaced(diagnostics, Guessing())
    found = [own._scores(first_state(*networks[:2]), 1.0)["overfitting/r_v"] for _ in range(50)]
    assert np.mean(np.array(found) != 0) < 0.1


def test_coverage_by_hand(rng):
    real = shapes(rng, 10)
    modes = chamfer.prepare(real)
    assert coverage(real, modes) == 1.0
    assert coverage(np.repeat(real[:2], 5, 0), modes) == 0.2
    assert coverage(np.zeros_like(real), modes) == 0.0


def test_a_class_is_covered_by_its_own_shapes(dataset, architecture, monkeypatch):
    monkeypatch.setattr("gan3d.monitoring.diagnostics.MIN_SHAPES", 5)
    networks = grow(None, architecture(8), seed=1)
    diagnostics = Diagnostics(dataset, networks[:2], Sampler(networks[2]))
    found = diagnostics._coverage(1.0)
    assert set(found) == {"coverage/column", "coverage/slab", "coverage/all_classes", "coverage/real_shapes"}
    assert found["coverage/real_shapes"] > 0.3
    assert all(0 <= value <= 1 for value in found.values())


def test_without_validation_shapes_only_samples_are_looked_at(dataset, architecture, rng):
    bare = VoxelDataset(dataset.folder)
    bare.splits[bare.splits == "validation"] = "test"
    networks = grow(None, architecture(4), seed=1)
    diagnostics = Diagnostics(bare, networks[:2], Sampler(networks[2]))
    found = diagnostics.examine(
        first_state(*networks[:2]), 1.0, shapes(rng, 4)[:, ::2, ::2, ::2], np.array([0, 0, 1, 1])
    )
    assert found
    assert all(name.startswith("samples/") for name in found)


def test_names_that_mlflow_takes():
    assert metric_name("night stand") == "night stand"
    assert metric_name("a/b: ü..%") == "a_b_ ü___"
