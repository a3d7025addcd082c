"""What is logged and registered, in a real store; the same generator is registered once."""

import json
from dataclasses import replace

import mlflow
import numpy as np
import pytest
from candidates import CLASSES, MODEL, connect, facts, rows, tiny

from gan3d import model_file
from gan3d.errors import UserError
from gan3d.metrics.table import PUBLISHED
from gan3d.registry import log
from gan3d.registry.log import log_candidate


@pytest.fixture(scope="module")
def first(new_store, folder):
    """A store with one version, for tests that only read."""
    mlruns = new_store("registered")
    return mlruns, log_candidate(connect(mlruns), MODEL, folder, facts())


@pytest.fixture
def registered(first):
    client = connect(first[0])
    return client, client.get_model_version(MODEL, str(first[1]))


@pytest.fixture
def model(first):
    """The folder of the logged model."""
    return next((first[0] / "artifacts" / "models").iterdir()) / "artifacts"


def test_tags_say_where_the_version_comes_from(registered, folder):
    tags = registered[1].tags
    expected = {
        "one_nna_cd": "0.8",
        "excess": "0.8",
        "resolution": "8",
        "classes": '["chair", "table"]',
        "test_split": "0123456789abcdef",
        "protocol": "20+20 shapes, 3 draws, seed 0, excess of three",
        "git.commit": "abc",
        "training_run": "f" * 32,
        "weights": log.weights_hash(model_file.load(folder)),
    }
    assert expected.items() <= tags.items()
    assert set(tags) - set(expected) == {"content", "excess_se"}
    assert float(tags["excess_se"]) == pytest.approx(0.02 / 2**0.5)


def test_only_what_sampling_needs_goes_in(model):
    inside = {path.name for path in (model / "artifacts" / "snapshot").iterdir()}
    assert inside == {"config.json", "generator.npz"}
    assert not list(model.rglob("training.npz"))
    assert len(list((model / "code").glob("*/gan3d/sampling/sampler.py"))) == 1
    assert not list(model.rglob("__pycache__"))


def test_requirements_are_pinned_to_what_is_installed(model):
    lines = (model / "requirements.txt").read_text().splitlines()
    needed = {"mlflow", "numpy", "pandas", "scipy", "keras", "tensorflow", "trimesh", "pillow"}
    assert {line.split("==")[0] for line in lines} == needed
    assert all("==" in line for line in lines)
    assert f"numpy=={np.__version__}" in lines


def test_signature_metadata_and_example(registered, model):
    info = mlflow.models.get_model_info(registered[1].source)
    columns = {column.name: (str(column.type), column.required) for column in info.signature.inputs}
    numbers = dict.fromkeys(("count", "seed", "to", "steps"), ("DataType.long", False))
    texts = {"class": ("DataType.string", True), "path": ("DataType.string", False)}
    assert columns == {"latents": ("Array(double)", False), **texts, **numbers}
    assert info.signature.outputs.inputs[0].shape == (-1, 8, 8, 8)
    assert info.signature.outputs.inputs[0].type == np.uint8
    defaults = {parameter.name: parameter.default for parameter in info.signature.params.params}
    assert defaults == {"truncation": 1.0, "threshold": 0.5, "output": "grid", "style": "smooth"}
    assert info.metadata["backend"] == "tensorflow"
    assert info.metadata["classes"] == list(CLASSES)
    example = json.loads((model / "serving_input_example.json").read_text())
    assert example["dataframe_split"]["columns"] == ["class", "count", "seed"]
    assert example["params"] == {"threshold": 0.5}


def test_one_class_need_not_be_named():
    columns = log.signature(tiny(classes=("chair",))).inputs
    assert not any(column.required for column in columns)


def test_run_has_card_picture_and_scores(registered):
    client, version = registered
    run = client.get_run(version.run_id)
    assert run.info.run_name == "register"
    assert run.info.status == "FINISHED"
    assert run.data.tags["git.commit"] == "abc"
    assert {entry.path for entry in client.list_artifacts(version.run_id)} == {"card.md", "samples.png"}
    card = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/card.md")
    assert "furniture, version 1" in card
    assert "## Training" in card
    assert version.description.startswith(card.split("\n\n")[0])
    assert "artifact card.md" in version.description
    assert len(version.description) < 1500
    logged = client.get_logged_model(version.source.removeprefix("models:/"))
    scored = {metric.key: metric.value for metric in logged.metrics}
    means = {"excess": 0.8, "one_nna_cd": 0.8, "cov_cd": 0.4, "mmd_cd_x1e3": 2.5}
    assert scored == {f"evaluation/{name}": value for name, value in means.items()}


