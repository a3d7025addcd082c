"""A model trained without labels on a data set of two classes: the whole way, from the data to a shape."""

import numpy as np
import pytest
from click.testing import CliRunner

from gan3d import model_file
from gan3d.cli.app import cli
from gan3d.dataset import UNCONDITIONAL, VoxelDataset
from gan3d.errors import UserError
from gan3d.metrics import protocol
from gan3d.monitoring.monitor import TrainingMonitor
from gan3d.networks.architecture import Architecture
from gan3d.registry.card import card
from gan3d.registry.log import data_facts
from gan3d.sampling.sampler import Sampler
from gan3d.training.growth import grow
from gan3d.training.loop import LoggingSchedule, train
from gan3d.training.recipe import Recipe


@pytest.fixture(scope="module")
def blind(dataset_folder) -> VoxelDataset:
    return VoxelDataset(dataset_folder, conditional=False)


@pytest.fixture(scope="module")
def model(blind, tmp_path_factory):
    """Trained for a moment at 4³."""
    folder = tmp_path_factory.mktemp("blind")
    start = grow(None, Architecture(8, tuple(blind.classes), (6,), (0.4,)), seed=1)
    recipe, monitor = Recipe(batch=8, penalty_every=2, stabilise=32), TrainingMonitor(blind, start, 2)
    trained, rows = train(blind, start, recipe, folder / "unfinished", LoggingSchedule(16), monitor=monitor)
    assert "coverage/shape" in rows[-1]
    model_file.save(folder / "model", trained)
    return folder / "model"


def test_all_shapes_are_of_one_class(blind, dataset):
    assert blind.classes == [UNCONDITIONAL]
    assert not blind.labels.any()
    for split in ("train", "validation", "test"):
        assert blind.select(split, UNCONDITIONAL).tolist() == dataset.select(split).tolist()
    with pytest.raises(UserError, match="column"):
        blind.select("train", "column")
    assert blind.fingerprint("train", 8) != dataset.fingerprint("train", 8)


def test_scores_are_against_the_test_shapes_of_all_classes(blind, dataset, model):
    rows = protocol.evaluate(Sampler(model_file.load(model)).shapes, blind, 4, draws=1)
    assert [(row["class"], row["kind"]) for row in rows] == [(UNCONDITIONAL, "generated"), (UNCONDITIONAL, "floor")]
    assert rows[0]["reference"] == len(dataset.select("test"))


def test_no_network_has_a_place_for_a_label(model):
    loaded = model_file.load(model)
    assert loaded.discriminator["score/kernel"].shape[-1] == 1
    assert loaded.generator["first/kernel"].shape[0] == loaded.architecture.latent


def test_shapes_are_asked_for_without_a_class(model, tmp_path):
    arguments = ["sample", "--model", str(model), "--count", "3", "--out", str(tmp_path / "s.npy")]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert np.load(tmp_path / "s.npy").shape == (3, 4, 4, 4)
    done = CliRunner().invoke(cli, [*arguments, "--class", "column"])
    assert str(done.exception) == "class 'column' is not known to this model, which has no classes: leave it out."


def test_the_card_promises_no_class(blind, dataset):
    facts = data_facts(blind, 8, "a folder")
    assert list(facts["counts"]) == dataset.classes
    model = {"name": "gan3d", "version": 1, "classes": [UNCONDITIONAL], "resolution": 8, "latent": 8, "parameters": 9}
    page = card(model | {"threshold": 0.5, "up": "y"}, facts, [], [], {})
    assert "(of any class, since it was trained without labels)" in page
    assert "no class can be chosen" in page
