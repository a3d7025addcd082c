"""`gan3d score`: two sets of any format to a table, a page and JSON; errors in one sentence."""

import json

import numpy as np
import pytest
import trimesh
from box_dataset import FULL, random_boxes, write_boxes
from click.testing import CliRunner

from gan3d.cli.app import cli
from gan3d.data.pipeline.load import find_resolution, load
from gan3d.errors import UserError
from gan3d.shape_io.files import write_shapes


def score(*arguments):
    return CliRunner().invoke(cli, ["score", *map(str, arguments)], catch_exceptions=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    np.save(folder / "generated.npy", random_boxes(30, 1))
    np.savez(folder / "real.npz", voxels_packed=np.packbits(random_boxes(30, 2).reshape(30, -1), 1), shape=[8, 8, 8])
    data = write_boxes(folder / "prepared", {"box": FULL})
    return folder, data


def test_two_files_and_training_shapes_of_a_data_set(files, tmp_path):
    folder, _ = files
    result = score(
        folder / "generated.npy", folder / "real.npz", "--train", folder / "prepared",
        *("--out", tmp_path / "page.html", "--json", tmp_path / "scores.json"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "r08 shape generated" in result.output
    generated, floor = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert generated["generated"] == generated["reference"] == 30
    assert generated["excess"] is not None
    assert f"{generated['one_nna_cd']:.3f}" in result.output
    assert floor["kind"] == "floor"
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "generated.npy against real.npz at 8³" in page
    for part in ("<h2>Shapes</h2>", "<h2>Scores</h2>", "Not seen: ", "tell: structure", "<img"):
        assert part in page
    assert 'src="http' not in page


def test_a_prepared_data_set_gives_its_test_and_training_shapes(files, tmp_path):
    folder, data = files
    assert score(folder / "generated.npy", data.folder, "--json", tmp_path / "one.json").exit_code == 0
    generated, _ = json.loads((tmp_path / "one.json").read_text(encoding="utf-8"))
    assert generated["reference"] == FULL["test"]
    assert generated["copied_reference"] is not None


def test_meshes_are_voxelised_at_the_resolution_of_the_grids(tmp_path):
    meshes, grids = tmp_path / "meshes", tmp_path / "grids"
    meshes.mkdir()
    for i in range(3):
        trimesh.creation.box((1, 1 + i / 4, 0.5)).export(meshes / f"{i}.obj")
    write_shapes(grids / "shape.binvox", random_boxes(3, 1, 16), [""] * 3)
    assert find_resolution(meshes) is None
    assert find_resolution(grids) == find_resolution(grids / "shape_001.binvox") == 16
    assert load(meshes, 16).voxels.shape == (3, 16, 16, 16)
    assert np.array_equal(load(grids, 16).voxels, random_boxes(3, 1, 16))
    assert load(meshes / "1.obj", 32).voxels.shape == (1, 32, 32, 32)


def test_the_order_of_an_array_is_kept_and_empty_shapes_stay(tmp_path):
    shapes = random_boxes(130, 4)
    shapes[7] = False
    np.save(tmp_path / "shapes.npy", shapes)
    assert np.array_equal(load(tmp_path / "shapes.npy", 8).voxels, shapes)


def test_what_states_splits_gives_its_own(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        for i in range(count):
            (tmp_path / "chair" / split).mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / "chair" / split / f"{split}{i}.npy", random_boxes(1, 5 + i)[0])
    assert [len(load(tmp_path, 8, split).voxels) for split in ("test", "train", None)] == [2, 3, 5]
    with pytest.raises(UserError, match="has no class 'sofa': choose one of chair"):
        load(tmp_path, 8, None, "sofa")


@pytest.mark.parametrize(
    ("generated", "real", "words"),
    [
        ("missing.npy", "real.npz", "missing.npy does not exist: name a file, folder or archive of shapes"),
        ("text.txt", "real.npz", "text.txt"),
        ("generated.npy", "empty", "empty"),
    ],
)
def test_errors_name_the_source(files, generated, real, words):
    folder, _ = files
    (folder / "text.txt").write_text("no shapes", encoding="utf-8")
    (folder / "empty").mkdir(exist_ok=True)
    result = score(folder / generated, folder / real)
    assert isinstance(result.exception, UserError)
    assert words in str(result.exception)


def test_a_page_needs_its_extension(files):
    folder, _ = files
    result = score(folder / "generated.npy", folder / "real.npz", "--out", "page.txt")
    assert str(result.exception) == "page.txt is not a .html file: give it that extension."


def test_a_set_of_which_nothing_can_be_read_says_why(tmp_path, files):
    np.save(tmp_path / "nan.npy", np.full((4, 4, 4), np.nan))
    result = score(tmp_path / "nan.npy", files[0] / "real.npz")
    assert isinstance(result.exception, UserError)
    assert "Its grid contains NaN" in str(result.exception)
