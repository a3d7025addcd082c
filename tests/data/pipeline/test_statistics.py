import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from gan3d.data.pipeline.prepare import prepare
from gan3d.data.pipeline.statistics import measure, strangest
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.voxels import pack_bits


def test_the_odd_one_is_found_and_named(dataset_folder, tmp_path):
    folder = tmp_path / "odd"
    shutil.copytree(dataset_folder, folder)
    data = VoxelDataset(folder)
    voxels = data.voxels(16, np.arange(len(data))).copy()
    voxels[5] = True
    np.save(folder / "r16.npy", pack_bits(voxels))
    found = measure(VoxelDataset(folder))
    assert len(found.rows) == len(data)
    row, why = strangest(found, 3, "y")[0]
    assert row == 5
    assert why.split(",")[0] in ("full", "wide", "deep")
    assert found.symmetry[5].tolist() == [1, 1, 1]
    assert found.one_piece(0) == 1


@pytest.mark.parametrize(("up", "word"), [("x", "deep"), ("y", "deep"), ("z", "tall")])
def test_what_is_tall_stands_upright(dataset, up, word):
    found = measure(dataset)
    extent = found.extent.copy()
    extent[3, 2] += 5  # along z
    row, why = strangest(replace(found, extent=extent), 1, up)[0]
    assert (row, why.split(",")[0]) == (int(found.rows[3]), word)


def test_symmetry_is_about_the_shape(dataset):
    assert np.allclose(measure(dataset).symmetry, 1)  # boxes, wherever they stand


def wedge(rng, falls: int | None) -> np.ndarray:
    """Stairs that rise along an axis, or a skew one of no symmetry."""
    shape, length, height = np.zeros((16, 16, 16), bool), int(rng.integers(10, 16)), int(rng.integers(8, 16))
    for place in range(length):
        top = max(1, height * (place + 1) // length)
        if falls is None:
            shape[place, :top, 2 : 2 + max(1, place)] = True
        elif falls == 0:
            shape[place, :top, 2:14] = True
        else:
            shape[2:14, :top, place] = True
    return shape


def test_each_class_has_its_own_axis_of_symmetry_and_never_up(tmp_path):
    rng = np.random.default_rng(0)
    for name, falls in (("along_x", 2), ("along_z", 0), ("skew", None)):
        (tmp_path / "source" / name).mkdir(parents=True)
        for number in range(12):
            np.save(tmp_path / "source" / name / f"{number}.npy", wedge(rng, falls))
    summary = prepare(tmp_path / "source", tmp_path / "out", 16, up="y", validation=0.2, test=0.2)
    assert summary["mirror"] == {"along_x": "x", "along_z": "z", "skew": "none"}
    axes = {"along_x": 1, "along_z": 3, "skew": 0}
    for conditional in (True, False):
        data = VoxelDataset(tmp_path / "out", conditional)
        assert data.mirrored("measured").tolist() == [axes[row["class"]] for row in data.rows]
        assert set(data.mirrored("y")) == {2}
        assert set(data.mirrored("none")) == {0}


def test_data_that_was_prepared_before_axes_were_measured(dataset_folder, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(dataset_folder, folder)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    del summary["mirror"]
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    assert VoxelDataset(folder).mirrored("x").all()
    with pytest.raises(UserError, match="prepare the data again"):
        VoxelDataset(folder).mirrored("measured")
