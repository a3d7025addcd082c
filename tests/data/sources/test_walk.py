import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from paths import SHARED

from gan3d.data.formats.readers import Mesh, UnreadableFile
from gan3d.data.sources import archives
from gan3d.data.sources.labels import Label, classes_of_paths, group_of_path
from gan3d.data.sources.walk import walk
from gan3d.errors import UserError

OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\n"


def write_files(folder: Path, names: list[str]) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(OBJ)
    return folder


def pack(path: Path, names: list[str], content: str = OBJ) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["chair/a.obj", "table/b.obj"], ["chair", "table"]),
        (["chair/train/a.obj", "chair/test/b.obj", "table/train/c.obj"], ["chair", "chair", "table"]),
        (["train/chair/a.obj", "test/chair/b.obj", "Val/table/c.obj"], ["chair", "chair", "table"]),
        (["chair/30/train/a.mat", "chair/30/test/b.mat"], ["chair", "chair"]),
        (["30/chair/a.mat", "30/table/b.mat"], ["chair", "table"]),
        # a single wrapper around classes is skipped ...
        (["ModelNet10/chair/train/a.off", "ModelNet10/table/test/b.off"], ["chair", "table"]),
        (["ModelNet10/bathtub/train/a.off"], ["bathtub"]),
        (["data/chair/a.obj", "data/chair/b.obj"], ["chair", "chair"]),
        (["data/chair/a.obj", "data/chair/b.obj", "data/table/c.obj"], ["chair", "chair", "table"]),
        (["data/train/chair/a.obj", "data/test/chair/b.obj"], ["chair", "chair"]),
        (["a/b/chair/train/x.obj", "a/b/table/train/y.obj"], ["chair", "table"]),
        (["shapes/chair/1f/model.obj", "shapes/chair/2e/model.obj", "shapes/bed/3/m.obj"], ["chair", "chair", "bed"]),
        # ... but a single class with one folder per shape is a class
        (["chair/1f/model.obj", "chair/2e/model.obj"], ["chair", "chair"]),
        (["chair/1f/models/m.obj", "chair/1f/models/m.binvox", "chair/2e/models/m.obj"], ["chair"] * 3),
        (["chair/1f/m.obj", "chair/1f/m.binvox"], ["chair", "chair"]),
        (["03001627/1f/models/m.obj", "02691156/2e/models/m.obj"], ["03001627", "02691156"]),
        # two top folders are always classes
        (["chair/a/x.obj", "chair/a/y.obj", "table/b/x.obj"], ["chair", "chair", "table"]),
        # no class folder: the name of the source
        (["a.obj", "train/b.obj", "30/test/c.obj"], ["mine", "mine", "mine"]),
        (["chair.npz", "table.npz"], ["chair", "table"]),
        # next to class folders
        (["chair/a.obj", "stray.obj"], ["chair", None]),
    ],
)
def test_the_class_is_the_first_folder_that_is_not_a_split_rotation_or_wrapper(names, classes):
    assert [classes_of_paths(names, "mine")[name] for name in names] == classes


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("chair/30/train/chair_000000587_7.mat", "chair/chair_000000587"),
        ("chair/30/train/chair_000000587_10.mat", "chair/chair_000000587"),
        ("chair/30/test/chair_000000587_10.mat", "chair/chair_000000587"),
        ("chair/chair_000000587_7.off", "chair/chair_000000587"),
        ("chair/30/lamp_7.mat", "chair/lamp"),
        ("chair/lamp_7.mat", "chair/lamp_7"),
        ("chair/train/chair_0001.off", "chair/train/chair_0001"),
        ("chair/a.obj", "chair/a"),
        ("chair/a.v2.obj", "chair/a.v2"),
    ],
)
def test_rotations_share_a_group(name, group):
    assert group_of_path(name) == group


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_folder_and_zip_give_the_same_items(tmp_path, kind):
    names = [
        "chair/train/a.obj",
        "chair/TEST/b.obj",
        "chair/valid/c.obj",
        "table/d.obj",
        "table/d.mtl",
        "table/README",
        "table/look.PNG",
        "__MACOSX/chair/._a.obj",
        ".hidden/x.obj",
        "chair/.DS_Store",
        "chair/notes.blend",
    ]
    source = walk(write_files(tmp_path / "x", names) if kind == "folder" else pack(tmp_path / "x.zip", names))
    assert source.kind == {"zip": "archive"}.get(kind, kind)
    assert source.classes == ["chair", "table"]
    assert [(item.name, item.class_name, item.split) for item in source.items] == [
        ("chair/TEST/b.obj", "chair", "test"),
        ("chair/train/a.obj", "chair", "train"),
        ("chair/valid/c.obj", "chair", "validation"),
        ("table/d.obj", "table", None),
    ]
    assert len(source.skipped) == 6
    assert [row[:2] for row in source.rejects] == [("chair/notes.blend", "The format .blend is not supported.")]
    assert all(isinstance(item.read(), Mesh) for item in source.items)


