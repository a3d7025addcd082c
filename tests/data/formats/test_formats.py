"""NIfTI, MagicaVoxel, array sets, glTF buffers and tables of labels, written by other libraries and read back."""

import io
import struct
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as numpy_arrays

from gan3d.data.formats import magicavoxel
from gan3d.data.formats.readers import Mesh, UnreadableFile, read
from gan3d.data.pipeline.prepare import prepare
from gan3d.data.sources.archives import Location
from gan3d.data.sources.array_sets import inspect, read_grids
from gan3d.data.sources.label_table import read_table
from gan3d.data.sources.walk import walk
from gan3d.data.voxelization.voxelize import voxelize
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError

SMALL = st.tuples(*[st.integers(2, 12)] * 3)
BOX = trimesh.creation.box((1, 2, 3))


def rows(path: Path, key: str, wanted: list[int]) -> list[np.ndarray]:
    found = list(read_grids(Location(path), path.name, key, wanted))
    assert not any(isinstance(grid, UnreadableFile) for grid in found), found
    return found


@settings(max_examples=40, deadline=None)
@given(grid=numpy_arrays(bool, SMALL), kind=st.sampled_from(["u1", "i2", "f4", "f8", ">i2"]), zipped=st.booleans())
def test_nifti_round_trip(grid, kind, zipped):
    image = nibabel.Nifti1Image(grid.astype(kind), np.diag([-2.0, 3, 1, 1]))
    content = image.to_bytes()
    if zipped:
        import gzip

        content = gzip.compress(content)
    assert np.array_equal(read(content, "a.nii.gz" if zipped else "a.nii"), grid)


def test_a_nifti_2_with_a_slope_and_a_fourth_axis(tmp_path):
    grid = np.random.default_rng(0).random((5, 6, 7, 1)) < 0.4
    image = nibabel.Nifti2Image(grid.astype(np.float32) * 0.25, np.eye(4))
    image.header.set_data_dtype(np.int16)
    assert np.array_equal(read(image.to_bytes(), "a.nii"), grid[..., 0] & False)  # 0.25 is not occupied
    image = nibabel.Nifti2Image(grid.astype(np.int16) * 3, np.eye(4))
    assert np.array_equal(read(image.to_bytes(), "a.nii"), grid[..., 0])


@settings(max_examples=40, deadline=None)
@given(grid=numpy_arrays(bool, SMALL))
def test_magicavoxel_round_trip_keeps_the_empty_margin(grid):
    assert np.array_equal(read(magicavoxel.encode(grid), "a.vox"), grid if grid.any() else np.zeros((1, 1, 1), bool))


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<ii", len(body), 0) + body


def dictionary(**pairs: str) -> bytes:
    parts = struct.pack("<i", len(pairs))
    for name, value in pairs.items():
        for text in (name.encode(), value.encode()):
            parts += struct.pack("<i", len(text)) + text
    return parts


def transform(node: int, child: int, **frame: str) -> bytes:
    body = struct.pack("<i", node) + dictionary() + struct.pack("<4i", child, -1, 0, 1)
    return chunk(b"nTRN", body + dictionary(**frame))


@pytest.mark.parametrize("height", [3, 4, 5, 8])
@pytest.mark.parametrize("move", ["0 0 0", "0 0 4", "-3 20 4"])
def test_a_single_magicavoxel_model_keeps_its_margin_wherever_it_is_placed(height, move):
    grid = np.zeros((6, 5, 8), bool)
    grid[1:3, 2, :height] = True
    parts = magicavoxel.encode(grid)[20:] + transform(0, 1, _t=move)
    parts += chunk(b"nSHP", struct.pack("<i", 1) + dictionary() + struct.pack("<2i", 1, 0) + dictionary())
    content = b"VOX " + struct.pack("<i", 150) + b"MAIN" + struct.pack("<ii", 0, len(parts)) + parts
    assert np.array_equal(read(content, "a.vox"), grid)


