import numpy as np
import pytest
import trimesh

from gan3d.data.voxelization.voxelize import normalise, voxelize
from gan3d.data.voxelization.winding import winding_numbers


def exact(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Winding number as the sum of solid angles (Van Oosterom and Strackee 1983)."""
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
@pytest.mark.parametrize("is_open", [False, True])
def test_winding_numbers_agree_with_the_sum_of_solid_angles(name, is_open):
    mesh = SHAPES[name]
    triangles = normalise(mesh.vertices)[mesh.faces]
    if is_open:
        triangles = triangles[len(triangles) // 10 :]
    found = winding_numbers(triangles, 32)
    away = ~voxelize(triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3), 32, "surface")
    cells = np.argwhere(away)[:: max(1, away.sum() // 400)]
    error = np.abs(found[tuple(cells.T)] - exact(triangles, (cells + 0.5) / 32))
    assert error.max() < 0.35  # one voxel away from the surface
    assert np.median(error) < 0.02


def test_an_open_box_is_solid_by_winding_and_hollow_by_flood_fill():
    box = trimesh.creation.box((1, 1, 1))
    lid = np.isclose(box.vertices[box.faces][:, :, 1], 0.5).all(1)
    faces = box.faces[~lid]
    assert voxelize(box.vertices, faces, 32, "winding")[16, 12, 16]
    assert not voxelize(box.vertices, faces, 32, "solid")[16, 12, 16]
    inside_out = faces[:, ::-1]
    assert np.array_equal(
        voxelize(box.vertices, inside_out, 32, "winding"), voxelize(box.vertices, faces, 32, "winding")
    )


def test_a_closed_mesh_is_the_same_by_winding_and_by_flood_fill():
    mesh = SHAPES["sphere"]
    assert np.array_equal(voxelize(*mesh_of(mesh), 32, "winding"), voxelize(*mesh_of(mesh), 32, "solid"))


def mesh_of(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    return mesh.vertices, mesh.faces
