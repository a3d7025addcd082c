"""Whatever room writes a file: a linked one is replaced, a full disk leaves nothing, a wrong place is one sentence."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gan3d.data.pipeline import export
from gan3d.errors import UserError
from gan3d.metrics.rows import write_json
from gan3d.rendering.sheets import animate, save_png
from gan3d.rendering.training_plots import loss_curves
from gan3d.rendering.viewer import write_page
from gan3d.shape_io.files import write_shapes
from gan3d.tuning import apply

SHAPES = np.random.default_rng(0).random((2, 8, 8, 8)) < 0.5
ROWS = [{"images": i, "loss_d": 1.0 / i, "loss_g": 2.0 / i, "alpha": 1.0} for i in (1, 2, 3)]
PIXELS = np.random.default_rng(1).integers(0, 255, (64, 64, 3)).astype(np.uint8)
PARAMS = "train:\n  stages:\n    r04:\n      lr_g: 0.1\n"


def write_many(path: Path) -> None:
    write_shapes(path, SHAPES, ["a", "b"])


def write_one(path: Path) -> None:
    write_shapes(path, SHAPES[:1], ["a"])


WRITERS: dict[str, Callable[[Path], object]] = {
    "sheet.png": lambda path: save_png(path, PIXELS),
    "film.gif": lambda path: animate(path, [PIXELS, PIXELS[::-1]]),
    "loss.png": lambda path: loss_curves(ROWS, path),
    "page.html": lambda path: write_page(path, SHAPES, ["a", "b"], "shapes"),
    "table.json": lambda path: write_json(path, ROWS),
    "many.npz": write_many,
    "many.npy": write_many,
    "one.stl": write_one,
    "one.glb": write_one,
    "one.binvox": write_one,
}


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("name", WRITERS)
def test_a_file_in_the_cache_keeps_its_content(tmp_path, name, link):
    cached, path = tmp_path / "cached", tmp_path / name
    cached.write_bytes(b"cached")
    link(cached, path)
    WRITERS[name](path)
    assert cached.read_bytes() == b"cached"
    assert not path.is_symlink()
    assert path.stat().st_size > 20


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        with pytest.raises(UserError, match=r"disk is full: free some space"):
            WRITERS[name](path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_in_its_place_is_one_sentence(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=f"{name} is a folder: name a file"):
        WRITERS[name](tmp_path / name)


def test_a_set_for_other_programs_replaces_a_link(dataset, tmp_path):
    cached, path = tmp_path / "cached", tmp_path / "test.npz"
    cached.write_bytes(b"cached")
    path.symlink_to(cached)
    export.export(dataset, "test", None, 8, path)
    assert cached.read_bytes() == b"cached"
    with np.load(path) as arrays:
        assert arrays["voxels"].shape == (12, 8, 8, 8)


def test_parameters_that_a_person_linked_stay_linked(tmp_path):
    kept, path = tmp_path / "mine.yaml", tmp_path / "params.yaml"
    kept.write_text(PARAMS)
    path.symlink_to(kept)
    apply.write(path, "r04", {"lr_g": 0.2})
    assert path.is_symlink()
    assert "lr_g: 0.2" in kept.read_text()
    assert sorted(tmp_path.iterdir()) == [kept, path]


def test_devices_stay_devices(tmp_path):
    """Also for root, who could replace /dev/null."""
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    write_json(pipe, {"a": 1})
    assert reader.communicate(timeout=20)[0] == b'{\n  "a": 1\n}\n'
    assert pipe.is_fifo()
    code = "from pathlib import Path; from gan3d.outputs import write_text; write_text(Path('/dev/stdout'), 'hello')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "hello"), done.stderr
    write_json(Path("/dev/null"), {})
    assert Path("/dev/null").is_char_device()
