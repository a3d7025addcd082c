import time

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from paths import SHARED
from scipy import ndimage

from gan3d.data.formats import readers
from gan3d.data.voxelization.voxelize import fill_interior, normalise, rasterise_surface, voxelize
from gan3d.synthetic import furniture
from gan3d.voxels import largest_component_share, max_pool

LATTICE = st.integers(0, 16).map(lambda step: step / 16)  # corners on voxel boundaries: the hard cases
ANYWHERE = st.floats(0, 1, width=32)


def triangles(coordinates: st.SearchStrategy, most: int = 4) -> st.SearchStrategy:
    return st.integers(1, most).flatmap(lambda count: arrays(np.float64, (count, 3, 3), elements=coordinates))


def overlaps(triangle: np.ndarray, side: int, slack: float) -> np.ndarray:
    """Test every voxel against the 13 axes of the separating axis theorem, without any shortcut."""
    edges = np.roll(triangle, -1, 0) - triangle
    axes = [*np.eye(3), np.cross(edges[0], edges[1])]
    axes += [np.cross(unit, edge) for unit in np.eye(3) for edge in edges]
    centres = (np.indices((side,) * 3).reshape(3, -1).T + 0.5) / side
    touches = np.ones(len(centres), bool)
    for axis in axes:
        length = np.linalg.norm(axis)
        if length < 1e-12:
            continue
        axis = axis / length
        projected, middle = triangle @ axis, centres @ axis
        radius = np.abs(axis).sum() / (2 * side) + slack
        touches &= (middle - radius <= projected.max()) & (middle + radius >= projected.min())
    return touches.reshape((side,) * 3)


@pytest.mark.parametrize("coordinates", [LATTICE, ANYWHERE], ids=["lattice", "anywhere"])
@pytest.mark.parametrize("side", [1, 4, 8])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_rasterisation_equals_the_separating_axis_theorem(coordinates, side, data):
    soup = data.draw(triangles(coordinates))
    least = np.any([overlaps(triangle, side, -1e-7) for triangle in soup], 0)
    most = np.any([overlaps(triangle, side, 1e-7) for triangle in soup], 0)
    found = rasterise_surface(soup, side)
    assert not (least & ~found).any()
    assert not (found & ~most).any()


@settings(max_examples=60, deadline=None)
@given(soup=triangles(ANYWHERE), side=st.sampled_from([4, 16, 32]), seed=st.integers(0, 2**32 - 1))
def test_every_point_of_a_triangle_lies_in_an_occupied_voxel(soup, side, seed):
    weights = np.random.default_rng(seed).dirichlet((0.5, 0.5, 0.5), 200)
    points = np.einsum("pc,tcx->tpx", weights, soup).reshape(-1, 3)
    cells = np.minimum((points * side).astype(int), side - 1)
    assert rasterise_surface(soup, side)[tuple(cells.T)].all()


@settings(max_examples=40, deadline=None)
@given(soup=triangles(LATTICE | ANYWHERE, 6))
def test_the_surface_of_a_coarser_grid_equals_the_finer_one_pooled(soup):
    fine = rasterise_surface(soup, 32)
    assert np.array_equal(max_pool(fine[None])[0] | rasterise_surface(soup, 16), rasterise_surface(soup, 16))
    inner = rasterise_surface(np.clip(soup, 0.013, 0.987), 16)  # away from boundaries both must agree
    assert np.array_equal(max_pool(rasterise_surface(np.clip(soup, 0.013, 0.987), 32)[None])[0], inner)


def test_degenerate_triangles_are_points_and_segments():
    point = np.full((1, 3, 3), 0.3)
    assert np.argwhere(rasterise_surface(point, 8)).tolist() == [[2, 2, 2]]
    segment = np.array([[[0.05, 0.3, 0.3], [0.95, 0.3, 0.3], [0.5, 0.3, 0.3]]])
    assert np.argwhere(rasterise_surface(segment, 8)).tolist() == [[x, 2, 2] for x in range(8)]


