"""The commands of inversion, as a user types them: files in, files out, and one sentence for each mistake."""

import numpy as np
import pytest
from box_dataset import write_boxes
from click.testing import CliRunner
from small_inverter import crisp

from gan3d import model_file
from gan3d.cli.app import cli
from gan3d.errors import UserError
from gan3d.inversion.latent_file import load_latent
from gan3d.sampling.sampler import Sampler
from gan3d.shape_io import meshing


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model, and two of its shapes as files."""
    folder = tmp_path_factory.mktemp("inversion")
    model_file.save(folder / "r08", crisp())
    first, second = Sampler(crisp()).shapes(0, 2, 5)
    (folder / "a.stl").write_bytes(meshing.blocks(first).export(file_type="stl"))
    np.save(folder / "b.npy", second)
    write_boxes(folder / "voxels", {"chair": {"train": 10, "test": 1}, "table": {"train": 5, "test": 1}})
    return folder


def run(place, *words):
    """Run a command on the model; returns what it prints."""
    done = CliRunner().invoke(cli, [*words, "--model", str(place / "r08")], catch_exceptions=True)
    if done.exception is not None:
        raise done.exception
    return done.output


def test_from_files_to_variations_walks_sums_and_completions(place):
    told = run(
        place,
        "invert",
        f"{place}/a.stl",
        f"{place}/b.npy",
        "--class",
        "chair",
        "--out",
        f"{place}/out",
        "--data",
        f"{place}/voxels",
    )
    assert told.count("The nearest training shape is chair_train_") == 2
    latents = [load_latent(place / "out" / name, crisp()) for name in ("a.npz", "b.npz")]
    assert {latent.class_name for latent in latents} == {"chair"}
    assert (place / "out" / "a.png").stat().st_size > 1000
    around = ("sample", "--around", f"{place}/out/a.npz", "--count", "2")
    run(place, *around, "--strength", "0", "--out", f"{place}/same.npy")
    expected = Sampler(crisp()).occupancy(latents[0].vector[None], np.array([0])) > 0.5
    np.testing.assert_array_equal(np.load(place / "same.npy"), np.repeat(expected, 2, 0))
    run(place, *around, "--strength", "0.5", "--out", f"{place}/varied.npy")
    assert not np.array_equal(np.load(place / "varied.npy")[0], expected[0])
    run(
        place,
        *around,
        "--strength",
        "0",
        "--minus",
        f"{place}/out/a.npz",
        "--plus",
        f"{place}/out/b.npz",
        "--out",
        f"{place}/b2.npy",
    )
    other = Sampler(crisp()).occupancy(latents[1].vector[None], np.array([0])) > 0.5
    np.testing.assert_array_equal(np.load(place / "b2.npy")[0], other[0])
    run(place, "interpolate", "--from", f"{place}/out/a.npz", "--to", "5", "--out", f"{place}/walk.png")
    assert (place / "walk.gif").is_file()
    run(
        place,
        "complete",
        f"{place}/b.npy",
        "--side",
        "left",
        "--class",
        "chair",
        "--count",
        "1",
        "--out",
        f"{place}/whole.npy",
    )
    np.testing.assert_array_equal(np.load(place / "whole.npy")[0, :4], np.load(place / "b.npy")[:4])
    part = ("complete", f"{place}/b.npy", "--side", "left", "--class", "chair", "--count", "1", "--style", "blocks")
    told = run(place, *part, "--printable", "--size", "8cm", "--out", f"{place}/whole.3mf")
    assert "whole.3mf: " in told
    assert "80.0 mm" in told
    assert (place / "whole.3mf").is_file()


def test_an_encoder_beside_the_model_is_used(place):
    told = run(place, "encode", "--shapes", "64")
    assert told.strip().endswith("encoder.npz")
    assert (place / "r08" / "encoder.npz").is_file()
    run(place, "invert", f"{place}/b.npy", "--out", f"{place}/encoded", "--as-is")
    (place / "r08" / "encoder.npz").write_bytes(b"damaged")
    assert "without an encoder" in run(place, "invert", f"{place}/b.npy", "--out", f"{place}/again", "--as-is")
    (place / "r08" / "encoder.npz").unlink()


def test_directions_are_drawn(place):
    told = run(place, "directions", "--class", "table", "--count", "2", "--out", f"{place}/directions.png")
    assert told.count("of the variance") == 2
    assert (place / "directions.png").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["invert", "none.stl"], "does not exist"),
        (["invert", "b.npy", "--class", "sofa"], "is not known to this model"),
        (["invert", "b.npy", "--data", "."], "prepare the data first"),
        (["complete", "b.npy", "--out", "x.png"], "name either --side or --mask"),
        (["complete", "b.npy", "--side", "left", "--out", "x.exe"], "cannot be written"),
        (["complete", "b.npy", "--side", "left", "--printable", "--out", "x.png"], "holds no body to print"),
        (["sample", "--minus", "b.npy", "--out", "x.png"], "name its file"),
        (["sample", "--around", "b.npy", "--out", "x.png"], "b.npy"),
        (["interpolate", "--from", "none.npz", "--out", "x.png"], "none.npz cannot be read"),
        (["directions", "--class", "chair", "--out", "x.gif"], "is not a .png"),
    ],
)
def test_mistakes_are_one_sentence(place, words, sentence, monkeypatch):
    monkeypatch.chdir(place)
    with pytest.raises(UserError, match=sentence):
        run(place, *words)
