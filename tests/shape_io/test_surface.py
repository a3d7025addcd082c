"""The smooth surface: closed, with every voxel on its side, flat where the shape is and crisp at its edges."""

import manifold3d
import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gan3d.shape_io.surface import REACH, block_surface, smooth_surface

GRIDS = st.tuples(*[st.integers(1, 6)] * 3).flatmap(lambda shape: arrays(bool, shape))


@given(GRIDS)
@settings(deadline=None, max_examples=60)
def test_it_is_closed_and_oriented_outwards(voxels):
    vertices, faces = smooth_surface(voxels)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    if not voxels.any():
        assert not len(faces)
        return
    assert (np.unique(np.sort(mesh.edges, 1), axis=0, return_counts=True)[1] == 2).all()
    assert mesh.is_winding_consistent
    assert mesh.volume > 0


def hits(solid: manifold3d.Manifold, point: np.ndarray) -> int:
    """How often a ray from a point upwards crosses the surface, as another library finds it."""
    return len(solid.ray_cast(tuple(point), tuple(point + np.array([1e-4, 2e-4, 100.0]))))


@given(GRIDS)
@settings(deadline=None, max_examples=25)
def test_no_voxel_changes_sides(voxels):
    vertices, faces = smooth_surface(voxels)
    if not voxels.any():
        return
    solid = manifold3d.Manifold(manifold3d.Mesh(vertices.astype(np.float32), faces.astype(np.uint32)))
    assert solid.status() == manifold3d.Error.NoError
    for index in np.ndindex(voxels.shape):
        assert hits(solid, np.array(index) + 0.5) % 2 == voxels[index]


def test_a_box_stays_a_box():
    voxels = np.zeros((9, 8, 7), bool)
    voxels[1:8, 2:6, 3:5] = True
    np.testing.assert_array_equal(smooth_surface(voxels)[0], block_surface(voxels)[0])


@pytest.mark.parametrize(("run", "degrees"), [(1, 1), (2, 2), (3, 5), (5, 8)])
def test_stairs_become_a_plane(run, degrees):
    """A ramp that rises by a voxel in `run`: away from its ends the surface has one slope, and its edges stay crisp."""
    x, y, _ = np.indices((40, 40, 6))
    voxels = y < 3 + x // run
    vertices, faces = smooth_surface(voxels)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    middle = (np.abs(mesh.triangles_center[:, 0] - 20) < 8) & (mesh.triangles_center[:, 1] > 4)
    top = middle & (np.abs(mesh.face_normals[:, 2]) < 0.5) & (mesh.triangles_center[:, 1] < 38)
    expected = np.array([-1, run, 0]) / np.hypot(1, run)
    angles = np.degrees(np.arccos(np.clip(mesh.face_normals[top] @ expected, -1, 1)))
    assert (angles * mesh.area_faces[top]).sum() / mesh.area_faces[top].sum() < degrees
    sides = vertices[np.abs(vertices[:, 2] - 3) > 2.9]
    assert set(np.unique(sides[:, 2])) == {0.0, 6.0}


def test_a_ball_is_smoother_than_its_voxels():
    centre = np.stack(np.indices((24, 24, 24)), -1) - 11.5
    voxels = (centre**2).sum(-1) < 100
    errors = []
    for vertices, faces in (smooth_surface(voxels), block_surface(voxels)):
        mesh = trimesh.Trimesh(vertices - 12, faces, process=False)
        outward = mesh.triangles_center / np.linalg.norm(mesh.triangles_center, axis=1, keepdims=True)
        angles = np.degrees(np.arccos(np.clip((mesh.face_normals * outward).sum(1), -1, 1)))
        errors.append((angles * mesh.area_faces).sum() / mesh.area)
        assert mesh.volume == pytest.approx(voxels.sum(), rel=0.03)
    assert errors[0] < errors[1] / 4


def test_vertices_stay_near_their_corner():
    voxels = np.random.default_rng(0).random((12, 12, 12)) < 0.5
    vertices, _ = smooth_surface(voxels)
    assert np.abs(vertices - np.round(vertices)).max() <= REACH + 1e-9
