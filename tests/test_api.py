"""The public API: lazy, small, and equal to the command line."""

import base64
import doctest
import html
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import gan3d
from gan3d.cli.app import cli
from gan3d.errors import UserError

HEAVY = ("keras", "tensorflow", "jax", "numpy", "scipy", "mlflow", "pydantic", "click", "trimesh", "matplotlib")


def test_importing_gan3d_imports_nothing_heavy():
    code = "import gan3d, sys; dir(gan3d); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(HEAVY) & set(modules)
    assert [name for name in modules if name.startswith("gan3d")] == ["gan3d"]


def test_importing_gan3d_takes_no_time():
    code = "import time; t = time.perf_counter(); import gan3d; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.3


def test_every_public_name_is_there_and_documented():
    for name in gan3d.__all__:
        assert name in dir(gan3d)
        assert name == "__version__" or getattr(gan3d, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'sampel'"):
        gan3d.sampel  # noqa: B018


@pytest.fixture(scope="module")
def folder(tmp_path_factory, architecture):
    from gan3d import model_file
    from gan3d.training.growth import grow

    path = tmp_path_factory.mktemp("model") / "r08"
    model_file.save(path, grow(None, architecture(8), 0)[2])
    return path


@pytest.fixture(scope="module")
def model(folder):
    return gan3d.load(folder)


def test_sampling_is_that_of_the_command_line(model, folder, tmp_path):
    assert isinstance(model.trained, gan3d.TrainedModel)
    shapes = model.sample("slab", 3, seed=7, truncation=0.6, threshold=0.4)
    assert (shapes.voxels.shape, shapes.voxels.dtype) == ((3, 8, 8, 8), bool)
    assert (shapes.names, shapes.origins) == (("slab",) * 3, ("seed 7 #0", "seed 7 #1", "seed 7 #2"))
    given = f"--model {folder} --class slab --count 3 --seed 7 --truncation 0.6 --threshold 0.4 --out {tmp_path}/s.npy"
    done = CliRunner().invoke(cli, ["sample", *given.split()])
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), shapes.voxels)
    again = model.sample("slab", latents=shapes.latents, truncation=0.6, threshold=0.4)
    np.testing.assert_array_equal(again.occupancy, shapes.occupancy)


def test_shapes_are_a_sequence(model):
    shapes = model.sample("slab", 4, seed=1)
    assert [shape.origin for shape in shapes[1:3]] == ["seed 1 #1", "seed 1 #2"]
    np.testing.assert_array_equal(shapes[-1].voxels, shapes.voxels[3])
    both = shapes[:1] + model.sample("column", 2, seed=5)
    assert both.names == ("slab", "column", "column")
    with pytest.raises(IndexError):
        shapes[4]
    with pytest.raises(UserError, match="truncation"):
        shapes + model.sample("slab", truncation=0.5)


@pytest.mark.parametrize("path", ["slerp", "linear"])
def test_a_walk_joins_two_shapes(model, tmp_path, path):
    shapes = model.sample("column", 4, seed=3, truncation=0.7)
    walk = model.interpolate(shapes[0], shapes[3], steps=5, path=path)
    assert len(walk) == 5
    np.testing.assert_allclose(walk.occupancy[[0, -1]], shapes.occupancy[[0, 3]], atol=1e-4)
    (gif,) = walk.save(tmp_path / "walk.gif")
    assert gif.read_bytes()[:6] == b"GIF89a"


def test_a_walk_between_seeds_is_that_of_the_command_line(model, folder, tmp_path):
    for path in ("slerp", "linear"):
        given = f"--model {folder} --class slab --from 3 --to 9 --steps 4 --path {path} --out {tmp_path}/{path}.png"
        done = CliRunner().invoke(cli, ["interpolate", *given.split()])
        assert done.exit_code == 0, done.output
        model.interpolate(3, 9, steps=4, path=path, class_name="slab").save(tmp_path / "own.gif")
        assert (tmp_path / f"{path}.gif").read_bytes() != b""


