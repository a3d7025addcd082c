"""Classes of shapes that stand are moved down to the floor of the grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan3d.data.pipeline.placement import lower, measure_places
from gan3d.data.pipeline.prepare import prepare
from gan3d.dataset import VoxelDataset
from gan3d.voxels import pack_bits, unpack_bits


def table(height: int) -> np.ndarray:
    shape = np.zeros((16, 16, 16), bool)
    shape[2:14, height : height + 2, 2:14] = True
    for x in (2, 13):
        for z in (2, 13):
            shape[x, height - 4 : height, z] = True
    return shape


def ball() -> np.ndarray:
    shape = np.zeros((16, 16, 16), bool)
    shape[4:8, 6:9, 4:8] = True
    shape[12, 5, 12] = True  # its lowest voxel is beside it
    return shape


def pack(shape: np.ndarray) -> bytes:
    return pack_bits(shape[None]).tobytes()


def test_what_stands_is_placed_on_the_floor():
    grids = {"table": [pack(table(h)) for h in (6, 7, 9)], "ball": [pack(ball())] * 3}
    assert measure_places(grids, 16, "y") == {"table": "floor", "ball": "centre"}


@settings(max_examples=30, deadline=None)
@given(up=st.sampled_from("xyz"), seed=st.integers(0, 99))
def test_lowering_moves_a_shape_and_changes_nothing_else(up, seed):
    axis = "xyz".index(up)
    shape = np.zeros((8, 8, 8), bool)
    shape[2:5, 2:5, 2:5] = np.random.default_rng(seed).random((3, 3, 3)) < 0.5
    shape[3, 3, 3] = True
    lowered = unpack_bits(np.frombuffer(lower(pack(shape), 8, up), np.uint8)[None], 8)[0]
    layers, before = np.moveaxis(lowered, axis, 0), np.moveaxis(shape, axis, 0)
    assert layers[0].any()
    first = before.any((1, 2)).argmax()
    assert np.array_equal(layers[: 8 - first], before[first:])


@pytest.mark.parametrize(("place", "layer"), [("measured", 0), ("floor", 0), ("centre", 2)])
def test_a_data_set_says_where_its_shapes_are(tmp_path, place, layer):
    from gan3d.data.pipeline.options import PrepareOptions
    from gan3d.data.pipeline.prepare import prepare_source

    for name, heights in (("table", range(6, 10)), ("low", range(6, 10))):
        for height in heights:
            (tmp_path / f"source/{name}").mkdir(parents=True, exist_ok=True)
            shape = table(height)
            shape[:, :, 13] |= name == "low" and shape[:, :, 12]
            np.save(tmp_path / f"source/{name}/{height}.npy", shape)
    options = PrepareOptions(16, place=place, validation=0, test=0)
    summary = prepare_source(tmp_path / "source", tmp_path / "out", options, workers=1)
    assert set(summary["place"].values()) == {"floor" if place == "measured" else place}
    data = VoxelDataset(tmp_path / "out")
    lowest = data.voxels(16, np.arange(len(data))).any((1, 3)).argmax(1)
    assert lowest.min() == layer
    if place != "centre":
        assert set(lowest) == {0}
        assert summary["duplicates"] == 6  # on the floor, tables of other heights are equal


def test_the_share_of_symmetric_shapes_is_measured(tmp_path):
    for number in range(8):
        shape = table(8)
        shape[5 + number % 4, 10, 3] = True  # one voxel: nearly symmetric
        if number < 2:
            shape[2:6, 10:14, 3:9] = True
        shape[3, 9, number] = True
        (tmp_path / "source/table").mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / f"source/table/{number}.npy", shape)
    summary = prepare(tmp_path / "source", tmp_path / "out", 16, validation=0, test=0)
    data = VoxelDataset(tmp_path / "out")
    assert summary["symmetric"]["table"] == (0.75 if summary["mirror"]["table"] != "none" else 0.0)
    axes, shares = data.symmetry("x", "measured")
    assert (axes, shares) == ((1,), (summary["symmetric"]["table"],))
    assert data.symmetry("x", 0.3) == ((1,), (0.3,))
    assert data.symmetry("none", "measured") == ((0,), (0.0,))