@pytest.mark.slow
def test_equal_content_is_one_version(client, folder, tmp_path):
    one = log_candidate(client, MODEL, folder, facts())
    model_file.save(tmp_path / "copy", model_file.load(folder))
    assert log_candidate(client, MODEL, tmp_path / "copy", facts(tags={"git.commit": "other"})) == one
    model_file.save(tmp_path / "other", tiny(seed=1))
    assert log_candidate(client, MODEL, tmp_path / "other", facts()) == 2
    assert log_candidate(client, MODEL, folder, facts(0.7)) == 3
    data = dict(facts().data) | {"test_split": "fedcba9876543210"}
    assert log_candidate(client, MODEL, folder, facts(data=data)) == 4
    assert log_candidate(client, MODEL, folder, facts()) == one
    assert len(client.search_model_versions("name = 'furniture'")) == 4
    assert len(client.search_runs([client.get_experiment_by_name("gan3d").experiment_id])) == 4


@pytest.mark.slow
def test_a_version_that_was_never_finished_is_finished(client, folder):
    assert log_candidate(client, MODEL, folder, facts()) == 1
    content = client.get_model_version(MODEL, "1").tags["content"]
    client.delete_model_version_tag(MODEL, "1", "content")
    client.update_model_version(MODEL, "1", description="")
    assert log_candidate(client, MODEL, folder, facts()) == 1
    version = client.get_model_version(MODEL, "1")
    assert version.tags["content"] == content
    assert "furniture, version 1" in version.description


@pytest.mark.slow
def test_the_given_run_takes_the_model(client, folder, tmp_path):
    with mlflow.start_run(run_name="mine") as run:
        inside = log_candidate(client, MODEL, folder, facts(), run.info.run_id)
        assert mlflow.active_run().info.run_id == run.info.run_id
    model_file.save(tmp_path / "other", tiny(seed=1))
    again = log_candidate(client, MODEL, tmp_path / "other", facts(), run.info.run_id)
    assert mlflow.active_run() is None
    for number in (inside, again):
        assert client.get_model_version(MODEL, str(number)).run_id == run.info.run_id
    assert client.get_run(run.info.run_id).info.run_name == "mine"


def test_without_scores_there_is_a_reason_and_no_number(client, folder):
    version = client.get_model_version(MODEL, str(log_candidate(client, MODEL, folder, facts(None))))
    assert "one_nna_cd" not in version.tags
    assert "no scores: 20 generated and 4 real shapes remain" in version.description


def test_errors_name_the_folder_and_the_backend(client, folder, tmp_path):
    with pytest.raises(UserError, match=r"nothing holds no model"):
        log_candidate(client, MODEL, tmp_path / "nothing", facts())
    with pytest.raises(UserError, match="no-such-backend, which trained this model, is not installed"):
        log_candidate(client, MODEL, folder, facts(backend="no-such-backend"))
    assert not client.search_model_versions("name = 'furniture'")


def test_weights_hash_depends_on_all_that_is_drawn_and_nothing_else():
    model = tiny()
    same = replace(model, generator={}, discriminator={}, ema=dict(reversed(model.ema.items())))
    assert log.weights_hash(same) == log.weights_hash(model)
    name = next(iter(model.ema))
    changed = model.ema | {name: model.ema[name] + 1e-6}
    others = [tiny(1), replace(model, threshold=0.4), replace(model, up="z"), replace(model, ema=changed)]
    assert len({log.weights_hash(other) for other in [model, *others]}) == 5


def test_means_are_of_the_final_resolution_and_of_generated_shapes():
    scores = rows(0.9, resolution=4) + rows(0.6) + [rows(0.1)[0] | {"class": "mean"}]
    scores[4]["one_nna_cd"] = 0.7
    assert log.published_means(scores, 8)["one_nna_cd"] == pytest.approx(0.65)
    assert log.published_means(scores, 16) == dict.fromkeys(score.key for score in PUBLISHED)
    scores[4]["one_nna_cd"] = scores[4]["one_nna_cd_std"] = None
    assert log.published_means(scores, 8)["one_nna_cd"] is None


def test_protocol_tells_sizes_apart():
    assert log.protocol_of(rows(0.6), 8) != log.protocol_of(rows(0.6, count=50), 8)
    assert log.protocol_of(rows(0.6), 16) == "none"


def test_data_facts_count_and_fingerprint(dataset):
    found = log.data_facts(dataset, 8, "a folder")
    assert found["source"] == "a folder"
    assert found["counts"] == {name: {"train": 20, "validation": 6, "test": 6} for name in dataset.classes}
    assert found["test_split"] == dataset.fingerprint("test", 8) != dataset.fingerprint("test", 16)
