import numpy as np

from gan3d.data.statistics import measure, mirror_axis, strangest


def test_the_odd_one_is_found_and_named(dataset_folder, tmp_path):
    import shutil

    from gan3d import grids
    from gan3d.dataset import VoxelDataset

    folder = tmp_path / "odd"
    shutil.copytree(dataset_folder, folder)
    data = VoxelDataset(folder)
    voxels = data.voxels(16, np.arange(len(data))).copy()
    voxels[5] = True
    np.save(folder / "r16.npy", grids.pack(voxels))
    found = measure(VoxelDataset(folder))
    assert len(found.rows) == len(data)
    row, why = strangest(found, 3)[0]
    assert row == 5
    assert why.split(",")[0] in ("full", "wide", "deep")
    assert found.symmetry[5].tolist() == [1, 1, 1]
    assert found.one_piece(0) == 1


def test_symmetry_is_about_the_shape_and_up_is_never_suggested(dataset):
    found = measure(dataset)
    assert np.allclose(found.mean_symmetry(), 1)  # boxes, wherever they stand
    assert mirror_axis(found, "x") in ("y", "z")
    assert mirror_axis(found, "y") in ("x", "z")
    found.symmetry[:, [0, 2]] = 0.3
    assert mirror_axis(found, "y") == "none"
