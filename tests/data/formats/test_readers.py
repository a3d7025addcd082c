import io

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from paths import SHARED
from scipy import io as matlab

from gan3d.data.formats import binvox
from gan3d.data.formats.polygons import clip_ears, triangulate
from gan3d.data.formats.readers import Mesh, UnreadableFile, fit_grid, read
from gan3d.data.voxelization.voxelize import voxelize
from gan3d.voxels import max_pool

BOX = trimesh.creation.box((1, 2, 3))
CUBE_OFF = "8 12 0\n" + "\n".join(
    [*(" ".join(map(str, v)) for v in BOX.vertices), *("3 " + " ".join(map(str, f)) for f in BOX.faces)]
)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def mat(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    matlab.savemat(stream, arrays)
    return stream.getvalue()


def exported(kind: str, **options: object) -> bytes:
    content = BOX.export(file_type=kind, **options)
    return content.encode() if isinstance(content, str) else content


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.off", exported("off")),
        ("A.OFF", exported("off")),
        ("a.obj", exported("obj")),
        ("a.ply", exported("ply", encoding="ascii")),
        ("a.ply", exported("ply", encoding="binary")),
        ("a.stl", exported("stl")),
        ("a.STL", exported("stl") + b"\0"),
        ("a.stl", exported("stl_ascii")),
        ("a.glb", exported("glb")),
        ("a.off", f"OFF{CUBE_OFF}".encode()),
        ("a.off", f"\ufeff \tOFF {CUBE_OFF} # a cube\n".encode()),
        ("a.off", f"# a comment\nOFF\n{CUBE_OFF}"[12:].encode()),
        ("a.off", f"OFF\r\n{CUBE_OFF}\r\n".replace("\n3 ", "\r\n3 ").encode()),
        ("a.obj", exported("obj").replace(b"\n", b"\r\n")),
        ("a.obj", exported("obj").decode().encode("utf-16")),
        ("a.obj", b"mtllib no where.mtl\nusemtl \xff\xfe\n" + exported("obj")),
    ],
)
def test_every_format_gives_the_same_voxels(name, content):
    mesh = read(content, name)
    assert isinstance(mesh, Mesh)
    assert len(mesh.faces) == 12
    assert np.array_equal(voxelize(*mesh, 16), voxelize(BOX.vertices, BOX.faces, 16))


def test_a_scene_is_merged_with_its_transforms():
    scene = trimesh.Scene()
    scene.add_geometry(BOX)
    scene.add_geometry(BOX, transform=trimesh.transformations.translation_matrix((10, 0, 0)))
    mesh = read(scene.export(file_type="glb"), "two.glb")
    assert len(mesh.faces) == 24
    assert np.ptp(mesh.vertices, 0).tolist() == [11, 2, 3]


@pytest.mark.parametrize(
    ("text", "triangles"),
    [
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3", [[0, 1, 2]]),
        ("v 0 0 0 1\nv 1 0 0 1\nv 0 1 0 1\nf 1/1/1 2//2 3/3", [[0, 1, 2]]),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 9 9 9", [[0, 1, 2]]),
        ("  v  0 0 0\n\tv 1 0 0\nv 0 1 0 # last\nf 1 \\\n2 3", [[0, 1, 2]]),
        ("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\nl 1 2\nf\nf 1 2", [[0, 1, 2], [0, 2, 3]]),
        ("v 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 2 3 4 # a face", [[1, 2, 3]]),
        ("v 1.#IND 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 2 3 4", [[1, 2, 3]]),
    ],
)
def test_unusual_but_valid_obj(text, triangles):
    assert read(text.encode(), "a.obj").faces.tolist() == triangles


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.obj", b"", "empty"),
        ("a.stl", b" \n ", "empty"),
        ("a.wrl", b"#VRML", ".wrl is not supported"),
        ("a", b"x", "without an extension"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4", "vertex 4, but the file has 3"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2", "counts from 1"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -4 -2 -1", "past the first vertex"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf a b c", "not an integer"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nl 1 2 3", "no faces"),
        ("a.obj", b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3", "NaN"),
        ("a.obj", b"v inf 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3", "NaN or inf"),
        ("a.obj", b"v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3", "one point"),
        ("a.off", b"OFF\n353535235358 6 0\n0 0 0\n", "claims 353535235358 vertices"),
        ("a.off", b"OFF\n-3 1 0\n0 0 0\n", "claims -3 vertices"),
        ("a.off", b"3\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2", "does not start with OFF"),
        ("a.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3", "vertex 3, but the file has 3"),
        ("a.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n9 0 1 2", "claims 9 corners"),
        ("a.off", b"OFF BINARY\n\0\0\0\x03", "counts"),
        ("a.stl", exported("stl")[:300], "claims 12 triangles, but it holds 4"),
        ("a.stl", b"solid nothing\nendsolid\n", "no faces"),
        ("a.ply", exported("ply")[:-20], "cannot be read as PLY"),
        ("a.glb", exported("glb")[:200], "cannot be read as GLB"),
        ("a.glb", b"not a glb at all, but long enough", "cannot be read as GLB"),
        ("a.binvox", b"#binvox 1\ndim 100000 100000 100000\ndata\n\x01\x01", "claims 100000"),
        ("a.mat", b"not a matlab file", "cannot be read as MAT"),
        ("a.mat", mat(points=np.zeros((5, 3))), "holds points, and none is recognised"),
        ("a.mat", mat(instance=np.zeros((5, 3))), "shape (5, 3)"),
        ("a.npy", npy(np.zeros((4, 4))), "shape (4, 4)"),
        ("a.npy", npy(np.zeros((2, 4, 4, 4))), "shape (2, 4, 4, 4)"),
        ("a.npy", npy(np.zeros((4, 4, 4), complex)), "complex"),
        ("a.npy", npy(np.zeros((4, 4, 4), "U3")), "<U3"),
        ("a.npy", npy(np.full((4, 4, 4), np.nan)), "NaN"),
        ("a.npy", npy(np.zeros((4, 4, 4)))[:-1], "ends before the 512 bytes"),
        ("a.npy", npy(np.array([{}, []], object)), "Python objects"),
        (
            "a.npy",
            npy(np.zeros(1, bool)).replace(b"(1,)", b"(9999999, 9999999, 9999999)"),
            "ends before|cannot be read",
        ),
    ],
)
def test_unusable_files_are_rejected_with_reason_and_advice(name, content, reason):
    with pytest.raises(UnreadableFile) as caught:
        read(content, name)
    assert any(part in caught.value.reason for part in reason.split("|"))
    assert caught.value.reason.endswith(".")
    assert caught.value.advice.endswith(".")


