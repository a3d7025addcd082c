import csv
import errno
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from paths import SHARED
from scipy import io as matlab

from gan3d.data.pipeline import writer
from gan3d.data.pipeline.convert import Result
from gan3d.data.pipeline.export import export
from gan3d.data.pipeline.journal import Journal
from gan3d.data.pipeline.prepare import prepare
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.synthetic import furniture
from gan3d.voxels import max_pool

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no real data next to the repository")


@pytest.fixture(scope="module")
def meshes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "furniture"
    furniture.write(folder, chairs=12, tables=10, test=4)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def rejects(folder: Path) -> list[dict[str, str]]:
    with (folder / "rejects.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def save(path: Path, grid: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, grid)


def random_grid(seed: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).random((side,) * 3) < 0.3


def test_meshes_become_a_data_set(meshes, tmp_path):
    seen = []
    summary = prepare(meshes, tmp_path / "out", 16, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 22) for i in range(1, 23)]
    data = VoxelDataset(tmp_path / "out")
    assert data.classes == ["chair", "table"]
    assert data.summary == summary
    assert summary["counts"]["chair"]["test"] == 4
    assert summary["counts"]["chair"]["train"] + summary["counts"]["chair"]["validation"] == 8
    assert summary["counts"]["table"]["validation"] >= 1
    assert sorted(contents(tmp_path / "out")) == [
        "files.csv",
        "manifest.csv",
        "r04.npy",
        "r08.npy",
        "r16.npy",
        "rejects.csv",
        "summary.json",
    ]
    finest = data.voxels(16, np.arange(len(data)))
    for resolution in (8, 4):
        finest = max_pool(finest)
        assert np.array_equal(data.voxels(resolution, np.arange(len(data))), finest)
    training = data.voxels(8, data.select("train"))
    assert summary["occupancy"]["r08"] == pytest.approx(training.mean())
    assert data.rows[0]["source"] == "chair/test/chair_0008.obj"
    assert data.rows[0]["name"] == "chair_0008"
    assert len({row["hash"] for row in data.rows}) == len(data)


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_workers_or_the_kind_of_source(tmp_path):
    source = tmp_path / "many"
    furniture.write(source, chairs=50, tables=50, test=5)
    prepare(source, tmp_path / "one", 8, workers=1)
    prepare(source, tmp_path / "two", 8, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for path in sorted(source.rglob("*.obj"), reverse=True):
            archive.write(path, Path("wrapper") / path.relative_to(source))
    prepare(tmp_path / "many.zip", tmp_path / "zipped", 8, workers=2)
    plain, zipped = contents(tmp_path / "one"), contents(tmp_path / "zipped")
    assert plain["r08.npy"] == zipped["r08.npy"]
    assert b"wrapper/chair/train" in zipped["manifest.csv"]
    assert str(tmp_path).encode() not in b"".join(zipped.values()) + b"".join(plain.values())


def test_bad_files_do_not_stop_the_run(meshes, tmp_path):
    source = tmp_path / "mixed"
    good = next(meshes.rglob("*.obj")).read_bytes()
    bad = {
        "chair/empty.obj": b"",
        "chair/points.obj": b"v 0 0 0\nv 1 1 1\n",
        "chair/huge.off": b"OFF\n353535235358 6 0\n0 0 0\n",
        "chair/huge.binvox": b"#binvox 1\ndim 100000 100000 100000\ndata\n\x01\x01",
        "chair/noise.glb": bytes(range(256)) * 4,
        "chair/noise.ply": bytes(range(256)) * 4,
        "chair/noise.mat": bytes(range(256)) * 4,
        "chair/noise.npy": bytes(range(256)) * 4,
        "chair/noise.npz": bytes(range(256)) * 4,
        "chair/noise.stl": bytes(range(256)) * 4,
        "chair/thing.blend": b"BLENDER",
        "chair/wrong.off": good,
    }
    for name, content in {**bad, "chair/good.obj": good, "chair/notes.txt": b"hello"}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    save(source / "chair/coarse.npy", np.ones((4, 4, 4)))
    save(source / "chair/nothing.npy", np.zeros((16, 16, 16)))
    with (source / "chair/pickled.npy").open("wb") as stream:
        np.save(stream, np.array([{}], object), allow_pickle=True)
    summary = prepare(source, tmp_path / "out", 16)
    rows = rejects(tmp_path / "out")
    assert {row["file"] for row in rows} == {*bad, "chair/coarse.npy", "chair/pickled.npy", "chair/nothing.npy"}
    assert all(row["reason"].endswith(".") and row["advice"].endswith(".") for row in rows)
    assert (summary["rejected"], summary["dropped_empty"]) == (len(rows) - 1, 1)
    assert summary["skipped"] == 1
    assert [row["source"] for row in VoxelDataset(tmp_path / "out").rows] == ["chair/good.obj"]


def test_a_source_without_usable_shapes_gives_count_and_reason(tmp_path):
    for index in range(3):
        save(tmp_path / f"source/chair/{index}.npy", random_grid(index, 32))
    with pytest.raises(UserError, match=r"3 files.* \(3 times\) .* 32³, coarser than 64³; lower data.resolution to 32"):
        prepare(tmp_path / "source", tmp_path / "out", 64)
    assert not (tmp_path / "out").exists()
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="holds no meshes or voxel grids"):
        prepare(tmp_path / "nothing", tmp_path / "out", 64)
    save(tmp_path / "hollow/chair/a.npy", np.zeros((8, 8, 8)))
    with pytest.raises(UserError, match="empty grids"):
        prepare(tmp_path / "hollow", tmp_path / "out", 8)


