"""The denoiser: what it is trained on, what it restores, and how a model keeps it."""

from dataclasses import replace

import numpy as np
import pytest
from keras import ops

from gan3d import model_file
from gan3d.model_file import TrainedModel
from gan3d.networks.denoiser import Denoiser
from gan3d.networks.weights import assign_weights
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler
from gan3d.training.denoising import corrupt, train_denoiser
from gan3d.training.growth import grow
from gan3d.training.recipe import Recipe
from gan3d.training.stage import StageSpec, finish_stage

RECIPE = Recipe(batch=8, mirror="none")
IMAGES = 4096


def corrupted(shapes: np.ndarray, seed: int) -> np.ndarray:
    voxels = ops.convert_to_tensor(shapes[..., None].astype(np.float32))
    return ops.convert_to_numpy(corrupt(voxels, ops.convert_to_tensor(np.uint32(seed))))[..., 0]


def occupancy(model: TrainedModel) -> np.ndarray:
    return Sampler(model).occupancy(draw_latents(1, 4, model.architecture.latent), np.zeros(4, int))


@pytest.fixture(scope="module")
def denoised(architecture, dataset, tmp_path_factory):
    """A trained denoiser's folder and weights."""
    folder = tmp_path_factory.mktemp("denoiser")
    return folder, train_denoiser(dataset, architecture(8), RECIPE, IMAGES, folder)


def test_a_seed_corrupts_alike_and_another_otherwise(dataset):
    shapes = dataset.voxels(8, dataset.select("train"))[:16]
    assert np.array_equal(corrupted(shapes, 3), corrupted(shapes, 3))
    assert not np.array_equal(corrupted(shapes, 3) > 0.5, corrupted(shapes, 4) > 0.5)


def test_corruption_is_moderate_and_soft(dataset):
    shapes = dataset.voxels(8, dataset.select("train"))
    copies = corrupted(shapes, 0)
    assert ((copies > 0) & (copies < 1)).all()
    changed = ((copies > 0.5) != shapes).sum() / shapes.sum()
    assert 0.02 < changed < 0.5


def test_held_out_shapes_are_restored(architecture, dataset, denoised):
    shapes = dataset.voxels(8, dataset.select("test"))
    copies = corrupted(shapes, 9)
    denoiser = Denoiser(architecture(8))
    assert not assign_weights(denoiser, denoised[1])
    restored = ops.convert_to_numpy(denoiser(ops.convert_to_tensor(copies[..., None])))[..., 0] > 0
    assert (restored != shapes).sum() < 0.6 * ((copies > 0.5) != shapes).sum()


def test_a_trained_denoiser_is_kept_and_a_damaged_one_trained_again(architecture, dataset, denoised):
    folder, weights = denoised
    reports: list[int] = []

    def again() -> dict[str, np.ndarray]:
        return train_denoiser(
            dataset, architecture(8), RECIPE, IMAGES, folder, lambda images, _: reports.append(images)
        )

    assert all(np.array_equal(value, weights[name]) for name, value in again().items())
    assert not reports
    (path,) = folder.glob("denoiser-*.npz")
    path.write_bytes(path.read_bytes()[:-100])
    assert all(np.array_equal(value, weights[name]) for name, value in again().items())
    assert reports[-1] == IMAGES


def test_a_model_keeps_its_denoiser_and_the_next_stage_grows_without_it(architecture, dataset, denoised, tmp_path):
    plain = grow(None, architecture(8), 0)[2]
    spec = StageSpec("r08", None, architecture(8), RECIPE, 0, 0.5, denoise=IMAGES)
    model = finish_stage(spec, plain, dataset, denoised[0])
    assert model.architecture == replace(plain.architecture, denoiser=True)
    assert finish_stage(spec, model, dataset, tmp_path / "elsewhere").ema is model.ema  # not trained once more
    model_file.save(tmp_path, model)
    loaded = model_file.load(tmp_path)
    assert np.array_equal(occupancy(loaded), occupancy(model))
    assert np.abs(occupancy(loaded) - occupancy(plain)).max() > 0.01
    grown = grow(loaded, architecture(16), 0)[2]
    assert not grown.architecture.denoiser
    assert not any(name.startswith("denoiser") for name in grown.ema)


def test_a_stage_without_denoiser_trains_none(architecture, dataset, tmp_path):
    plain = grow(None, architecture(8), 0)[2]
    spec = StageSpec("r08", None, architecture(8), RECIPE, 0, 0.5)
    assert not finish_stage(spec, plain, dataset, tmp_path).architecture.denoiser
    assert not list(tmp_path.iterdir())