def test_a_missing_file_is_rejected(tmp_path):
    with pytest.raises(UnreadableFile, match="cannot be opened"):
        read(tmp_path / "gone.obj", "gone.obj")


@settings(max_examples=50, deadline=None)
@given(grid=arrays(bool, st.tuples(*[st.integers(2, 12)] * 3)))
def test_grids_round_trip_in_every_format(grid):
    for name, content in [
        ("a.npy", npy(grid)),
        ("a.npy", npy(np.asfortranarray(grid.astype(np.float32)))),
        ("a.npy", npy(grid.astype(np.int8)[None])),
        ("a.mat", mat(instance=grid.astype(np.int8))),
        ("a.mat", mat(voxels=grid.astype(np.uint8))),
        ("a.binvox", binvox.encode(binvox.Binvox(grid))),
    ]:
        assert np.array_equal(read(content, name), grid)


@settings(max_examples=50, deadline=None)
@given(grid=arrays(bool, st.tuples(*[st.integers(9, 20)] * 3)))
def test_fit_grid_centres_pads_and_pools(grid):
    side = 16 if max(grid.shape) <= 16 else 32
    exact = fit_grid(grid, side)
    assert exact.shape == (side,) * 3
    assert exact.sum() == grid.sum()
    start = [(side - length) // 2 for length in grid.shape]
    inner = exact[tuple(slice(a, a + n) for a, n in zip(start, grid.shape, strict=True))]
    assert np.array_equal(inner, grid)
    assert np.array_equal(fit_grid(grid, 8), max_pool(exact[None] if side == 16 else max_pool(exact[None]))[0])


def test_a_grid_that_is_too_coarse_is_rejected_with_the_resolution_that_works():
    with pytest.raises(UnreadableFile) as caught:
        fit_grid(np.ones((30, 30, 30), bool), 64)
    assert "32³, coarser than 64³" in caught.value.reason
    assert "data.resolution to 32" in caught.value.advice


@settings(max_examples=60, deadline=None)
@given(radii=st.lists(st.floats(0.2, 1), min_size=4, max_size=14), axis=st.integers(0, 2), flip=st.booleans())
def test_triangles_of_a_concave_polygon_cover_exactly_its_area(radii, axis, flip):
    angle = 2 * np.pi * np.arange(len(radii)) / len(radii)
    flat = np.stack([np.cos(angle), np.sin(angle)], -1) * np.array(radii)[:, None]  # star-shaped: always simple
    flat = flat[::-1] if flip else flat
    points = np.insert(flat, axis, 0.3 * flat.sum(1), axis=1)  # in a sloping plane
    faces = triangulate(points, [list(range(len(points)))])
    assert len(faces) == len(points) - 2
    corners = np.delete(points, axis, 1)[faces]
    signed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    x, y = np.delete(points, axis, 1).T
    area = (x * np.roll(y, -1) - y * np.roll(x, -1)).sum()
    assert np.abs(signed).sum() == pytest.approx(abs(area), rel=1e-6)


def test_a_notched_polygon_keeps_its_notch():
    notched = np.array([[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]], float)
    corners = notched[clip_ears(np.insert(notched, 2, 0.0, axis=1))]
    centres = corners.mean(1)
    assert not any((abs(x - 2) < 0.5) and y > 2 for x, y in centres)


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="no real data next to the repository")
def test_the_corpus_is_read_or_rejected_with_a_reason():
    accepted, rejected, reasons = set(), set(), []
    for path in sorted((SHARED / "corpus").rglob("*")):
        if not path.is_file():
            continue
        try:
            shape = read(path, path.name)
        except UnreadableFile as error:
            rejected.add(path.name)
            reasons.append(error.reason)
            continue
        assert not isinstance(shape, Mesh) or voxelize(*shape, 16).any()
        accepted.add(path.name)
    assert len(accepted) > 180
    assert max(map(len, reasons)) < 250
    for name in ("bathtub_0001.off", "whitespace.off", "negative_indices.obj", "HalfDonut.stl", "box_UTF16BE.obj"):
        assert name in accepted
    for name in ("OutOfMemory.off", "test-nan.obj", "issue-140-zero-face-idx.obj", "xyz5.mat", "points.ply"):
        assert name in rejected