def test_a_magicavoxel_scene_is_merged_with_its_transforms():
    bar = magicavoxel.encode(np.ones((4, 1, 2), bool))[20:]  # its SIZE and XYZI
    quarter = str(1 | 0 << 2 | 1 << 4)  # x' = -y, y' = x, z' = z
    parts = bar + transform(0, 1) + chunk(b"nGRP", struct.pack("<i", 1) + dictionary() + struct.pack("<3i", 2, 2, 4))
    parts += transform(2, 3, _t="0 0 1") + transform(4, 5, _t="10 0 1", _r=quarter)
    for shape in (3, 5):
        parts += chunk(b"nSHP", struct.pack("<i", shape) + dictionary() + struct.pack("<2i", 1, 0) + dictionary())
    grid = read(b"VOX " + struct.pack("<i", 150) + b"MAIN" + struct.pack("<ii", 0, len(parts)) + parts, "a.vox")
    assert grid.sum() == 16
    assert grid.shape == (12, 4, 2)
    assert grid[:4].sum() == 8
    assert grid[11].sum() == 8


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"VOX \x96\0\0\0MAIN", "truncated"),
        (magicavoxel.encode(np.ones((3, 3, 3), bool))[:-9], "more bytes than the file holds"),
        (b"VOX \x96\0\0\0", "missing"),
        (b"something else", "does not start with VOX"),
        (
            magicavoxel.encode(np.ones((3, 3, 3), bool)).replace(struct.pack("<3i", 3, 3, 3), b"\xff" * 12),
            "claims the size",
        ),
    ],
)
def test_a_broken_vox_is_rejected_with_a_reason(content, reason):
    with pytest.raises(UnreadableFile, match=reason):
        read(content, "a.vox")


def test_a_nifti_header_that_claims_too_much_is_rejected():
    content = bytearray(nibabel.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)).to_bytes())
    content[42:48] = struct.pack("<3h", 30000, 30000, 30000)
    with pytest.raises(UnreadableFile, match="longest side of 30000"):
        read(bytes(content), "a.nii")
    content[42:48] = struct.pack("<3h", 40, 40, 40)
    with pytest.raises(UnreadableFile, match="ends before"):
        read(bytes(content), "a.nii")


@settings(max_examples=25, deadline=None)
@given(voxels=numpy_arrays(bool, st.tuples(st.integers(1, 9), *[st.integers(4, 9)] * 3)), data=st.data())
def test_array_sets_of_every_layout_are_read_row_by_row(tmp_path_factory, voxels, data):
    folder = tmp_path_factory.mktemp("sets")
    packed = np.packbits(voxels.reshape(len(voxels), -1), 1)
    np.savez(folder / "plain.npz", voxels=voxels)
    np.savez_compressed(folder / "fortran.npz", X=np.asfortranarray(voxels.astype(np.float32)))
    np.savez_compressed(folder / "packed.npz", voxels_packed=packed, shape=voxels.shape[1:])
    np.savez(folder / "other.npz", **{"any name": voxels.astype(np.int64), "ids": np.arange(len(voxels))})
    np.save(folder / "set.npy", voxels.astype(np.uint8) * 255)
    with h5py.File(folder / "chunked.h5", "w") as file:
        file.create_dataset("deep/voxels", data=voxels.astype("u1"), chunks=True, compression="gzip")
    wanted = data.draw(st.lists(st.integers(0, len(voxels) - 1), min_size=1, unique=True).map(sorted))
    for path in sorted(folder.iterdir()):
        (array,) = inspect(Location(path), path.name)
        assert array.count == len(voxels)
        assert np.array_equal(np.stack(rows(path, array.key, wanted)), voxels[wanted])
        assert np.array_equal(rows(path, array.key, [0])[0], voxels[0])  # seek back


def test_a_set_of_one_grid_and_packed_cubes(tmp_path):
    grid = np.random.default_rng(1).random((8, 8, 8)) < 0.3
    np.savez(tmp_path / "one.npz", voxels=grid)
    np.savez(tmp_path / "bits.npz", packed=np.packbits(grid)[None])
    for name, key in (("one.npz", "voxels"), ("bits.npz", "packed")):
        assert inspect(Location(tmp_path / name), name)[0].count == 1
        assert np.array_equal(rows(tmp_path / name, key, [0])[0], grid)


