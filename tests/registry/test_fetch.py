"""From an address to a model's folder: paths, pretrained names, MLflow URIs."""

import pytest
from candidates import MODEL, connect, facts
from small_inverter import crisp

from gan3d import model_file
from gan3d.errors import UserError
from gan3d.inversion.encoder import Encoder
from gan3d.inversion.encoder_file import belongs, open_encoder, save_encoder
from gan3d.registry.fetch import resolve, version_name
from gan3d.registry.log import log_candidate, weights_hash
from gan3d.registry.models import encoder_places, model_folder, open_sampler


@pytest.fixture(scope="module")
def registered(new_store, folder):
    """A store with one version, which is champion; and its run."""
    mlruns = new_store("fetched")
    client = connect(mlruns)
    number = log_candidate(client, MODEL, folder, facts())
    client.set_registered_model_alias(MODEL, "champion", str(number))
    run = client.get_model_version(MODEL, str(number)).run_id
    client.log_artifacts(run, str(folder), "model")
    return mlruns, run


@pytest.fixture
def store(registered):
    connect(registered[0])
    return registered[0]


def test_a_folder_is_itself_and_needs_no_store(folder):
    assert model_folder(str(folder)) == folder
    assert version_name(str(folder)) == str(folder)
    assert open_sampler(folder).classes == ("chair", "table")


def test_a_pretrained_model_is_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (model_folder("modelnet10-r32") / "generator.npz").is_file()
    with pytest.raises(UserError, match=r"bathtubs is neither a folder nor .* one of furniture64-r64, modelnet10-"):
        model_folder("bathtubs")


def test_open_sampler_takes_uris(store):
    assert open_sampler("models:/furniture@champion", store).classes == ("chair", "table")


@pytest.mark.parametrize("uri", ["models:/furniture@champion", "models:/furniture/1", "models:/furniture/latest"])
def test_a_registered_version_is_found_where_it_lies(uri, store, folder):
    found = resolve(uri, store)
    assert found.is_relative_to(store / "artifacts")
    assert weights_hash(model_file.load(found)) == weights_hash(model_file.load(folder))
    assert not (store / "downloads" / "models").exists()


@pytest.mark.parametrize("path", ["model", MODEL])
def test_a_run_s_model_is_found(path, store, registered, folder):
    found = resolve(f"runs:/{registered[1]}/{path}", store)
    assert weights_hash(model_file.load(found)) == weights_hash(model_file.load(folder))
    assert found.is_relative_to(store / ("artifacts" if path == "model" else "downloads"))
    assert resolve(f"runs:/{registered[1]}/{path}", store) == found


@pytest.mark.parametrize("uri", ["models:/furniture/9", "models:/furniture@nobody", "models:/furniture"])
def test_an_unknown_version_names_those_that_exist(uri, store):
    with pytest.raises(UserError) as error:
        resolve(uri, store)
    assert str(error.value) == f"{uri} is not known: choose one of models:/furniture@champion, models:/furniture/1."


@pytest.mark.parametrize(("uri", "name"), [("models:/chairs/1", "chairs"), ("models:/a/b/c", "a"), ("models:/", "it")])
def test_an_unknown_model_names_the_champions_of_others(uri, name, store):
    with pytest.raises(UserError) as error:
        resolve(uri, store)
    assert str(error.value) == (
        f"{uri} is not known: no version of {name} is registered yet, so register a model first, or choose one of"
        " models:/furniture@champion."
    )


def test_an_unknown_run_and_an_unknown_artifact(store, registered):
    for uri in ("runs:/0123/model", f"runs:/{registered[1]}/nothing", "runs:/"):
        with pytest.raises(UserError, match=f"{uri} is not known: MLflow has no such run"):
            resolve(uri, store)


def test_artifacts_without_a_generator(store, registered, tmp_path):
    client = connect(store)
    (tmp_path / "notes.txt").write_text("nothing here")
    client.log_artifacts(registered[1], str(tmp_path), "notes")
    with pytest.raises(UserError, match="holds no generator"):
        resolve(f"runs:/{registered[1]}/notes", store)


def test_an_empty_registry_and_none_at_all(client, mlruns, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"no version of furniture is registered yet, so register a model first\.$"):
        resolve("models:/furniture@champion", mlruns)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match="holds no registry yet"):
        resolve("models:/furniture@champion", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_folder_without_a_model(store, tmp_path):
    with pytest.raises(UserError, match="holds no model"):
        model_folder(tmp_path, store)


def test_an_encoder_goes_along_and_is_found(client, mlruns, tmp_path, monkeypatch):
    model, warnings = crisp(), []
    model_file.save(tmp_path / "r08", model)
    save_encoder(tmp_path / "r08.npz", Encoder(model.architecture), model)
    number = log_candidate(client, MODEL, tmp_path / "r08", facts(encoder=tmp_path / "r08.npz"))
    monkeypatch.chdir(tmp_path)  # outside a project
    served = model_folder(f"models:/{MODEL}/{number}", mlruns)
    assert belongs(served / "encoder.npz", model)
    assert open_encoder(encoder_places(served), model, warnings.append) is not None
    assert not warnings
