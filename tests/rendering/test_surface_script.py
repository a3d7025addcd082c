"""The smooth surface that pages make, against the one that files hold."""

import base64

import numpy as np
import pytest
from browser import browser, needs_chromium
from scipy.spatial import cKDTree

from gan3d.data.voxelization.voxelize import voxelize
from gan3d.rendering.scripts import bundle
from gan3d.shape_io.surface import smooth_surface
from gan3d.synthetic.furniture import generate
from gan3d.voxels import pack_bits

pytestmark = [pytest.mark.slow, needs_chromium]


def ball(side):
    grid = np.indices((side,) * 3) - (side - 1) / 2
    return (grid**2).sum(0) < (0.4 * side) ** 2


def furniture(class_name, index, side):
    mesh = generate(class_name, index)
    return voxelize(mesh.vertices, mesh.faces, side)


SHAPES = {
    "noise": np.random.default_rng(3).random((8, 8, 8)) < 0.4,  # sheets that meet along edges and at corners
    "dense noise": np.random.default_rng(4).random((8, 8, 8)) < 0.6,
    "full": np.ones((4, 4, 4), bool),
    "one voxel": np.pad(np.ones((1, 1, 1), bool), ((0, 3), (3, 0), (1, 2))),
    "ball": ball(16),
    "chair": furniture("chair", 3, 16),
    "table": furniture("table", 5, 32),
}


@pytest.fixture(scope="module")
def surfaces():
    """Vertices (V, 3) and triangles (F, 3) by name, as a page makes them."""
    script = f"""([bits, side]) => {{
      {bundle("voxels")}
      {bundle("surface")}
      const {{ places, faces }} = smoothSurface(unpack(fromBase64(bits), side, "y"));
      return [Array.from(places), Array.from(cutQuads(places, faces), (corner) => faces[corner])];
    }}"""
    with browser() as running:
        page = running.open("about:blank")
        found = {}
        for name, voxels in SHAPES.items():
            places, faces = page.evaluate(script, [base64.b64encode(pack_bits(voxels[None])).decode(), len(voxels)])
            found[name] = np.reshape(places, (-1, 3)), np.reshape(faces, (-1, 3)).astype(int)
        assert page.errors == []
    return found


@pytest.mark.parametrize("name", SHAPES)
def test_a_page_makes_the_surface_that_files_hold(surfaces, name):
    (places, faces), (vertices, triangles) = surfaces[name], smooth_surface(SHAPES[name])
    assert len(places) == len(vertices)
    assert len(faces) == len(triangles)
    np.testing.assert_allclose(np.sort(cKDTree(vertices).query(places)[0]), 0, atol=1e-6)
    np.testing.assert_allclose(np.sort(cKDTree(places).query(vertices)[0]), 0, atol=1e-6)
    assert volume(places, faces) == pytest.approx(volume(vertices, triangles), abs=1e-3)


def volume(vertices, faces):
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return float((a * np.cross(b, c)).sum() / 6)