def test_labels_in_hdf5(tmp_path):
    voxels = np.random.default_rng(2).random((4, 8, 8, 8)) < 0.3
    source = tmp_path / "source/sub"
    source.mkdir(parents=True)
    with h5py.File(source / "a.h5", "w") as file:
        file["X_train"], file["y_train"] = voxels[:3].astype("u1"), np.array([1, 0, 1])
        file["X_test"], file["y_test"] = voxels[3:].astype("u1"), np.array([0])
        file["classes"] = np.array([b"cup", b"pot"])
    found = walk(tmp_path / "source")
    assert [(item.name, item.class_name, item.split) for item in found.items] == [
        ("sub/a.h5:X_test[0]", "cup", "test"),
        ("sub/a.h5:X_train[1]", "cup", "train"),
        ("sub/a.h5:X_train[0]", "pot", "train"),
        ("sub/a.h5:X_train[2]", "pot", "train"),
    ]
    assert np.array_equal(found.items[1].read(), voxels[1])
    prepare(source / "a.h5", tmp_path / "out", 8)
    assert VoxelDataset(tmp_path / "out").classes == ["cup", "pot"]


@pytest.mark.parametrize("packed", ["folder", "zip", "tar"])
def test_gltf_reads_buffers_within_the_source_only(tmp_path, packed):
    files = trimesh.Scene(BOX).export(file_type="gltf")
    text = files.pop("model.gltf").decode()
    prefixes = {
        "good": "",
        "up": "../",
        "out": "../../",
        "root": f"{tmp_path}/",
        "web": "http://127.0.0.1:9/",
        "missing": "nowhere_",
    }
    layout = {
        f"x/chair/{name}.gltf": text.replace("gltf_buffer", f"{at}gltf_buffer").encode()
        for name, at in prefixes.items()
    }
    layout |= {f"{folder}{name}": content for name, content in files.items() for folder in ("", "x/", "x/chair/")}
    for name, content in layout.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    source = tmp_path / "x"
    if packed != "folder":
        import shutil

        source = Path(shutil.make_archive(str(tmp_path / "packed"), packed, tmp_path / "x"))
    items = {Path(item.name).name: item for item in walk(source).items}
    for name in ("good.gltf", "up.gltf"):
        mesh = items[name].read()
        assert isinstance(mesh, Mesh)
        assert np.array_equal(voxelize(*mesh, 16), voxelize(BOX.vertices, BOX.faces, 16))
    for name, reason in [("out", "outside"), ("root", "outside"), ("web", "outside"), ("missing", "missing")]:
        with pytest.raises(UnreadableFile, match=reason):
            items[f"{name}.gltf"].read()


def test_a_table_sets_class_and_split(tmp_path):
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    random = np.random.default_rng(3)
    for name in ("a", "b", "deep/c", "unnamed"):
        np.save(source / f"{name}.npy", random.random((8, 8, 8)) < 0.3)
    table = tmp_path / "labels.csv"
    table.write_text("\ufefffile,class,split\na.npy,cup,train\nb,pot,\ndeep/c.npy,pot,val\n")
    prepare(source, tmp_path / "out", 8, table=table, test=0.01, validation=0.01)
    data = VoxelDataset(tmp_path / "out")
    assert {(row["name"], row["class"]) for row in data.rows} == {("a", "cup"), ("b", "pot"), ("c", "pot")}
    assert next(row["split"] for row in data.rows if row["name"] == "c") == "validation"
    assert "unnamed.npy,The table of data.labels does not name it." in (tmp_path / "out/rejects.csv").read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,kind\na,b\n", "needs the columns"),
        ("file,class,split\na,b,c\n", "split 'c'"),
        ("file,class\na,\n", "line 2"),
    ],
)
def test_a_broken_table_is_rejected_with_its_line(tmp_path, text, says):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=says):
        read_table(tmp_path / "labels.csv")
    with pytest.raises(UserError, match="cannot be read"):
        read_table(tmp_path / "missing.csv")


def test_a_left_handed_source_is_mirrored(tmp_path):
    grid = np.zeros((8, 8, 8), bool)
    grid[1, 2, 3] = True
    (tmp_path / "s").mkdir()
    np.save(tmp_path / "s/a.npy", grid)
    for up, place in (("y", (6, 0, 3)), ("x", (0, 5, 3))):  # and a single voxel stands: it is moved to the floor
        summary = prepare(tmp_path / "s", tmp_path / "out", 8, up=up, handedness="left")
        assert summary["handedness"] == "left"
        assert tuple(np.argwhere(VoxelDataset(tmp_path / "out").voxels(8, np.array([0]))[0])[0]) == place


def test_an_array_of_points_is_rejected():
    stream = io.BytesIO()
    np.save(stream, np.random.default_rng(0).random((40, 100, 3)))
    with pytest.raises(UnreadableFile, match="as points have"):
        read(stream.getvalue(), "a.npy")
