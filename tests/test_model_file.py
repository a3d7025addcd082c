"""Models on disk: whole round trips, equal bytes for equal weights, clear words for damaged files."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from keras import ops

from gan3d import model_file
from gan3d.errors import UserError
from gan3d.networks.architecture import Architecture
from gan3d.networks.weights import get_weights
from gan3d.training.growth import grow


@pytest.fixture(scope="module")
def trained() -> model_file.TrainedModel:
    architecture = Architecture(6, ("chair", "табурет"), (4, 3), (0.2, 0.1))
    start = grow(None, architecture, seed=1)[2]
    average = {name: value + 0.25 for name, value in start.ema.items()}
    return replace(start, ema=average, threshold=0.4, up="z")


@pytest.fixture
def folder(trained, tmp_path) -> Path:
    model_file.save(tmp_path / "models" / "r08", trained)
    return tmp_path / "models" / "r08"


def assert_equal(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert list(a) == list(b)
    for name, value in a.items():
        assert value.dtype == b[name].dtype
        assert np.array_equal(value, b[name])


def test_a_snapshot_comes_back_as_it_was(trained, folder):
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "generator.npz", "training.npz"]
    again = model_file.load(folder)
    assert (again.architecture, again.threshold, again.up) == (trained.architecture, 0.4, "z")
    for part in ("ema", "generator", "discriminator"):
        assert_equal(getattr(again, part), getattr(trained, part))


def test_a_model_that_is_only_served_has_no_training_weights(trained, tmp_path):
    model_file.save(tmp_path, replace(trained, generator={}, discriminator={}))
    assert not (tmp_path / "training.npz").exists()
    again = model_file.load(tmp_path)
    assert (again.generator, again.discriminator) == ({}, {})
    assert_equal(again.ema, trained.ema)


def test_the_generator_is_built_from_the_average(trained, folder):
    model = model_file.load(folder).build_generator()
    assert_equal(get_weights(model), trained.ema)
    latents, labels = np.random.default_rng(0).standard_normal((3, 6), np.float32), np.array([0, 1, 1])
    expected = trained.build_generator()(latents, labels)
    assert np.array_equal(ops.convert_to_numpy(model(latents, labels)), ops.convert_to_numpy(expected))


def test_equal_weights_written_at_different_times_are_equal_bytes(trained, tmp_path):
    model_file.save(tmp_path / "first", trained)
    model_file.save(tmp_path / "second", model_file.load(tmp_path / "first"))
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name
        if path.suffix == ".npz":  # both were written within a second: the archive must not tell the time at all
            assert {entry.date_time for entry in ZipFile(path).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def replace_by_text(path: Path) -> None:
    path.write_text("<html>404</html>", encoding="utf-8")


DAMAGES = [
    ("config.json", remove),
    ("config.json", truncate),
    ("config.json", empty),
    ("config.json", replace_by_text),
    ("generator.npz", remove),
    ("generator.npz", truncate),
    ("generator.npz", empty),
    ("generator.npz", flip),
    ("generator.npz", replace_by_text),
    ("training.npz", truncate),
    ("training.npz", empty),
    ("training.npz", flip),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES, ids=lambda value: getattr(value, "__name__", value))
def test_a_damaged_or_missing_file_is_named(folder, name: str, damage: Callable[[Path], None]):
    damage(folder / name)
    with pytest.raises(UserError, match=str(folder)) as raised:
        model_file.load(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [{}, [], {"format": 1, "architecture": {"latent": 6}, "threshold": 0.5, "up": "y"}])
def test_a_config_of_something_else_is_named(folder, content):
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.json"):
        model_file.load(folder)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no model"):
        model_file.load(tmp_path / "nowhere")


def test_weights_that_do_not_belong_to_the_architecture_are_not_used(trained, folder):
    """Otherwise a half-random generator would be sampled without a word."""
    lacking = {name: value for name, value in trained.ema.items() if name != "first/kernel"}
    wrong = trained.ema | {"first/kernel": np.zeros((3, 3), np.float32)}
    for average in (lacking, wrong):
        np.savez(folder / "generator.npz", **average)
        with pytest.raises(UserError, match="first/kernel"):
            model_file.load(folder).build_generator()
