"""Layouts of public data sets: what folders, file names, keys and files beside arrays tell of class and split."""

import os
import socket
import struct
import unicodedata
import zipfile
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan3d.data.formats.names import SPLIT_WORDS
from gan3d.data.sources.labels import classes_of_paths, find_places
from gan3d.data.sources.walk import walk
from gan3d.errors import UserError

OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\n"
SPLITS = st.sampled_from([(split, word) for split, words in SPLIT_WORDS.items() for word in words])


def grids(count: int) -> np.ndarray:
    return (np.random.default_rng(count).random((count, 8, 8, 8)) < 0.3).astype(np.uint8)


def labels(count: int) -> np.ndarray:
    return np.arange(count) % 2


def make(root: Path, files: dict) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif isinstance(content, np.ndarray):
            np.save(path, content)
        elif path.suffix == ".npz":
            np.savez(path, **content)
        else:
            with h5py.File(path, "w") as file:
                for key, value in content.items():
                    file[key] = value
    return root


def counts(root: Path) -> dict:
    source = walk(root)
    assert source.rejects == []
    return dict(Counter((item.class_name, item.split) for item in source.items))


def halves(split: str | None, count: int, names: tuple[str, str] = ("class_0", "class_1")) -> dict:
    return {(names[0], split): (count + 1) // 2, (names[1], split): count // 2}


STATED = halves("train", 6) | halves("test", 4)
NAMED = halves("train", 6, ("cup", "pot")) | halves("test", 4, ("cup", "pot"))


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        # arrays and labels in files of their own
        ({"X_train.npy": grids(6), "y_train.npy": labels(6), "X_test.npy": grids(4), "y_test.npy": labels(4)}, STATED),
        (
            {
                **{"train_voxels.npy": grids(6), "train_labels.npy": labels(6), "test_voxels.npy": grids(4)},
                **{"test_labels.npy": labels(4), "classes.txt": "cup\npot\n"},
            },
            NAMED,
        ),
        (
            {
                **{"Training/voxels.npy": grids(6), "Training/labels.txt": "0\n1\n" * 3},
                **{"Testing/voxels.npy": grids(4), "Testing/labels.txt": "0\n1\n" * 2},
            },
            STATED,
        ),
        ({"voxels.npy": grids(6), "labels.npy": np.eye(2)[labels(6)]}, halves(None, 6)),
        ({"X.npy": grids(4), "y.csv": "label\ncup\npot\ncup\npot\n"}, halves(None, 4, ("cup", "pot"))),
        (
            {"images.npy": grids(4), "labels.npy": labels(4), "class_names.json": '{"0": "cup", "1": "pot"}'},
            halves(None, 4, ("cup", "pot")),
        ),
        ({"a.npz": {"X_train": grids(6)}, "y_train.npy": labels(6)}, halves("train", 6)),
        # splits in the names of files
        ({"train.npz": {"v": grids(6)}, "test.npz": {"v": grids(4)}}, {("mine", "train"): 6, ("mine", "test"): 4}),
        (
            {"Training.npz": {"v": grids(6)}, "Dev.npz": {"v": grids(3)}, "tst.npz": {"v": grids(4)}},
            {("mine", "train"): 6, ("mine", "validation"): 3, ("mine", "test"): 4},
        ),
        (
            {
                **{"data_train0.h5": {"data": grids(6), "label": labels(6)[:, None]}},
                **{"data_test0.h5": {"data": grids(4), "label": labels(4)[:, None]}, "shape_names.txt": "cup\npot\n"},
            },
            NAMED,
        ),
        (
            {"cup_train.npy": grids(6), "cup_test.npy": grids(4), "pot-train.npy": grids(3)},
            {("cup", "train"): 6, ("cup", "test"): 4, ("pot", "train"): 3},
        ),
        ({"train_1.obj": OBJ, "train_2.obj": OBJ, "test_1.obj": OBJ}, {("mine", "train"): 2, ("mine", "test"): 1}),
        # splits in the names of folders
        (
            {"training/cup/a.obj": OBJ, "valid_set/cup/b.obj": OBJ, "testing/cup/c.obj": OBJ},
            {("cup", "train"): 1, ("cup", "validation"): 1, ("cup", "test"): 1},
        ),
        (
            {"set_train/cup/a.obj": OBJ, "set_test/cup/b.obj": OBJ, "set_train/pot/c.obj": OBJ},
            {("cup", "train"): 1, ("cup", "test"): 1, ("pot", "train"): 1},
        ),
        # keys
        (
            {"a.npz": {"train_images": grids(6), "train_labels": labels(6), "test_images": grids(4),
                       "test_labels": labels(4)}},
            STATED,
        ),
        ({"a.h5": {"train/Volume": grids(6), "train/target": labels(6)}}, halves("train", 6)),
        ({"a.npz": {"VOXELS": grids(4), "Labels": ["cup", "pot", "cup", "pot"]}}, halves(None, 4, ("cup", "pot"))),
        (
            {"a.npz": {"voxels": grids(4), "labels": np.array(["cup", "pot"] * 2, object)}},
            halves(None, 4, ("cup", "pot")),
        ),
        ({"a.npz": {"x": grids(4).reshape(4, -1), "y": labels(4)}}, halves(None, 4)),
        # sets named by class
        ({"cup.npy": grids(4), "pot.npy": grids(3)}, {("cup", None): 4, ("pot", None): 3}),
        # files of one grid each
        ({f"{i}.npz": {"arr_0": grids(1)[0][..., None]} for i in range(4)}, {("mine", None): 4}),
        ({f"cup/{i}.npy": grids(1)[0][..., None] for i in range(4)}, {("cup", None): 4}),
        # names that look like splits
        ({"bus/a.obj": OBJ, "car/a.obj": OBJ, "train/a.obj": OBJ}, {(n, None): 1 for n in ("bus", "car", "train")}),
        ({"test_tube/a.obj": OBJ, "flask/a.obj": OBJ}, {("test_tube", None): 1, ("flask", None): 1}),
    ],
)  # fmt: skip
def test_layouts(tmp_path, files, wanted):
    assert counts(make(tmp_path / "mine", files)) == wanted