@pytest.mark.slow
def test_a_failure_leaves_the_earlier_data_set(meshes, tmp_path, monkeypatch):
    out = tmp_path / "out"
    prepare(meshes, out, 8)
    before = contents(out)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError):
        prepare(tmp_path / "missing", out, 8)
    monkeypatch.setattr(writer, "write_csv", full)
    with pytest.raises(UserError, match=r"disk of .* is full"):
        prepare(meshes, out, 16)
    assert contents(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    monkeypatch.undo()
    prepare(meshes, out, 16)
    assert "r16.npy" in contents(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_folder_with_other_files_is_never_replaced(meshes, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds files other than"):
        prepare(meshes, tmp_path, 8)
    with pytest.raises(UserError, match="is a file"):
        prepare(meshes, tmp_path / "thesis.txt", 8)
    with pytest.raises(UserError, match="inside the source"):
        prepare(meshes, meshes / "out", 8)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"resolution": 20}, "data.resolution 20"),
        ({"up": "w"}, "data.up 'w'"),
        ({"validation": 0.6, "test": 0.4}, "leave no training shapes"),
        ({"test": -0.1}, "leave no training shapes"),
        ({"classes": ["sofa"]}, "no class 'sofa'.*chair, table"),
    ],
)
def test_invalid_arguments_name_their_key(meshes, tmp_path, arguments, says):
    with pytest.raises(UserError, match=says):
        prepare(meshes, tmp_path / "out", **{"resolution": 8, **arguments})


def test_classes_and_limit_select_shapes(meshes, tmp_path):
    summary = prepare(meshes, tmp_path / "out", 8, classes=["table"], limit=5, up="z")
    assert summary["classes"] == ["table"]
    assert sum(summary["counts"]["table"].values()) == 5
    assert VoxelDataset(tmp_path / "out").up == "z"


def test_ten_shapes_fill_all_splits_independently_of_names(tmp_path):
    for index in range(10):
        save(tmp_path / f"a/chair/{index}.npy", random_grid(index))
        save(tmp_path / f"b/chair/x{99 - index}.npy", random_grid(index))
    counts = prepare(tmp_path / "a", tmp_path / "out_a", 8)["counts"]["chair"]
    assert min(counts.values()) >= 1
    prepare(tmp_path / "b", tmp_path / "out_b", 8)
    splits = [{row["hash"]: row["split"] for row in VoxelDataset(tmp_path / out).rows} for out in ("out_a", "out_b")]
    assert splits[0] == splits[1]


def test_rotations_and_copies_stay_in_one_split(tmp_path):
    for number in range(30):
        for rotation in (1, 4, 11):
            path = tmp_path / f"source/chair/30/chair_{number:09d}_{rotation}.mat"
            path.parent.mkdir(parents=True, exist_ok=True)
            grid = np.rot90(random_grid(number), rotation)
            matlab.savemat(path, {"instance": grid.astype(np.int8)})
    save(tmp_path / "source/chair/copy.npy", np.rot90(random_grid(5), 4))
    summary = prepare(tmp_path / "source", tmp_path / "out", 8, test=0.3, validation=0.3)
    assert summary["duplicates"] == 1
    splits: dict[str, set[str]] = {}
    for row in VoxelDataset(tmp_path / "out").rows:
        splits.setdefault(row["group"], set()).add(row["split"])
    assert len(splits) == 30
    assert all(len(found) == 1 for found in splits.values())
    assert set().union(*splits.values()) == {"train", "validation", "test"}