def test_a_walk_that_cannot_be_is_refused_in_one_sentence(model):
    slab, column = model.sample("slab")[0], model.sample("column")[0]
    for wrong, sentence in (
        (lambda: model.interpolate(slab, column), "stays in one class"),
        (lambda: model.interpolate(slab, slab, steps=1), "at least 2 shapes"),
        (lambda: model.interpolate(slab, model.sample("slab", truncation=0.5)[0]), "different truncations"),
        (lambda: model.interpolate(0, 1, class_name="slab", path="curved"), "choose one of slerp, linear"),
        (lambda: model.interpolate(slab, np.zeros(3)), "does not fit this model"),
    ):
        with pytest.raises(UserError, match=sentence):
            wrong()


def test_meshes_and_files(model, tmp_path):
    shapes = model.sample("slab", 2, seed=4, threshold=0.3)
    assert shapes[0].mesh().is_watertight
    assert len(shapes[0].mesh("blocks").faces) % 2 == 0
    for name in ("a.stl", "a.glb", "a.npz", "a.png", "a.html"):
        assert all(path.stat().st_size for path in shapes.save(tmp_path / name))
    assert shapes[0].save(tmp_path / "turn.gif").stat().st_size
    with pytest.raises(UserError, match="cannot be written"):
        shapes.save(tmp_path / "a.docx")
    with pytest.raises(UserError, match="is empty and has no mesh"):
        model.sample("slab", threshold=1.0)[0].mesh()


def test_a_cell_holds_a_page_that_loads_nothing(model):
    from gan3d.voxels import unpack_bits

    shapes = model.sample("slab", 3, seed=2)
    cell = shapes._repr_html_()
    page = html.unescape(re.search('srcdoc="([^"]*)"', cell)[1])
    data = json.loads(re.search('<script type="application/json" id="data">(.*?)</script>', page)[1])
    assert data["details"] == ["#0", "#1", "#2"]
    assert "3 shapes at 8³: slab (seed 2)" in page
    packed = np.stack([np.frombuffer(base64.b64decode(text), np.uint8) for text in data["frames"][0]["shapes"]])
    np.testing.assert_array_equal(unpack_bits(packed, 8), shapes.voxels)
    assert "default-src 'none'" in page
    assert 'sandbox="allow-scripts"' in cell
    assert not re.search(r"(src|href)=\"(?!data:)", cell)


def test_shapes_are_scored_by_the_protocol(model, dataset_folder, tmp_path):
    from gan3d.metrics.protocol import evaluate
    from gan3d.metrics.rows import rounded

    data = gan3d.VoxelDataset(dataset_folder)
    real = {split: data.voxels(16, data.select(split, "slab")) for split in ("train", "validation")}
    table = gan3d.score(real["train"][:10], real["train"][10:])
    assert 0 < table["one_nna_cd"] < 1
    np.savez(tmp_path / "test.npz", voxels=real["train"][10:])
    assert gan3d.score(real["train"][:10], tmp_path / "test.npz").rows == table.rows
    assert gan3d.score(real["train"], real["train"], real["train"])["copied_generated"] == 1
    assert "no scores" in repr(gan3d.score(real["train"], real["validation"]))
    assert "1-NNA-CD" in table._repr_html_()
    sampled = gan3d.score(model, data, count=6, draws=1)
    expected = evaluate(model.sampler.shapes, data, 8, 6, 1, seed=1)
    assert sampled.rows[: len(expected)] == [rounded(row) for row in expected]
    with pytest.raises(UserError, match="cannot be compared"):
        gan3d.score(real["train"], model.sample("slab", 12))
    with pytest.raises(UserError, match="does not exist: choose one of excess, one_nna_cd"):
        table["fid"]


def test_shapes_of_one_class_are_scored_on_that_class(model, dataset_folder):
    data = gan3d.VoxelDataset(dataset_folder)
    rows = gan3d.score(model.sample("slab", 6, threshold=0.05), data).rows
    assert {row["class"] for row in rows} == {"slab", "mean"}


