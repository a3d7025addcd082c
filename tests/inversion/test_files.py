"""Files of latents and encoders: written, read back, and refused when they are damaged or of another model."""

import io
import zipfile

import numpy as np
import pytest
from candidates import tiny

from gan3d.errors import UserError
from gan3d.inversion.encoder import Encoder, encoder_shapes
from gan3d.inversion.encoder_file import belongs, load_encoder, open_encoder, save_encoder
from gan3d.inversion.latent_file import Latent, load_latent, save_latent
from gan3d.networks.architecture import Architecture
from gan3d.networks.weights import get_weights, initialise_weights


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def encoder(model):
    made = Encoder(model.architecture)
    initialise_weights(made, 0)
    return made


def test_a_latent_is_read_back(tmp_path, model):
    latent = Latent(np.arange(8, dtype=np.float32), "chair")
    path = save_latent(tmp_path / "mine", latent, model)
    assert path.name == "mine.npz"
    found = load_latent(path, model)
    np.testing.assert_array_equal(found.vector, latent.vector)
    assert found.class_name == "chair"
    with pytest.raises(UserError, match=r"mine\.npz belongs to another model"):
        load_latent(path, tiny(seed=1))


@pytest.mark.parametrize("vector", [np.full(8, np.nan), np.full(8, 1e20), np.ones(7), np.ones(9)])
def test_latents_that_do_not_fit_are_refused(tmp_path, model, vector):
    path = save_latent(tmp_path / "a.npz", Latent(vector.astype(np.float32), "chair"), model)
    with pytest.raises(UserError, match=r"a\.npz"):
        load_latent(path, model)


@pytest.mark.parametrize("shape", [(8, 4, (2, 2)), (16, 8, (3, 2, 2)), (32, 6, (4, 3, 2, 2)), (64, 6, (4, 3, 2, 2, 1))])
def test_expected_arrays_are_those_of_the_network(shape):
    _, latent, widths = shape
    architecture = Architecture(latent, ("a", "b", "c"), widths, (0.2,) * len(widths))
    encoder = Encoder(architecture)
    assert {name: value.shape for name, value in get_weights(encoder).items()} == encoder_shapes(architecture)
    latents, logits = encoder(np.zeros((2, *(architecture.resolution,) * 3, 1), np.float32))
    assert latents.shape == (2, latent)
    assert logits.shape == (2, 3)


def test_an_encoder_is_read_back_and_only_for_its_model(tmp_path, model, encoder):
    path, warnings = tmp_path / "encoder.npz", []
    save_encoder(path, encoder, model)
    x = np.random.default_rng(0).integers(0, 2, (2, 8, 8, 8, 1)).astype(np.float32)
    np.testing.assert_allclose(load_encoder(path, model)(x)[0], encoder(x)[0], atol=0.02)  # half precision
    assert belongs(path, model)
    assert not belongs(path, tiny(seed=1))
    assert not belongs(tmp_path / "none.npz", model)
    with pytest.raises(UserError, match="belongs to another model: make it again with `gan3d encode`"):
        load_encoder(path, tiny(seed=1))
    assert open_encoder([tmp_path / "none.npz", path], model, warnings.append) is not None
    assert not warnings
    assert open_encoder([path], tiny(seed=1), warnings.append) is None
    assert "another model" in warnings[0]


def test_damaged_encoders_are_refused(tmp_path, model, encoder):
    path = tmp_path / "encoder.npz"
    save_encoder(path, encoder, model)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"encoder\.npz"):
        load_encoder(path, model)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:  # a claim of 8 GiB
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**31,)})
        archive.writestr("head/kernel.npy", header.getvalue())
    with pytest.raises(UserError, match=r"encoder\.npz lacks the arrays"):
        load_encoder(path, model)