@settings(max_examples=30, deadline=None)
@given(lengths=arrays(np.float64, 3, elements=st.floats(0.05, 1)), side=st.sampled_from([8, 16, 32]))
def test_a_box_is_filled_solid(lengths, side):
    box = trimesh.creation.box(lengths)
    found = voxelize(box.vertices, box.faces, side)
    low = np.floor(normalise(box.vertices).min(0) * side - 1e-9).astype(int)
    high = np.floor(normalise(box.vertices).max(0) * side + 1e-9).astype(int)
    expected = np.zeros_like(found)
    expected[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = True
    assert np.array_equal(found, expected)


def test_an_open_box_stays_a_shell_and_fill_is_optional():
    box = trimesh.creation.box((1, 1, 1))
    lid = np.isclose(box.vertices[box.faces][:, :, 1], 0.5).all(1)
    assert lid.sum() == 2
    assert not voxelize(box.vertices, box.faces[~lid], 16)[8, 8, 8]
    assert voxelize(box.vertices, box.faces, 16)[8, 8, 8]
    assert not voxelize(box.vertices, box.faces, 16, "surface")[8, 8, 8]


def test_the_flood_fill_does_not_pass_diagonal_gaps():
    shell = np.zeros((5, 5, 5), bool)
    shell[1:4, 1:4, 1:4] = True
    shell[2, 2, 2] = False
    shell[1, 1, 1] = False  # a corner of the shell, which touches the hole inside only along an edge
    filled = fill_interior(shell)
    assert filled[2, 2, 2]
    assert not filled[1, 1, 1]


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 1.0, 1e6, 1.7e308])
def test_units_do_not_matter(scale):
    chair = furniture.generate("chair", 3)
    unit = chair.vertices / np.abs(chair.vertices).max()
    assert np.array_equal(voxelize(unit * scale, chair.faces, 16), voxelize(unit, chair.faces, 16))


def test_axes_and_aspect_are_kept():
    box = trimesh.creation.box((4, 2, 1))
    solid = voxelize(box.vertices, box.faces, 32)
    spans = [np.ptp(np.flatnonzero(solid.any(tuple({0, 1, 2} - {axis})))) + 1 for axis in range(3)]
    assert spans == [32, 16, 8]


@pytest.mark.parametrize("resolution", [16, 32, 64])
def test_thin_legs_stay_connected(resolution):
    top = trimesh.creation.box((1, 0.02, 0.8))
    legs = [trimesh.creation.box((0.001, 0.7, 0.001)) for _ in range(4)]
    for leg, (x, z) in zip(legs, [(-0.45, -0.35), (-0.45, 0.35), (0.45, -0.35), (0.45, 0.35)], strict=True):
        leg.apply_translation((x, -0.36, z))
    table = trimesh.util.concatenate([top, *legs])
    solid = voxelize(table.vertices, table.faces, resolution)
    assert largest_component_share(solid[None])[0] == 1
    floor = int(np.flatnonzero(solid.any((0, 2)))[0])
    assert ndimage.label(solid[:, floor])[1] == 4


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="no real data next to the repository")
def test_real_meshes_agree_with_trimesh_and_are_twenty_times_faster():
    ours = theirs = 0.0
    for path in sorted((SHARED / "data/meshes").glob("*/*.obj"))[::3]:
        mesh = readers.read(path, path.name)
        reference = trimesh.Trimesh(*mesh, process=False)
        start = time.perf_counter()
        solid = voxelize(*mesh, 64)
        middle = time.perf_counter()
        filled = reference.voxelized(pitch=reference.extents.max() / 63).fill()
        ours, theirs = ours + middle - start, theirs + time.perf_counter() - middle
        assert solid.sum() == pytest.approx(filled.filled_count, rel=0.2)
    assert theirs / ours > 20