def test_without_class_folders_the_source_names_the_class(tmp_path):
    assert walk(write_files(tmp_path / "lamp", ["a.obj", "test/b.obj"])).classes == ["lamp"]
    assert walk(write_files(tmp_path / "sofa/30/train", ["a.obj"])).classes == ["sofa"]
    assert walk(pack(tmp_path / "vase.zip", ["a.obj"])).classes == ["vase"]


def test_numbers_are_classes_if_there_are_no_other_folders(tmp_path):
    assert walk(write_files(tmp_path / "digits", ["0/a.obj", "0/b.obj", "12/test/c.obj"])).classes == ["0", "12"]
    assert walk(write_files(tmp_path / "sofa", ["30/train/a.obj", "30/test/b.obj"])).classes == ["sofa"]
    assert walk(write_files(tmp_path / "both", ["cup/0/a.obj", "pot/1/b.obj"])).classes == ["cup", "pot"]


def test_the_variants_of_a_shapenet_model_share_a_group(tmp_path):
    source = walk(write_files(tmp_path / "x", [f"chair/1a/model.{kind}obj" for kind in ("", "solid.", "surface.")]))
    assert {item.group for item in source.items} == {"chair/1a/model"}


def test_an_unsupported_archive_is_rejected_with_the_advice_to_unpack_it(tmp_path):
    source = walk(write_files(tmp_path / "x", ["chair/a.obj", "chair/b.7z", "chair/c.obj.gz"]))
    assert [advice.split(",")[0] for *_, advice in source.rejects] == ["Unpack it"] * 2


def test_hostile_members_of_a_zip_are_rejected_and_nothing_is_written(tmp_path):
    path = pack(tmp_path / "x.zip", ["chair/a.obj", "../evil.obj", "/abs.obj", "chair/../../up.obj", "C:/win.obj"])
    link = zipfile.ZipInfo("chair/link.obj")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    source = walk(path)
    assert [item.name for item in source.items] == ["chair/a.obj"]
    assert {row[0] for row in source.rejects} == {
        "../evil.obj",
        "/abs.obj",
        "chair/../../up.obj",
        "C:/win.obj",
        "chair/link.obj",
    }
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["x.zip"]


def test_a_large_archive_inside_a_tar_is_not_truncated(tmp_path, monkeypatch):
    inner = pack(tmp_path / "inner.zip", ["chair/a.obj", "table/b.obj"], OBJ + "# " + "".join(map(chr, range(33, 127))))
    with tarfile.open(tmp_path / "outer.tar", "w") as archive:
        archive.add(inner, "inner.zip")
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 200)  # of a shape; archives may be larger
    source = walk(tmp_path / "outer.tar", scratch=tmp_path / "scratch")
    assert source.rejects == []
    assert [item.name for item in source.items] == ["inner.zip/chair/a.obj", "inner.zip/table/b.obj"]
    assert isinstance(source.items[1].read(), Mesh)


def test_a_header_that_claims_more_grids_than_bytes_is_rejected(tmp_path):
    (tmp_path / "x").mkdir()
    np.save(tmp_path / "x/a.npy", np.ones((2, 4, 4, 4), np.uint8))
    content = (tmp_path / "x/a.npy").read_bytes()
    assert b"(2, 4, 4, 4)" in content
    (tmp_path / "x/a.npy").write_bytes(content.replace(b"(2, 4, 4, 4), }      ", b"(2000000, 4, 4, 4), }"))
    source = walk(tmp_path / "x")
    assert not source.items
    assert [row[1] for row in source.rejects] == ["It is damaged."]


def test_a_table_for_an_array_set_with_its_own_labels_is_rejected(tmp_path):
    np.savez(tmp_path / "set.npz", voxels=np.ones((2, 4, 4, 4), bool))
    with pytest.raises(UserError, match=r"holds the labels of its shapes itself: set data\.labels to null"):
        walk(tmp_path / "set.npz", {"set.npz": Label("chair", None)})


def test_a_damaged_member_does_not_affect_the_others(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("chair/a.obj", OBJ)
        archive.writestr("chair/b.obj", OBJ.replace("1 2 4", "1 3 4"))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1 3 4", b"1 3 9", 1))
    first, second = walk(path).items
    assert isinstance(first.read(), Mesh)
    with pytest.raises(UnreadableFile, match="in the archive is damaged"):
        second.read()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b"PK\x05\x06 not whole"), "archive is damaged"),
        (lambda path: path.write_text("hello"), "archive is damaged"),
    ],
)
def test_a_source_that_cannot_be_opened_gives_a_one_sentence_error(tmp_path, make, says):
    path = tmp_path / "source.zip"
    make(path)
    with pytest.raises(UserError, match=says) as caught:
        walk(path)
    assert str(path) in str(caught.value)


