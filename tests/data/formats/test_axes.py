import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan3d.data.formats.axes import find_axes
from gan3d.data.formats.readers import UnreadableFile, fit_grid

SIDES = st.tuples(*[st.integers(5, 48)] * 3)
UINT8, FLOAT = np.dtype("u1"), np.dtype("f4")


@settings(deadline=None)
@given(SIDES, st.integers(2, 600))
def test_axes_of_length_one_are_channels(grid, count):
    assert find_axes(grid, UINT8).grid == grid
    single = find_axes((*grid, 1), UINT8)
    assert (single.count, single.grid, single.is_single) == (1, grid, True)
    for shape in ((count, *grid, 1), (count, 1, *grid)):
        found = find_axes(shape, UINT8)
        assert (found.count, found.grid, found.is_single) == (count, grid, False)
    for shape in ((1, *grid), (1, *grid, 1), (1, 1, *grid)):
        assert (find_axes(shape, UINT8).count, find_axes(shape, UINT8).grid) == (1, grid)


@settings(deadline=None)
@given(st.integers(4, 128), st.integers(1, 100))
def test_rows_of_a_cube_are_flattened_grids(side, count):
    for shape in ((count, side**3), (count, side**3, 1)) if side > 8 else ((count, side**3),):
        assert find_axes(shape, FLOAT).grid == (side, side, side)
    with pytest.raises(UnreadableFile, match="is no cube"):
        find_axes((count, side**3 + 1), FLOAT)


@pytest.mark.parametrize(
    ("shape", "dtype", "labels", "says"),
    [
        ((20, 2048, 3), FLOAT, 20, "as points have: 2048 points of 3 numbers"),
        ((2048, 6), FLOAT, None, "as points have"),
        ((60000, 28, 28), UINT8, None, "would be padded to 65536³"),
        ((40, 28, 28), UINT8, 40, "each of its rows is flat"),
        ((40, 28, 28, 1), UINT8, 40, "each of its rows is flat"),
        ((40, 1, 28, 28), UINT8, None, "flat picture"),
        ((500, 32, 32, 3), UINT8, None, "channels"),
        ((32, 32, 32, 4), FLOAT, None, "channels"),
        ((8, 32, 32, 32, 3), UINT8, None, "channels"),
        ((600, 20, 20), UINT8, None, "longest side of 600 voxels would be padded to 1024³"),
        ((4, 0, 4, 4), UINT8, None, "has the shape"),
        ((4, 4, 4), np.dtype("U3"), None, "has the type"),
        ((64,), UINT8, None, "has the shape"),
    ],
)
def test_axes_without_evidence_are_refused(shape, dtype, labels, says):
    with pytest.raises(UnreadableFile, match=re.escape(says)):
        find_axes(shape, dtype, labels)


def test_a_long_grid_is_refused_before_it_is_padded():
    with pytest.raises(UnreadableFile, match=r"longest side of 513 voxels would be padded to 1024³"):
        fit_grid(np.ones((513, 1, 1), bool), 32)