@settings(max_examples=60, deadline=None)
@given(SPLITS, SPLITS, st.sampled_from(["{}", "{}_data", "my-{}", "{}1"]), st.booleans())
def test_two_splits_side_by_side_are_no_classes(one, other, shape, in_folders):
    names = [shape.format(word) + ("/cup/a.obj" if in_folders else ".npz") for _, word in (one, other)]
    if one[0] == other[0]:
        return
    places = find_places(names)
    assert [places[name].split for name in names] == [one[0], other[0]]
    assert len(set(classes_of_paths(names, "mine").values())) == 1


@pytest.mark.parametrize(
    "names",
    [
        [f"Item_{i}/model.binvox" for i in range(5)],
        [f"{i * 7919 + 10**6:x}ab/mesh.obj" for i in range(5)],
        [f"shape-{i}/shape-{i}.off" for i in range(5)],
        [f"wrapper/{i:04d}/models/model.obj" for i in range(5)],
        [f"{i:05d}/{name}" for i in range(5) for name in ("model.obj", "voxel.mat", "model.solid.binvox")],
        [f"id{i}/{name}.obj" for i in range(5) for name in ("low", "high")],
        [f"train/obj_{i}/m.off" for i in range(5)] + [f"test/obj_{i}/m.off" for i in range(5, 9)],
    ],
)
def test_folders_of_one_shape_each_are_no_classes(names):
    assert len(set(classes_of_paths(names, "mine").values())) == 1


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ([f"{c}/{i}.obj" for c in ("cup", "pot", "jar") for i in range(2)], {"cup", "pot", "jar"}),
        ([f"{c}/{i}/model.obj" for c in ("cup", "pot", "jar") for i in range(4)], {"cup", "pot", "jar"}),
        ([f"class_{i}/model.obj" for i in range(4)], {f"class_{i}" for i in range(4)}),
        ([f"{c}/{i}.off" for c in range(10) for i in range(2)], {str(c) for c in range(10)}),
        (
            [f"{kind}/{c}/{i}.{kind}" for kind in ("obj", "binvox") for c in ("cup", "pot") for i in "ab"],
            {"cup", "pot"},
        ),
    ],
)
def test_folders_of_classes_stay_classes(names, wanted):
    assert set(classes_of_paths(names, "mine").values()) == wanted


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"voxels.npy": grids(4), "labels.npy": labels(3)}, "4 grids, and labels.npy beside it 3 labels"),
        ({"cup/a.obj": OBJ, "labels.npy": labels(3)}, "holds labels, and no array beside it"),
        ({"a.npz": {"X_train": grids(2)}}, "It has X_train but no y_train"),
        ({"a.h5": {"data": np.random.default_rng(0).random((20, 256, 3)), "label": labels(20)}}, "points"),
        ({"a.npz": {"in": grids(2), "out": grids(2)}}, r"It holds in \(2, 8, 8, 8\), out \(2, 8, 8, 8\)"),
        ({"a.npz": {"X": np.full((3, 4096), 7.5), "y": labels(3)}}, "features, not occupancy"),
        ({"a.npz": {"voxels": grids(2), "labels": np.array([{}, []], object)}}, "Python objects"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_reason(tmp_path, files, says):
    source = walk(make(tmp_path / "mine", files))
    assert len(source.rejects) == 1
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(source.rejects[0][1])


def test_a_pickle_in_labels_runs_no_code(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    make(tmp_path / "mine", {"a.npz": {"voxels": grids(2), "labels": np.array([Bomb(), 1], object)}})
    assert [row[1] for row in walk(tmp_path / "mine").rejects] == ["It holds Python objects, which are not loaded."]
    assert not (tmp_path / "ran").exists()


def test_a_class_in_both_unicode_forms_is_one(tmp_path):
    name = "Stühle"
    for form, stem in (("NFC", "a"), ("NFD", "b")):
        make(tmp_path / "mine", {f"{unicodedata.normalize(form, name)}/{stem}.obj": OBJ})
    assert counts(tmp_path / "mine") == {(name, None): 2}


def test_links_pipes_and_sockets_are_rejected_and_the_rest_is_read(tmp_path):
    root = make(tmp_path / "mine", {"cup/a.obj": OBJ, "cup/b.obj": OBJ})
    (root / "loop").symlink_to("loop")
    (root / "cup/ping.obj").symlink_to("pong.obj")
    (root / "cup/pong.obj").symlink_to("ping.obj")
    (root / "cup/gone.obj").symlink_to("nowhere.obj")
    (root / "cup/folder").symlink_to("..")
    os.mkfifo(root / "cup/pipe.obj")
    with socket.socket(socket.AF_UNIX) as server:
        old = Path.cwd()
        os.chdir(root / "cup")  # the path of a socket is short
        try:
            server.bind("s.obj")
        finally:
            os.chdir(old)
        source = walk(root)
    assert [item.name for item in source.items] == ["cup/a.obj", "cup/b.obj"]
    reasons = {name: reason for name, reason, _ in source.rejects}
    assert reasons["loop"] == reasons["cup/ping.obj"] == "It is a symbolic link that leads back to itself."
    assert reasons["cup/gone.obj"] == "It is a symbolic link that points to nothing."
    assert {"cup/folder", "cup/pipe.obj", "cup/s.obj"} <= set(reasons)


def set_method(path: Path, method: int) -> None:
    """Change the compression method in all headers of a zip."""
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = content.find(mark)
        while at >= 0:
            struct.pack_into("<H", content, at + offset, method)
            at = content.find(mark, at + 4)
    path.write_bytes(content)


@pytest.mark.parametrize(("method", "name"), [(9, "Deflate64"), (93, "Zstandard"), (77, "method 77")])
@pytest.mark.parametrize("kind", ["source.zip", "mine/inner.zip", "mine/set.npz"])
def test_a_compression_that_cannot_be_read_is_named(tmp_path, method, name, kind):
    path = tmp_path / kind
    make(tmp_path / "mine", {"cup/a.obj": OBJ})
    if path.suffix == ".npz":
        np.savez(path, voxels=grids(2))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("cup/a.obj", OBJ)
    set_method(path, method)
    if kind == "source.zip":
        with pytest.raises(UserError, match=f"compressed with {name}, which Python cannot read: extract it"):
            walk(path)
    else:
        ((_, reason, advice),) = walk(tmp_path / "mine", scratch=tmp_path / "scratch").rejects
        assert f"compressed with {name}" in reason
        assert advice.startswith("Extract it")