def test_a_data_set_shows_itself(dataset_folder):
    data = gan3d.VoxelDataset(dataset_folder)
    shown = data.show("slab", 4)
    assert shown.names == ("slab",) * 4
    np.testing.assert_array_equal(shown.voxels[0], data.voxels(16, data.select("test", "slab"))[0])
    assert data.resolutions == (4, 8, 16)
    assert data.show(count=100, resolution=8).voxels.shape[1:] == (8, 8, 8)
    assert "srcdoc" in shown._repr_html_()
    assert "12 validation" in repr(data)


SMALL = {"latent": 8, "batch": 8, "stabilise": 64, "penalty_every": 2, "checkpoint_every": 64, "metrics_every": 32}


@pytest.mark.slow
def test_two_stages_without_a_pipeline(dataset_folder, tmp_path, capsys):
    data = gan3d.VoxelDataset(dataset_folder)
    coarse = gan3d.train(data, "r04", **SMALL, width=[6])
    assert (coarse.resolution, coarse.classes, len(coarse.history)) == (4, ("column", "slab"), 2)
    settings = SMALL | {"width": [5], "fade_in": 32, "checkpoints": tmp_path, "progress": False}
    fine = gan3d.train(data, "r08", coarse, **settings)
    assert fine.trained.architecture.widths == (6, 5)
    assert len(fine.sample("slab", 3)) == 3
    again = gan3d.train(data, "r08", coarse, **settings)  # from its checkpoint
    np.testing.assert_array_equal(again.sample("slab").occupancy, fine.sample("slab").occupancy)
    direct = gan3d.train(data, "r16", **SMALL | {"loss": "bce_gated", "progress": False})
    assert direct.trained.architecture.widths == (64, 32, 16)
    assert gan3d.load(fine.save(tmp_path / "model")).resolution == 8


@pytest.mark.slow
def test_what_cannot_be_trained_is_refused_in_one_sentence(dataset_folder, model):
    for given, sentence in (
        (("r9",), "not a resolution"),
        (("r04", None, {"bach": 3}), "bach is not a setting"),
        (("r04", None, {"batch": -3}), "batch"),
        (("r32",), "stops below 32"),
        (("r08", None, {"width": 5}), "width has 1 value"),
    ):
        *places, settings = given if isinstance(given[-1], dict) else (*given, {})
        with pytest.raises(UserError, match=sentence):
            gan3d.train(dataset_folder, *places, **settings)
    served = gan3d.Model(type(model.trained)(**vars(model.trained) | {"discriminator": {}}))
    with pytest.raises(UserError, match="no training weights"):
        gan3d.train(dataset_folder, "r16", served)


def test_a_run_is_an_address(monkeypatch):
    asked = []

    def answer(address: str, _: object) -> Path:
        asked.append(address)
        raise UserError("asked")

    monkeypatch.setattr("gan3d.registry.models.model_folder", answer)
    for address in ("0" * 32, "runs:/" + "1" * 32, "runs:/x/other", "models:/furniture@champion", Path("models/r16")):
        with pytest.raises(UserError, match="asked"):
            gan3d.load(address)
    first, second, *others = asked
    assert (first, second) == ("runs:/" + "0" * 32 + "/model", "runs:/" + "1" * 32 + "/model")
    assert others == ["runs:/x/other", "models:/furniture@champion", "models/r16"]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["models", "shapes", "scoring", "training", "data"])
def test_the_examples_of_the_docstrings_run(module):
    found = importlib.import_module(f"gan3d.api.{module}")
    result = doctest.testmod(found, extraglobs={"gan3d": gan3d}, optionflags=doctest.NORMALIZE_WHITESPACE)
    # those of data and training need a prepared data set, and are tested above
    assert (result.failed, result.attempted > 0) == (0, module not in ("data", "training"))


@pytest.mark.slow
def test_nothing_is_written_to_the_terminal_by_tensorflow(folder):
    code = f"import gan3d; [getattr(gan3d, name) for name in gan3d.__all__]; gan3d.load({str(folder)!r}).sample('slab')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
