"""The command line: help, the files it writes, and one-line errors."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner
from paths import REPOSITORY

from gan3d.cli.app import cli, main
from gan3d.errors import UserError
from gan3d.shape_io.files import load_shapes
from gan3d.synthetic import furniture

GAN3D = Path(sys.executable).with_name("gan3d")
COMMANDS = (
    "prepare",
    "train",
    "evaluate",
    "score",
    "output",
    "register",
    "sample",
    "interpolate",
    "show",
    "data export",
    "data synthetic",
)


def gan3d(*arguments, cwd, **options):
    return subprocess.run(
        [GAN3D, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120, **options
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    done = CliRunner().invoke(cli, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.output
    assert "--help" in done.output


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The results of `gan3d prepare --source --out`, outside any project."""
    root = tmp_path_factory.mktemp("prepared")
    furniture.write(root / "mine", chairs=14, tables=12, test=4)
    (root / "mine" / "chair" / "train" / "broken.obj").write_text("v 1 2\nf 1 2 3\n")
    done = gan3d("prepare", "--source", "mine", "--out", "voxels", "--resolution", 16, cwd=root)
    assert done.returncode == 0, done.stderr
    return root, done.stdout


def test_prepare_writes_manifest_and_rejects(prepared):
    root, printed = prepared
    with (root / "voxels" / "manifest.csv").open() as lines:
        assert len(list(csv.DictReader(lines))) == 26
    with (root / "voxels" / "rejects.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert list(rows[0]) == ["file", "reason", "advice"]
    assert [row["file"] for row in rows] == ["chair/train/broken.obj"]
    assert "chair: " in printed
    assert "rejects.csv" in printed


def test_export(prepared):
    root, _ = prepared
    options = ("--class", "chair", "--resolution", 16, "--out", "test.npz", "--data", "voxels")
    done = gan3d("data", "export", "--split", "test", *options, cwd=root)
    assert done.returncode == 0, done.stderr
    with np.load(root / "test.npz") as arrays:
        assert arrays["voxels"].shape == (4, 16, 16, 16)
        assert arrays["voxels"].dtype == bool


def test_show_draws_meshes_grids_and_sets(prepared):
    root, _ = prepared
    mesh = next((root / "mine" / "table" / "test").glob("*.obj"))
    np.save(root / "grid.npy", np.eye(8, dtype=bool)[:, :, None] & np.ones(8, bool))
    np.savez(root / "set.npz", voxels=np.ones((3, 4, 4, 4), bool))
    for file, out in ((mesh, "mesh.png"), (root / "grid.npy", "grid.html"), (root / "set.npz", "set.png")):
        done = CliRunner().invoke(cli, ["show", str(file), "--out", str(root / out)])
        assert done.exit_code == 0, done.output
        assert (root / out).stat().st_size > 1000


def test_show_reads_side_files_and_names_invalid_files(tmp_path):
    box = trimesh.creation.box((1, 2, 3))
    for name, content in trimesh.exchange.gltf.export_gltf(box.scene()).items():
        (tmp_path / name.replace("model.gltf", "box.gltf")).write_bytes(content)
    assert CliRunner().invoke(cli, ["show", str(tmp_path / "box.gltf"), "--resolution", "16"]).exit_code == 0
    assert CliRunner().invoke(cli, ["show", str(tmp_path / "box.gltf"), "--resolution", "100"]).exit_code == 2
    (tmp_path / "empty.npy").write_bytes(b"")
    np.savez(tmp_path / "torn.npz", voxels=np.ones((3, 4, 4, 4), bool))
    content = (tmp_path / "torn.npz").read_bytes()
    (tmp_path / "torn.npz").write_bytes(content[: len(content) // 2])
    np.save(tmp_path / "none.npy", np.ones((0, 4, 4, 4), bool))
    for name in ("empty.npy", "torn.npz", "none.npy"):
        with pytest.raises(UserError, match=name):
            load_shapes(tmp_path / name, 8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained model, which is enough to sample."""
    from gan3d import model_file
    from gan3d.networks.architecture import Architecture
    from gan3d.training.growth import grow

    folder = tmp_path_factory.mktemp("model")
    model_file.save(folder, grow(None, Architecture(8, ("chair", "table"), (8, 6), (0.4, 0.3)), 0)[2])
    return folder


def test_sample_writes_every_format(model, tmp_path):
    names = ["s.npz", "s.npy", "s.binvox", "s.stl", "s.obj", "s.ply", "s.glb", "s.png", "s.html"]
    outs = [part for name in names for part in ("--out", str(tmp_path / name))]
    done = CliRunner().invoke(cli, ["sample", "--model", str(model), "--class", "chair", "--count", "2", *outs])
    assert done.exit_code == 0, done.output
    with np.load(tmp_path / "s.npz") as arrays:
        voxels = arrays["voxels"]
    assert voxels.shape == (2, 8, 8, 8)
    assert voxels.dtype == bool
    assert np.array_equal(np.load(tmp_path / "s.npy"), voxels)
    from gan3d.shape_io.files import load_shapes

    for i in range(2):
        assert np.array_equal(load_shapes(tmp_path / f"s_{i:03d}.binvox", 8)[0], voxels[i])
        for mesh in ("stl", "obj", "ply", "glb"):
            assert load_shapes(tmp_path / f"s_{i:03d}.{mesh}", 8).any()
    assert set(done.output.split()) == {str(path) for path in tmp_path.iterdir()}


def test_the_same_seed_gives_the_same_shapes(model, tmp_path):
    results = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        arguments = ["--class", "table", "--count", "3", "--seed", str(seed), "--out", str(tmp_path / f"{name}.npy")]
        assert CliRunner().invoke(cli, ["sample", "--model", str(model), *arguments]).exit_code == 0
        results.append(np.load(tmp_path / f"{name}.npy"))
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_interpolate_writes_a_strip_and_an_animation(model, tmp_path):
    from PIL import Image

    out = tmp_path / "walk.png"
    arguments = ["--class", "chair", "--from", "1", "--to", "2", "--steps", "4", "--out", str(out)]
    done = CliRunner().invoke(cli, ["interpolate", "--model", str(model), *arguments])
    assert done.exit_code == 0, done.output
    with Image.open(out) as strip, Image.open(out.with_suffix(".gif")) as animation:
        assert strip.width >= 4 * 100
        assert animation.n_frames >= 4


@pytest.mark.parametrize(
    ("arguments", "named", "advice"),
    [
        (["prepare", "--source", "nowhere", "--out", "x"], "nowhere", "exist"),
        (["prepare"], "params.yaml", "change into"),
        (["train", "r04"], "params.yaml", "change into"),
        (["prepare", "--source", "empty", "--out", "x"], "empty", "point data.source to a folder"),
        (["prepare", "--source", "empty", "--out", "x", "--resolution", "17"], "--resolution 17", "16"),
        (["show", "nothing.obj"], "nothing.obj", "name a voxel or mesh file"),
        (["show", "bad.npy"], "bad.npy", "complete"),
        (["show", "bad.binvox"], "bad.binvox", "512"),
        (["sample", "--model", "empty", "--out", "x.npz"], "empty", "config.json"),
        (["sample", "--out", "x.foo"], "x.foo", ".npz"),
        (["interpolate", "--out", "x.jpg"], "x.jpg", ".png"),
        (["data", "export", "--resolution", "16", "--out", "x.npz", "--data", "empty"], "empty", "gan3d prepare"),
    ],
)
def test_an_error_is_one_line_that_names_its_cause(tmp_path, monkeypatch, capfd, arguments, named, advice):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY nonsense")
    (tmp_path / "bad.binvox").write_bytes(b"#binvox 1\ndim 8 8 8\ndata\n\x01")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gan3d", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert named in lines[0]
    assert advice in lines[0]


@pytest.mark.slow
def test_an_unknown_class_lists_the_known_ones(model):
    done = gan3d("sample", "--model", model, "--class", "sofa", "--out", "x.npz", cwd=model)
    assert done.returncode == 1
    assert "'sofa'" in done.stderr
    assert "chair, table" in done.stderr


def test_debug_shows_the_traceback(tmp_path):
    done = gan3d("--debug", "show", "nothing.obj", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_backend_that_contradicts_the_parameters():
    import os

    done = gan3d("train", "r04", cwd=REPOSITORY, env=os.environ | {"KERAS_BACKEND": "jax"})
    assert done.returncode == 1
    assert "KERAS_BACKEND is jax" in done.stderr


@pytest.mark.parametrize("command", [["train", "r04", "r99"], ["pack", "{tmp}/packed", "r04", "r99"]])
def test_an_unknown_stage_is_told_before_the_first_is_trained(tmp_path, monkeypatch, command):
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, [part.format(tmp=tmp_path) for part in command])
    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith("stage 'r99' is not in train.stages: choose one of r04, r08, r16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dvc.yaml", "params.yaml"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["show", "{tmp}"], "is not a regular file: name a voxel or mesh file"),
        (["show", "{tmp}/nothing.off"], "does not exist: name a voxel or mesh file"),
        (["data", "export", "--resolution", "8", "--out", "{tmp}/test.txt"], "is not an .npz"),
    ],
)
def test_a_wrong_path_is_one_sentence(tmp_path, command, words):
    done = CliRunner().invoke(cli, [part.format(tmp=tmp_path) for part in command])
    assert isinstance(done.exception, UserError)
    assert words in str(done.exception)


def test_a_negative_seed_is_no_file():
    done = CliRunner().invoke(cli, ["interpolate", "--class", "chair", "--from", "-1"])
    assert done.exit_code == 2
    assert "-1 is not in the range x>=0" in done.output
