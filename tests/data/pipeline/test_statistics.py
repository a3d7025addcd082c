import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from gan3d.data.pipeline.prepare import prepare
from gan3d.data.pipeline.statistics import find_outliers, measure
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.voxels import pack_bits


def test_an_outlier_is_found_and_described(dataset_folder, tmp_path):
    folder = tmp_path / "odd"
    shutil.copytree(dataset_folder, folder)
    data = VoxelDataset(folder)
    voxels = data.voxels(16, np.arange(len(data))).copy()
    voxels[5] = True
    np.save(folder / "r16.npy", pack_bits(voxels))
    found = measure(VoxelDataset(folder))
    assert len(found.rows) == len(data)
    row, why = find_outliers(found, 3, "y")[0]
    assert row == 5
    assert why.split(",")[0] in ("full", "wide", "deep")
    assert found.symmetry[5].tolist() == [1, 1, 1]
    assert found.connected_share(0) == 1


@pytest.mark.parametrize(("up", "word"), [("x", "deep"), ("y", "deep"), ("z", "tall")])
def test_tall_means_along_the_up_axis(dataset, up, word):
    found = measure(dataset)
    extent = found.extent.copy()
    extent[3, 2] += 5  # along z
    row, why = find_outliers(replace(found, extent=extent), 1, up)[0]
    assert (row, why.split(",")[0]) == (int(found.rows[3]), word)


def test_symmetry_is_about_the_middle_of_the_shape(dataset):
    assert np.allclose(measure(dataset).symmetry, 1)  # boxes at any position


def stairs(rng, axis: int | None) -> np.ndarray:
    """Stairs that rise along an axis, or a skewed shape without symmetry."""
    shape, length, height = np.zeros((16, 16, 16), bool), int(rng.integers(10, 16)), int(rng.integers(8, 16))
    for step in range(length):
        top = max(1, height * (step + 1) // length)
        if axis is None:
            shape[step, :top, 2 : 2 + max(1, step)] = True
        elif axis == 0:
            shape[step, :top, 2:14] = True
        else:
            shape[2:14, :top, step] = True
    return shape


def test_each_class_has_its_own_mirror_axis_and_never_up(tmp_path):
    rng = np.random.default_rng(0)
    for name, axis in (("along_x", 2), ("along_z", 0), ("skew", None)):
        (tmp_path / "source" / name).mkdir(parents=True)
        for number in range(12):
            np.save(tmp_path / "source" / name / f"{number}.npy", stairs(rng, axis))
    summary = prepare(tmp_path / "source", tmp_path / "out", 16, up="y", validation=0.2, test=0.2)
    assert summary["mirror"] == {"along_x": "x", "along_z": "z", "skew": "none"}
    axes = {"along_x": 1, "along_z": 3, "skew": 0}
    for conditional in (True, False):
        data = VoxelDataset(tmp_path / "out", conditional)
        assert data.mirrored("measured").tolist() == [axes[row["class"]] for row in data.rows]
        assert set(data.mirrored("y")) == {2}
        assert set(data.mirrored("none")) == {0}


def test_data_prepared_before_mirror_axes_were_measured(dataset_folder, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(dataset_folder, folder)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    del summary["mirror"]
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    assert VoxelDataset(folder).mirrored("x").all()
    with pytest.raises(UserError, match="prepare the data again"):
        VoxelDataset(folder).mirrored("measured")
