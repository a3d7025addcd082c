"""Meshes of voxels: closed, oriented outwards, of the right size and position, and readable."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gan3d.errors import UserError
from gan3d.shape_io import meshing
from gan3d.voxels import surface_voxels

GRIDS = st.integers(1, 5).flatmap(lambda side: arrays(bool, (side,) * 3))


def edge_counts(mesh: trimesh.Trimesh) -> np.ndarray:
    return np.unique(np.sort(mesh.edges, 1), axis=0, return_counts=True)[1]


@given(GRIDS)
@settings(deadline=None, max_examples=60)
def test_blocks_enclose_exactly_the_voxels(shape):
    mesh = meshing.blocks(shape)
    side = len(shape)
    padded = np.pad(shape, 1)
    exposed = sum(int((padded & ~np.roll(padded, step, axis)).sum()) for axis in range(3) for step in (1, -1))
    assert len(mesh.faces) == 2 * exposed
    assert len(np.unique(mesh.vertices, axis=0)) == len(mesh.vertices)  # merged
    if not shape.any():
        return
    assert mesh.volume == pytest.approx(shape.sum() / side**3)
    assert mesh.area == pytest.approx(exposed / side**2)
    assert mesh.center_mass == pytest.approx((np.argwhere(shape).mean(0) + 0.5) / side)
    directed, counts = np.unique(mesh.edges, axis=0, return_counts=True)
    back = np.unique(mesh.edges[:, ::-1], axis=0, return_counts=True)
    assert np.array_equal(directed, back[0])  # every edge is used equally often in both directions
    assert np.array_equal(counts, back[1])


def test_two_boxes_are_watertight():
    shape = np.zeros((8, 8, 8), bool)
    shape[1:3, 1:4, 1:5] = shape[5:7, 5:8, 0:2] = True
    for mesh in (meshing.blocks(shape), meshing.smooth(shape)):
        assert mesh.is_watertight
        assert mesh.is_winding_consistent
        assert mesh.body_count == 2
    assert meshing.blocks(shape).euler_number == 4


def test_axes_and_position_are_kept():
    shape = np.zeros((8, 8, 8), bool)
    shape[0:2, 3:6, 7] = True
    expected = [[0, 3 / 8, 7 / 8], [2 / 8, 6 / 8, 1]]
    np.testing.assert_allclose(meshing.blocks(shape).bounds, expected)
    np.testing.assert_allclose(meshing.smooth(shape).bounds, expected, atol=1e-6)


@pytest.mark.parametrize("style", ["blocks", "smooth"])
@pytest.mark.parametrize("extension", [".stl", ".obj", ".PLY", ".glb"])
def test_files_are_readable(tmp_path, extension, style):
    shape = np.zeros((8, 8, 8), bool)
    shape[2:6, 1:3, 2:7] = shape[2:4, 3:8, 2:4] = True
    path = meshing.save_shape(tmp_path / "new" / f"shape{extension}", shape, style=style)
    mesh = trimesh.load(path, force="mesh")
    assert mesh.is_watertight
    assert mesh.volume > 0.8 * shape.mean()
    assert mesh.bounds == pytest.approx(np.array([[2, 1, 2], [6, 8, 7]]) / 8, abs=1e-3)


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_only_glb_is_rotated_to_y_up(tmp_path, up):
    shape = np.zeros((8, 8, 8), bool)
    shape[:, :, :2] = True  # asymmetric in all directions
    shape[:2, :6] = True
    shape = np.moveaxis(shape, 2, "xyz".index(up))
    kept, rotated = (
        trimesh.load(meshing.save_shape(tmp_path / name, shape, style="blocks", up=up), force="mesh")
        for name in ("a.ply", "a.glb")
    )
    heights = kept.center_mass["xyz".index(up)]
    assert rotated.center_mass[1] == pytest.approx(heights)
    assert rotated.volume == pytest.approx(kept.volume)  # a rotation: a reflection would be inside out
    if up == "y":
        np.testing.assert_allclose(rotated.bounds, kept.bounds)


def test_invalid_arguments(tmp_path):
    shape = np.ones((4, 4, 4), bool)
    with pytest.raises(UserError, match=r"chair\.fbx cannot be written as a mesh: choose one of \.stl"):
        meshing.save_shape(tmp_path / "chair.fbx", shape)
    with pytest.raises(UserError, match="style 'round' does not exist"):
        meshing.save_shape(tmp_path / "chair.stl", shape, style="round")
    with pytest.raises(UserError, match="up axis 'w' does not exist"):
        meshing.save_shape(tmp_path / "chair.stl", shape, up="w")
    with pytest.raises(UserError, match=r"chair\.stl was not written since the shape is empty"):
        meshing.save_shape(tmp_path / "chair.stl", shape & False)
    assert not list(tmp_path.iterdir())


def test_the_largest_grid():
    shape = surface_voxels(np.ones((1, 128, 128, 128), bool))[0]
    assert len(meshing.blocks(shape).faces) == 2 * 6 * (128**2 + 126**2)