def test_an_encrypted_zip_is_rejected(tmp_path):
    path = pack(tmp_path / "x.zip", ["chair/a.obj"])
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="encrypted"):
        walk(path)


def test_labelled_arrays(tmp_path):
    grids = np.arange(5 * 8**3).reshape(5, 8, 8, 8) % 3 == 0
    path = tmp_path / "shapes.npz"
    np.savez(path, X_train=grids, y_train=np.array([7, 7, -2, 3, 3]), X_test=grids[:2], y_test=np.array([[3], [7]]))
    source = walk(path)
    assert source.kind == "arrays"
    assert source.classes == ["class_-2", "class_3", "class_7"]
    assert [(item.name, item.class_name, item.split) for item in source.items[-3:]] == [
        ("X_test[1]", "class_7", "test"),
        ("X_train[0]", "class_7", "train"),
        ("X_train[1]", "class_7", "train"),
    ]
    assert np.array_equal(source.items[-1].read(), grids[1])


def test_names_of_labels(tmp_path):
    grids = np.ones((10, 4, 4, 4, 1), np.uint8)
    np.savez(tmp_path / "MODELNET10_mini.npz", X_train=grids, y_train=np.arange(10))
    assert walk(tmp_path / "MODELNET10_mini.npz").classes[::9] == ["bathtub", "toilet"]
    np.savez(tmp_path / "b.npz", X_train=grids[:2], y_train=[1, 0], classes=np.array(["cup", "pot"]))
    source = walk(tmp_path / "b.npz")
    assert [(item.name, item.class_name) for item in source.items] == [("X_train[1]", "cup"), ("X_train[0]", "pot")]
    assert source.items[0].read().shape == (4, 4, 4)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"X_train": np.zeros((3, 4, 4, 4))}, "store 3 labels"),
        ({"X_train": np.zeros((3, 4, 4, 4)), "y_train": np.zeros(2)}, "store 3 labels"),
        (
            {"X_train": np.zeros((3, 4, 4, 4)), "y_train": np.array([0, 1, 0.5])},
            "store one integer, text or one-hot row",
        ),
        ({"X_train": np.zeros((1, 4, 4, 4)), "y_train": [2], "classes": np.array(["a"])}, "name each label"),
        ({"X_train": np.zeros((1, 4, 4, 4)), "y_train": np.array([{}], object)}, "Python objects"),
        ({"points": np.zeros((3, 3))}, "holds no readable shapes"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, "holds no readable shapes"),
    ],
)
def test_mismatched_arrays_are_rejected(tmp_path, arrays, says):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(UserError, match=says) as caught:
        walk(tmp_path / "x.npz")
    assert "x.npz" in str(caught.value)


def test_a_truncated_npz_is_rejected(tmp_path):
    stream = io.BytesIO()
    np.savez(stream, X_train=np.zeros((3, 4, 4, 4)), y_train=np.zeros(3, int))
    (tmp_path / "x.npz").write_bytes(stream.getvalue()[:-100])
    with pytest.raises(UserError, match="damaged"):
        walk(tmp_path / "x.npz")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_array_sets_in_class_folders(tmp_path, packed, zipped):
    grids = np.random.default_rng(0).random((3, 8, 8, 8)) < 0.3
    content = (
        {"voxels_packed": np.packbits(grids.reshape(3, -1), 1), "shape": [8, 8, 8]} if packed else {"voxels": grids}
    )
    folder = tmp_path / "x"
    (folder / "test").mkdir(parents=True)
    np.savez_compressed(folder / "chair.npz", **content)
    np.savez_compressed(folder / "test/table.npz", **content)
    path = folder
    if zipped:
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("chair.npz", "test/table.npz"):
                archive.write(folder / name, name)
    source = walk(path)
    assert source.classes == ["chair", "table"]
    assert [item.name for item in source.items][2:4] == ["chair.npz[2]", "test/table.npz[0]"]
    assert source.items[3].split == "test"
    assert np.array_equal(source.items[5].read(), grids[2])


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="no real data next to the repository")
def test_classes_of_real_folders():
    source = walk(SHARED / "data/volumetric_mat")
    assert source.classes == ["chair"]
    assert len(source.items) == 40
    assert len({item.group for item in source.items}) < 40
    assert walk(SHARED / "data/meshes").classes == ["chair", "table"]
    assert walk(SHARED / "data/binvox").classes == ["chair"]
    assert walk(SHARED / "corpus/modelnet_off").classes == ["bathtub"]
    assert walk(SHARED / "corpus/modelnet_off/ModelNet10").classes == ["bathtub"]
    assert walk(SHARED / "corpus/zihad_binvox").classes == ["chair"]
    assert len(walk(SHARED / "data/furniture64").items) == 2684 + 5235
    assert len(walk(SHARED / "data/modelnet10_train_32.npz").items) == 3991