def test_shapes_without_a_split_inherit_that_of_relatives(tmp_path):
    lines = ["file,class,split"]
    for number in range(20):
        for rotation in (1, 2, 3):  # only first rotations have a split, alternating
            name = f"chair_{number:09d}_{rotation}.npy"
            save(tmp_path / "source" / name, np.rot90(random_grid(number), rotation))
            lines.append(f"{name},chair,{('train', 'test')[number % 2] if rotation == 1 else ''}")
    save(tmp_path / "source/copy.npy", np.rot90(random_grid(3), 2))  # of a shape that is a relative of a test shape
    lines.append("copy.npy,chair,")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    summary = prepare(tmp_path / "source", tmp_path / "out", 8, table=tmp_path / "table.csv", test=0.3, validation=0)
    assert summary["counts"]["chair"] == {"train": 30, "validation": 0, "test": 30}
    assert summary["duplicates"] == 1
    splits: dict[str, set[str]] = {}
    for row in VoxelDataset(tmp_path / "out").rows:
        splits.setdefault(row["group"], set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values())


def test_a_source_of_test_shapes_only_stops(tmp_path):
    for index in range(3):
        save(tmp_path / f"source/chair/test/{index}.npy", random_grid(index))
    with pytest.raises(UserError, match=r"without training shapes \(0 train, 0 validation, 3 test\).*--labels"):
        prepare(tmp_path / "source", tmp_path / "out", 8)


def test_a_class_name_that_is_not_utf_8(tmp_path):
    name = os.fsdecode(b"fen\xeatre")
    for index in range(3):
        save(tmp_path / f"source/{name}/{index}.npy", random_grid(index))
    prepare(tmp_path / "source", tmp_path / "out", 8)
    assert VoxelDataset(tmp_path / "out").classes == [name]


