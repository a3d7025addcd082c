"""A prepared data set that was cut, edited or mixed with another one: one sentence that names the file."""

import json
import os
import shutil
from collections import Counter

import numpy as np
import pytest

from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError


def summary(**changes):
    def edit(folder):
        path = folder / "summary.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


def text(name, change):
    return lambda folder: (folder / name).write_text(change((folder / name).read_text()))


def grids(make):
    return lambda folder: np.save(folder / "r08.npy", make(np.load(folder / "r08.npy")))


def fifo(folder):
    (folder / "r08.npy").unlink()
    os.mkfifo(folder / "r08.npy")


@pytest.mark.parametrize(
    ("damage", "file", "words"),
    [
        (text("summary.json", lambda _: "{"), "summary.json", "Expecting"),
        (text("summary.json", lambda _: "[]"), "summary.json", "does not say classes"),
        (text("summary.json", lambda _: "[" * 100_000), "summary.json", "recursion"),
        (lambda folder: (folder / "summary.json").write_bytes(b"\xff\0"), "summary.json", "Expecting"),
        (summary(counts={}), "summary.json", "counts are not those"),
        (summary(resolution="8"), "summary.json", "does not say resolution"),
        (text("manifest.csv", lambda _: ""), "manifest.csv", "0 rows"),
        (text("manifest.csv", lambda whole: "\n".join(whole.splitlines()[:-1])), "manifest.csv", "the summary counts"),
        (text("manifest.csv", lambda whole: whole.replace("split", "part", 1)), "manifest.csv", "'split' is no column"),
        (
            text("manifest.csv", lambda whole: whole + "x,nothing,train,x,x,x\n"),
            "manifest.csv",
            "'nothing' is no column",
        ),
        (lambda folder: os.truncate(folder / "r08.npy", 200), "r08.npy", "length"),
        (lambda folder: os.truncate(folder / "r08.npy", 0), "r08.npy", "No data"),
        (lambda folder: (folder / "r08.npy").unlink(), "", "r08.npy is missing"),
        (grids(lambda found: found[:5]), "r08.npy", "its shape is"),
        (grids(lambda found: found[:, :3]), "r08.npy", "its shape is"),
        (grids(lambda found: found.ravel()), "r08.npy", "its shape is"),
        (fifo, "r08.npy", "not a regular file"),
    ],
)
def test_damage_is_one_sentence(dataset_folder, tmp_path, damage, file, words):
    folder = tmp_path / "voxels"
    shutil.copytree(dataset_folder, folder)
    rows = VoxelDataset(folder).rows
    counts = {name: dict(Counter(row["split"] for row in rows if row["class"] == name)) for name in ("column", "slab")}
    summary(counts=counts)(folder)
    VoxelDataset(folder).voxels(8, np.array([0]))
    damage(folder)
    with pytest.raises(UserError, match=rf"{folder / file}.* is damaged .*{words}.*: run `dvc checkout`, or prepare"):
        VoxelDataset(folder).voxels(8, np.array([0]))
