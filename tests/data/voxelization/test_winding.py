import numpy as np
import pytest
import trimesh

from gan3d.data.voxelization.voxelize import normalise, voxelize
from gan3d.data.voxelization.winding import winding_numbers


def exact(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Sum of the solid angles of all triangles (Van Oosterom and Strackee 1983), in turns."""
    a, b, c = (triangles[None, :, i] - points[:, None] for i in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
    top = (a * np.cross(b, c)).sum(-1)
    bottom = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return 2 * np.arctan2(top, bottom).sum(-1) / (4 * np.pi)


SHAPES = {
    "sphere": trimesh.creation.icosphere(2),
    "torus": trimesh.creation.torus(1.0, 0.35),
    "box": trimesh.creation.box((1, 0.6, 0.3)),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("open_it", [False, True])
def test_the_grid_agrees_with_the_sum_of_solid_angles(name, open_it):
    mesh = SHAPES[name]
    triangles = normalise(mesh.vertices)[mesh.faces]
    if open_it:
        triangles = triangles[len(triangles) // 10 :]
    found = winding_numbers(triangles, 32)
    away = ~voxelize(triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3), 32, "surface")
    cells = np.argwhere(away)[:: max(1, away.sum() // 400)]
    error = np.abs(found[tuple(cells.T)] - exact(triangles, (cells + 0.5) / 32))
    assert error.max() < 0.35  # a voxel from the surface
    assert np.median(error) < 0.02


def test_a_box_without_lid_is_solid_by_winding_and_hollow_by_flood():
    box = trimesh.creation.box((1, 1, 1))
    lid = np.isclose(box.vertices[box.faces][:, :, 1], 0.5).all(1)
    faces = box.faces[~lid]
    assert voxelize(box.vertices, faces, 32, "winding")[16, 12, 16]
    assert not voxelize(box.vertices, faces, 32, "solid")[16, 12, 16]
    inside_out = faces[:, ::-1]
    assert np.array_equal(
        voxelize(box.vertices, inside_out, 32, "winding"), voxelize(box.vertices, faces, 32, "winding")
    )


def test_a_closed_mesh_is_the_same_by_winding_and_by_flood():
    mesh = SHAPES["sphere"]
    assert np.array_equal(voxelize(*mesh_of(mesh), 32, "winding"), voxelize(*mesh_of(mesh), 32, "solid"))


def mesh_of(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    return mesh.vertices, mesh.faces