def test_the_journal_of_an_interrupted_run_is_kept(tmp_path):
    def work(results: dict[int, Result], error: Exception) -> None:
        with Journal(tmp_path / "work") as journal:
            journal.open("key", 3)
            for number, result in results.items():
                journal.add(number, result)
            journal.flush()
            assert journal.result(0) == b"grid"
            raise error

    with pytest.raises(OSError, match="No space"):
        work({0: b"grid"}, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(UserError, match="lost"):
        work({1: None}, UserError("the workers are lost."))
    with pytest.raises(UserError, match="nothing is left"):  # rerunning would give the same error
        work({2: ("why", "what to do")}, UserError("nothing is left."))
    assert not (tmp_path / "work").exists()


def test_a_stated_test_split_stays_complete(tmp_path):
    for index in range(12):
        save(tmp_path / f"source/chair/train/{index}.npy", random_grid(index))
    save(tmp_path / "source/chair/train/again.npy", random_grid(3))
    for index in range(10, 14):  # 10 and 11 are copies of training shapes
        save(tmp_path / f"source/chair/test/{index}.npy", random_grid(index))
    save(tmp_path / "source/table/10.npy", random_grid(10))  # another class, so not a duplicate
    summary = prepare(tmp_path / "source", tmp_path / "out", 8, validation=0.2)
    assert summary["duplicates"] == 1
    assert summary["counts"]["chair"]["test"] == 4
    data = VoxelDataset(tmp_path / "out")
    known = {data.rows[row]["hash"] for row in data.select("train", "chair")}
    test = {data.rows[row]["hash"] for row in data.select("test", "chair")}
    assert summary["cross_split_duplicates"] == len(known & test)
    validation = {data.rows[row]["hash"] for row in data.select("validation", "chair")}
    assert validation
    assert not validation & known


def test_export_writes_a_split(meshes, tmp_path):
    prepare(meshes, tmp_path / "out", 16)
    data = VoxelDataset(tmp_path / "out")
    assert export(data, "test", "chair", 16, tmp_path / "deep/test.npz") == 4
    with np.load(tmp_path / "deep/test.npz", allow_pickle=False) as file:
        assert file.files == ["voxels"]
        assert file["voxels"].dtype == bool
        assert np.array_equal(file["voxels"], data.voxels(16, data.select("test", "chair")))
    assert export(data, "test", None, 4, tmp_path / "all.npz") == 8
    with pytest.raises(UserError, match="sofa"):
        export(data, "test", "sofa", 16, tmp_path / "x.npz")


def test_an_array_set_with_the_labels_of_modelnet10(tmp_path):
    grids_32 = np.stack([random_grid(index, 32) for index in range(40)]).astype(np.uint8)
    grids_32[7] = 0
    grids_32[13] = grids_32[3]
    stream = io.BytesIO()
    np.savez_compressed(stream, X_train=grids_32, y_train=np.arange(40) % 10)
    (tmp_path / "ModelNet10_subset.npz").write_bytes(stream.getvalue())
    summary = prepare(tmp_path / "ModelNet10_subset.npz", tmp_path / "out", 16, up="z")
    assert summary["kind"] == "arrays"
    assert summary["classes"][2] == "chair"
    assert (summary["dropped_empty"], summary["duplicates"]) == (1, 1)
    assert summary["counts"]["chair"] == {"train": 2, "validation": 1, "test": 1}
    data = VoxelDataset(tmp_path / "out")
    row = next(i for i, row in enumerate(data.rows) if row["source"] == "X_train[12]")
    assert np.array_equal(data.voxels(16, np.array([row])), max_pool(grids_32[12:13].astype(bool)))


@pytest.mark.shared
@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize(
    ("source", "resolution", "least"),
    [("volumetric_mat", 32, 40), ("meshes", 32, 24), ("binvox", 64, 10), ("modelnet10_train_32.npz", 16, 3500)],
)
def test_real_sources(tmp_path, source, resolution, least):
    summary = prepare(SHARED / "data" / source, tmp_path / "out", resolution)
    assert summary["rejected"] == 0
    total = sum(sum(counts.values()) for counts in summary["counts"].values())
    assert total + summary["duplicates"] >= least
    assert all(counts["train"] for counts in summary["counts"].values())
    assert 0.01 < summary["occupancy"]["r16"] < 0.4
    assert json.loads((tmp_path / "out/summary.json").read_text()) == summary


def test_shards_read_like_one_file(tmp_path, monkeypatch):
    voxels = np.random.default_rng(0).random((150, 8, 8, 8)) < 0.3
    np.savez(tmp_path / "cup.npz", voxels=voxels)
    prepare(tmp_path / "cup.npz", tmp_path / "one", 8)
    monkeypatch.setattr("gan3d.dataset.SHARD", 64 * 64)
    prepare(tmp_path / "cup.npz", tmp_path / "several", 8)
    assert [path.name for path in sorted((tmp_path / "several").glob("r*.npy"))] == [
        "r04.npy",
        "r08.0000.npy",
        "r08.0001.npy",
        "r08.0002.npy",
    ]
    one, several = VoxelDataset(tmp_path / "one"), VoxelDataset(tmp_path / "several")
    rows = np.random.default_rng(1).permutation(len(one))
    assert np.array_equal(several.packed(8)[rows], one.packed(8)[rows])
    assert np.array_equal(several.packed(8)[60:140:3], one.packed(8)[60:140:3])
    assert several.packed(8).shape == one.packed(8).shape
    assert several.fingerprint("train", 8) == one.fingerprint("train", 8)
    assert several.summary == one.summary


def test_names_are_stems_unless_they_collide(tmp_path):
    save(tmp_path / "source/chair/1f/model.npy", random_grid(1))
    save(tmp_path / "source/chair/2e/model.npy", random_grid(2))
    save(tmp_path / "source/chair/3d/other.npy", random_grid(3))
    prepare(tmp_path / "source", tmp_path / "out", 8)
    names = [row["name"] for row in VoxelDataset(tmp_path / "out").rows]
    assert names == ["chair/1f/model.npy", "chair/2e/model.npy", "other"]


@pytest.mark.slow
def test_a_replaced_archive_is_read_again(tmp_path):
    for seed in (1, 2):
        np.savez(tmp_path / "cup.npz", voxels=random_grid(seed)[None])
        with zipfile.ZipFile(tmp_path / "cup.zip", "w") as archive:
            archive.write(tmp_path / "cup.npz", "cup.npz")
        for name in ("cup.npz", "cup.zip"):
            prepare(tmp_path / name, tmp_path / "out", 8)
            data = VoxelDataset(tmp_path / "out")
            assert data.classes == ["cup"]
            assert np.array_equal(data.voxels(8, np.array([0]))[0], random_grid(seed))
