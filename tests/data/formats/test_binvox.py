import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from paths import SHARED

from gan3d.data.formats.binvox import MAX_VOXELS, Binvox, decode, encode

HEAD = b"#binvox 1\ndim 2 2 2\ntranslate 0 0 0\nscale 1\ndata\n"


@settings(max_examples=100, deadline=None)
@given(
    voxels=arrays(bool, st.tuples(*[st.integers(1, 9)] * 3)),
    translate=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
    scale=st.floats(1e-6, 1e6),
)
def test_decode_inverts_encode(voxels, translate, scale):
    back = decode(encode(Binvox(voxels, translate, scale)))
    assert np.array_equal(back.voxels, voxels)
    assert (back.translate, back.scale) == (translate, scale)


def test_runs_over_255_are_split_and_restored():
    voxels = np.zeros((16, 16, 16), bool)
    voxels[5:] = True
    assert np.array_equal(decode(encode(Binvox(voxels))).voxels, voxels)


def test_y_varies_fastest_then_z_then_x():
    # x: 2, z: 3, y: 4 (the header's order is depth, height, width: x, z, y); the second byte on disk is y = 1
    content = b"#binvox 1\ndim 2 3 4\ndata\n" + bytes([0, 1, 1, 1, 0, 22])
    grid = decode(content).voxels
    assert grid.shape == (2, 4, 3)
    assert np.argwhere(grid).tolist() == [[0, 1, 0]]
    later = b"#binvox 1\ndim 2 3 4\ndata\n" + bytes([0, 4, 1, 1, 0, 19])  # one row of y further: z = 1
    assert np.argwhere(decode(later).voxels).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"binvox 1\n", "does not start"),
        (b"#binvox 1\ndim 2 2 2\n", "no data line"),
        (b"#binvox 1\n" + b"x 1\n" * 5000 + b"data\n", "no data line"),
        (b"#binvox 1\ndim 100000 100000 100000\ndata\n\x01\xff", "claims 100000"),
        (b"#binvox 1\ndim 0 2 2\ndata\n", "claims 0"),
        (b"#binvox 1\ndim -2 -2 2\ndata\n\x01\x08", "claims -2"),
        (b"#binvox 1\ndim two 2 2\ndata\n", "valid dim line"),
        (b"#binvox 1\ntranslate 0 0 0\ndata\n", "valid dim line"),
        (b"#binvox 1\ndim 2 2 2\nscale big\ndata\n\x01\x08", "valid scale line"),
        (HEAD + b"\x01\x07", "holds 7 voxels"),
        (HEAD + b"\x01\x09", "holds 9 voxels"),
        (HEAD, "holds 0 voxels"),
    ],
)
def test_broken_files_are_rejected_with_a_reason(content, reason):
    with pytest.raises(ValueError, match=reason):
        decode(content)


def test_the_size_in_the_header_is_bounded():
    side = round(MAX_VOXELS ** (1 / 3))
    with pytest.raises(ValueError, match="holds 1 voxels"):
        decode(f"#binvox 1\ndim {side} {side} {side}\ndata\n".encode() + b"\x01\x01")
    with pytest.raises(ValueError, match="claims"):
        decode(f"#binvox 1\ndim {side} {side} {side + 1}\ndata\n".encode() + b"\x01\x01")


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="no real data next to the repository")
def test_real_files_round_trip():
    paths = sorted((SHARED / "data/binvox").glob("*/*.binvox"))
    assert len(paths) == 10
    for path in paths:
        grid = decode(path.read_bytes())
        assert grid.voxels.shape == (128, 128, 128)
        assert 0.002 < grid.voxels.mean() < 0.5
        assert np.array_equal(decode(encode(grid)).voxels, grid.voxels)
