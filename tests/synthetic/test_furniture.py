import hashlib
from pathlib import Path

import numpy as np
import pytest

from gan3d.data.formats.readers import read
from gan3d.data.voxelization.voxelize import voxelize
from gan3d.errors import UserError
from gan3d.stages.prepare import local_source
from gan3d.synthetic import furniture
from gan3d.voxels import largest_component_share


def digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*.obj")):
        whole.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def voxels() -> dict[str, np.ndarray]:
    meshes = {name: [furniture.generate(name, i) for i in range(150)] for name in furniture.GENERATORS}
    return {name: np.stack([voxelize(m.vertices, m.faces, 16) for m in group]) for name, group in meshes.items()}


def test_equal_seeds_give_equal_bytes_and_other_seeds_other_ones(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        furniture.write(tmp_path / name, chairs=6, tables=6, seed=seed, test=2)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")
    assert [len(list((tmp_path / "a/chair" / split).iterdir())) for split in ("train", "test")] == [4, 2]
    furniture.write(tmp_path / "a", chairs=3, tables=3, test=1)  # an existing folder is replaced
    assert len(list((tmp_path / "a").rglob("*.obj"))) == 6


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "mine/sub").mkdir(parents=True)
    (tmp_path / "mine/sub/thesis.txt").write_text("all of it")
    (tmp_path / "note").write_text("a file")
    for name in ("mine", "note"):
        with pytest.raises(UserError, match=f"{name} holds other files than the embedded furniture"):
            furniture.ensure(tmp_path / name)
    assert (tmp_path / "mine/sub/thesis.txt").read_text() == "all of it"
    (tmp_path / "empty").mkdir()
    furniture.write(tmp_path / "empty", chairs=2, tables=2, test=1)
    assert len(list((tmp_path / "empty").rglob("*.obj"))) == 4


def test_meshes_are_read_back_unchanged(tmp_path):
    furniture.write(tmp_path / "a", chairs=3, tables=3, test=1)
    for path in (tmp_path / "a").rglob("*.obj"):
        expected = furniture.generate(path.parts[-3], int(path.stem[-4:]))
        mesh = read(path, path.name)
        assert np.allclose(mesh.vertices, expected.vertices, atol=1e-4)
        assert np.array_equal(np.sort(mesh.faces, 0), np.sort(expected.faces, 0))


@pytest.mark.parametrize("class_name", list(furniture.GENERATORS))
def test_parts_are_closed_and_oriented(class_name):
    for index in range(60):
        mesh = furniture.generate(class_name, index)
        edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
        forth, back = {tuple(edge) for edge in edges}, {tuple(edge[::-1]) for edge in edges}
        assert forth == back  # every edge is used once in each direction
        assert mesh.vertices[:, 1].min() >= -1e-9


def test_shapes_are_connected_and_mostly_symmetric(voxels):
    for class_name, shapes in voxels.items():
        assert (largest_component_share(shapes) == 1).all(), class_name
        symmetric = (shapes == shapes[:, ::-1]).reshape(len(shapes), -1).mean(1) > 0.995
        assert symmetric.mean() > 0.8, class_name


def test_shapes_vary_and_neighbours_are_independent(voxels):
    for shapes in voxels.values():
        flat = shapes.reshape(len(shapes), -1)
        union = (flat[:, None] | flat[None]).sum(-1)
        likeness = (flat[:, None] & flat[None]).sum(-1) / union
        np.fill_diagonal(likeness, 0)
        assert likeness.max() < 1  # no copies
        neighbours = np.diag(likeness, 1).mean()
        assert neighbours == pytest.approx(likeness.mean(), abs=0.05)
        assert likeness.mean() < 0.5
        occupancy = flat.mean(1)
        assert occupancy.min() > 0.01
        assert occupancy.max() < 0.6
        assert occupancy.std() > 0.03


def test_synthetic_is_written_once_and_again_when_outdated(tmp_path, monkeypatch):
    written = []
    write = furniture.write
    monkeypatch.setattr(furniture, "write", lambda folder: (written.append(folder), write(folder, 2, 2, test=1)))
    assert local_source("synthetic", tmp_path) == tmp_path / "synthetic"
    local_source("synthetic", tmp_path)
    assert len(written) == 1
    (tmp_path / "synthetic" / ".version").write_text("older")
    local_source("synthetic", tmp_path)
    assert len(written) == 2
    assert local_source("elsewhere/x.zip", tmp_path) == Path("elsewhere/x.zip")


@pytest.mark.slow
def test_the_default_is_large_enough(tmp_path):
    folder = local_source("synthetic", tmp_path)
    for class_name in ("chair", "table"):
        counts = {split: len(list((folder / class_name / split).iterdir())) for split in ("train", "test")}
        assert sum(counts.values()) >= 600
        assert counts["test"] >= 100
