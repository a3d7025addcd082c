"""The formats as other programs write them: every variant of a file gives the same voxels, or a reason."""

import io
import struct
import zlib
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import scipy.io
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from gan3d.data.formats.readers import Mesh, UnreadableFile, read
from gan3d.data.voxelization.voxelize import voxelize

BOXES = [
    ((1, 0.125, 1), (0, 0, 0)),
    ((0.125, 1.25, 1), (0.4375, 0.625, 0)),
    ((0.125, 0.75, 0.125), (-0.4375, -0.375, 0.4375)),
    ((0.125, 0.75, 0.125), (0.4375, -0.375, 0.4375)),
    ((0.25, 0.25, 0.25), (-0.1875, 0.1875, -0.25)),
]  # a seat, a back, two legs of four and a cushion: no symmetry, and all numbers are exact in float32
PARTS = [trimesh.creation.box(size, trimesh.transformations.translation_matrix(place)) for size, place in BOXES]
WHOLE = trimesh.util.concatenate(PARTS)
V, F = np.asarray(WHOLE.vertices), np.asarray(WHOLE.faces)
QUADS = [[8 * i + corner for corner in face] for i in range(len(PARTS)) for face in (
    (0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3),
)]  # fmt: skip
EXPECTED = voxelize(V, F, 16)
VERTICES = [" ".join(repr(float(value)) for value in row) for row in V]
FACES = [f"3 {a} {b} {c}" for a, b, c in F]
COUNTS = f"{len(V)} {len(F)} 0"


def lines(*parts: str | list[str]) -> str:
    return "\n".join(line for part in parts for line in ([part] if isinstance(part, str) else part)) + "\n"


def voxels(content: bytes | str, name: str) -> np.ndarray:
    shape = read(content.encode() if isinstance(content, str) else content, name)
    return voxelize(*shape, 16) if isinstance(shape, Mesh) else shape


OFF = lines("OFF", COUNTS, VERTICES, FACES)
BINARY_OFF = {
    order: b"OFF BINARY\n"
    + struct.pack(f"{order}3i", len(V), len(F), 0)
    + V.astype(f"{order}f4").tobytes()
    + b"".join(struct.pack(f"{order}5i", 3, *face, 0) for face in F)
    for order in "<>"
}


@pytest.mark.parametrize(
    "content",
    {
        "runs into the counts": OFF.replace("OFF\n", "OFF"),
        "on the line of the counts": OFF.replace("OFF\n", "OFF "),
        "without the word": OFF.replace("OFF\n", ""),
        "in lower case": OFF.replace("OFF", "off"),
        "comments": f"# before\n\n{OFF}# after".replace("OFF\n", "OFF # here\n# there\n\n"),
        "windows": b"\xef\xbb\xbf" + OFF.replace("\n", "\r\n").encode(),
        "another alphabet": b"OFF\n# caf\xe9\n" + OFF[4:].encode(),
        "no count of edges": OFF.replace(COUNTS, COUNTS[:-2]),
        "a count a line": OFF.replace(COUNTS, COUNTS.replace(" ", "\n")),
        "one line": OFF.replace("\n", " "),
        "a number a line": OFF.replace(" ", "\n"),
        "colours of faces": lines("OFF", COUNTS, VERTICES, [f"{face} 255 0 0" for face in FACES]),
        "colours of vertices": lines("COFF", COUNTS, [f"{row} 255 0 0 255" for row in VERTICES], FACES),
        "normals": lines("NOFF", COUNTS, [f"{row} 0 0 1" for row in VERTICES], FACES),
        "normals and colours": lines("NCOFF", COUNTS, [f"{row} 0 0 1 255 0 0 255" for row in VERTICES], FACES),
        "textures": lines("STOFF", COUNTS, [f"{row} 0 0" for row in VERTICES], FACES),
        "homogeneous": lines("4OFF", COUNTS, [f"{2 * x} {2 * y} {2 * z} 2" for x, y, z in V], FACES),
        "three dimensions of many": lines("nOFF", "3", COUNTS, VERTICES, FACES),
        "quads": lines("OFF", f"{len(V)} {len(QUADS)} 0", VERTICES, [" ".join(map(str, [4, *q])) for q in QUADS]),
        "Fortran": OFF.replace("0.0625", "6.25D-2"),
        "decimal commas": OFF.replace(".", ","),
        "no last newline": OFF.rstrip(),
        "binary": BINARY_OFF[">"],
        "binary, little-endian": BINARY_OFF["<"],
    }.items(),
    ids=lambda item: item[0],
)
def test_off(content):
    assert np.array_equal(voxels(content[1], "a.off"), EXPECTED)


def obj(vertex: str = "v {} {} {}", face: str = "f {} {} {}", shift: int = 1) -> str:
    return lines([vertex.format(*map(float, row)) for row in V], [face.format(*(row + shift)) for row in F])


@pytest.mark.parametrize(
    "content",
    {
        "names": "mtllib missing.mtl\nusemtl x\no a\ng b c\ns off\n" + obj(),
        "negative": obj(shift=-len(V)),
        "normals": "vn 0 0 1\n" + obj(face="f {}//1 {}//1 {}//1"),
        "textures and normals": "vn 0 0 1\nvt 0 0\n" + obj(face="f {}/1/1 {}/1/1 {}/1/1"),
        "empty slots": obj(face="f {}// {}/ {}//"),
        "colours": obj("v {} {} {} 0.1 0.2 0.3"),
        "weights": obj("v {} {} {} 1.0"),
        "windows": obj().replace("\n", "\r\n"),
        "old mac": obj().replace("\n", "\r"),
        "continued": obj(face="f {} \\\n {} \\\n{}"),
        "continued after a blank": obj(face="f {} {} \\ \n {}"),
        "continued on an old mac": obj(face="f {} \\\n{} {}").replace("\n", "\r"),
        "names that end in a backslash": "# C:\\chairs\\\nusemtl a\\\n" + obj(),
        "exponents": obj("v {:.6e} {:+.6E} {:.6e}"),
        "Fortran": obj("v {:.6e} {:.6e} {:.6e}").replace("e-", "D-").replace("e+", "d+"),
        "upper case": obj().upper(),
        "indented by tabs": "\t" + obj().replace("\n", "\n\t").replace(" ", "\t"),
        "another alphabet": b"# caf\xe9 \xff\n" + obj().encode(),
        "UTF-16": obj().encode("utf-16"),
        "comments": obj(face="f {} {} {} # a face"),
        "curves, lines, points": "vp 0.1 0.2\ncstype bezier\n" + obj() + "l 1 2 3\np 1\n",
        "faces first": obj().split("f ", 1)[1].join(["f ", "\n"]) + obj().split("f ", 1)[0],
        "quads": lines(
            [f"v {row}" for row in VERTICES], [" ".join(["f", *(str(i + 1) for i in quad)]) for quad in QUADS]
        ),
        "zeros at the end": obj() + "\0\0\0",
        "decimal commas": obj().replace(".", ","),
    }.items(),
    ids=lambda item: item[0],
)
def test_obj(content):
    assert np.array_equal(voxels(content[1], "a.obj"), EXPECTED)


TYPES = {"float": "f4", "double": "f8", "uchar": "u1", "int": "i4", "uint": "u4", "ushort": "u2", "int8": "i1"}
TYPES |= {"float32": "f4", "uint8": "u1", "int32": "i4"}
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


def ply(encoding: str, elements: list[tuple[str, list[str], list[list]]], newline: str = "\n") -> bytes:
    """A PLY file of elements (name, properties as in the header, rows), where a list property is a list."""
    head, body = ["ply", f"format {encoding} 1.0", "comment by hand", "obj_info x"], b""
    for name, properties, rows in elements:
        head += [f"element {name} {len(rows)}", *(f"property {text}" for text in properties)]
        for row in rows:
            for text, value in zip(properties, row, strict=True):
                kinds = [kind for kind in text.split()[:-1] if kind != "list"]
                values = ([len(value)], value) if len(kinds) == 2 else ([value],)
                for kind, numbers in zip(kinds, values, strict=True):
                    if encoding == "ascii":
                        body += "".join(f"{number} " for number in numbers).encode()
                    else:
                        body += np.array(numbers, ORDERS[encoding] + TYPES[kind]).tobytes()
            body += newline.encode() if encoding == "ascii" else b""
    return (newline.join([*head, "end_header"]) + newline).encode() + body


XYZ = ["float x", "float y", "float z"]
INDICES = "list uchar int vertex_indices"
STRIP = [int(corner) for a, b, c in F for corner in (a, b, c, -1)]
vertices = ("vertex", XYZ, V.tolist())
PLY_ELEMENTS = {
    "triangles": [vertices, ("face", [INDICES], [[row] for row in F.tolist()])],
    "quads": [vertices, ("face", ["list uchar uint vertex_index"], [[quad] for quad in QUADS])],
    "triangles and quads": [vertices, ("face", [INDICES], [[row] for row in (*QUADS[:12], *F[24:].tolist())])],
    "doubles": [
        ("vertex", ["double x", "double y", "double z"], V.tolist()),
        ("face", [INDICES], [[q] for q in QUADS]),
    ],
    "other names of types": [
        ("vertex", ["float32 x", "float32 y", "float32 z"], V.tolist()),
        ("face", ["list uint8 int32 vertex_indices"], [[quad] for quad in QUADS]),
    ],
    "other order": [
        ("vertex", ["uchar red", "float z", "float nx", "float x", "float y"], [[9, z, 0, x, y] for x, y, z in V]),
        ("face", ["uchar red", "list int ushort vertex_index", "int flags"], [[1, quad, 7] for quad in QUADS]),
    ],
    "faces first": [("face", [INDICES], [[row] for row in F.tolist()]), vertices],
    "more elements": [
        vertices,
        ("material", ["uchar red", "list uchar float shine"], [[1, [0.5, 0.25]], [2, []]]),
        ("edge", ["int vertex1", "int vertex2"], [[0, 1]]),
        ("face", [INDICES, "list uchar float texcoord"], [[row, [0.5] * (i % 3)] for i, row in enumerate(F.tolist())]),
    ],
    "strips": [vertices, ("tristrips", ["list int int vertex_indices"], [[STRIP[:100]], [STRIP[100:]]])],
}


@pytest.mark.parametrize("encoding", ORDERS)
@pytest.mark.parametrize("name", PLY_ELEMENTS)
def test_ply(encoding, name):
    for newline in ("\n", "\r\n"):
        content = ply(encoding, PLY_ELEMENTS[name], newline)
        assert np.array_equal(voxels(content, "a.ply"), EXPECTED)
        assert np.array_equal(voxels(content + b"\n\n", "a.ply"), EXPECTED)
        with pytest.raises(UnreadableFile):
            read(content[:-20] if name != "faces first" else content[: len(content) // 2], "a.ply")


def test_an_ascii_ply_with_numbers_missing_from_its_header():
    content = ply("ascii", PLY_ELEMENTS["triangles"]).decode()
    head, body = content.split("end_header\n")
    longer = "".join(f"{line}7 7 7\n" for line in body.splitlines())
    assert np.array_equal(voxels(f"{head}end_header\n{longer}", "a.ply"), EXPECTED)
    assert np.array_equal(voxels(f"{head}end_header\n{body}".replace(" \n", " "), "a.ply"), EXPECTED)


@settings(max_examples=60, deadline=None)
@given(
    points=st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 3), min_size=3, max_size=30),
    data=st.data(),
    encoding=st.sampled_from(sorted(ORDERS)),
)
def test_ply_round_trip(points, data, encoding):
    corner = st.integers(0, len(points) - 1)
    faces = data.draw(st.lists(st.lists(corner, min_size=3, max_size=3), min_size=1, max_size=20))
    content = ply(
        encoding, [("vertex", XYZ, [list(row) for row in points]), ("face", [INDICES], [[row] for row in faces])]
    )
    try:
        mesh = read(content, "a.ply")
    except UnreadableFile as error:
        assert "one point" in error.reason  # noqa: PT017 - no other error is allowed
        return
    assert isinstance(mesh, Mesh)
    assert np.array_equal(mesh.vertices, np.array(points))
    assert mesh.faces.tolist() == faces


STL = lines(
    "solid chair",
    [
        lines(
            "facet normal 0 0 1", "  outer loop", [f"    vertex {VERTICES[i]}" for i in face], "  endloop", "endfacet"
        )[:-1]
        for face in F
    ],
    "endsolid chair",
)


def binary_stl(head: bytes = b"", count: int = len(F)) -> bytes:
    records = b"".join(bytes(12) + V[face].astype("<f4").tobytes() + bytes(2) for face in F)
    return head.ljust(80, b"\0") + struct.pack("<I", count) + records


@pytest.mark.parametrize(
    "content",
    {
        "ascii": STL,
        "upper case": STL.upper(),
        "windows": STL.replace("\n", "\r\n"),
        "old mac": STL.replace("\n", "\r"),
        "no name": STL.replace(" chair", ""),
        "odd name": STL.replace("chair", "facet vertex 1 2 3 endloop"),
        "another alphabet": STL.encode().replace(b"chair", b"caf\xe9"),
        "UTF-16": STL.encode("utf-16"),
        "one line": STL.replace("\n", " "),
        "blanks first": "\n\n  " + STL,
        "two solids": STL.replace("endfacet\nfacet", "endfacet\nendsolid chair\nsolid second\nfacet", 1),
        "binary": binary_stl(),
        "binary that begins with solid": binary_stl(b"solid facet normal"),
        "bytes behind": binary_stl() + bytes(200),
        "count forgotten": binary_stl(b"solid", 0),
        "count of minus one": binary_stl(b"", 2**32 - 1),
    }.items(),
    ids=lambda item: item[0],
)
def test_stl(content):
    assert np.array_equal(voxels(content[1], "a.stl"), EXPECTED)


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (OFF[:-40], "a.off", "lines follow"),
        (BINARY_OFF[">"][:-10], "a.off", "does not match its counts"),
        (lines("nOFF", "4", COUNTS, VERTICES, FACES), "a.off", "three dimensions"),
        (STL[:-200], "a.stl", "truncated"),
        (STL.replace("endloop", "", 1), "a.stl", "are complete"),
        (STL.replace("vertex", "vortex", 1), "a.stl", "three corners"),
        (binary_stl()[:-60], "a.stl", f"claims {len(F)} triangles"),
        (STL, "a.ply", "looks like STL"),
        (OFF, "a.obj", "looks like OFF"),
        ("<!DOCTYPE html><html>404</html>", "a.obj", "looks like a web page"),
        (ply("ascii", PLY_ELEMENTS["triangles"]).replace(b"float x", b"quad x"), "a.ply", "unknown type 'quad'"),
        (ply("ascii", PLY_ELEMENTS["triangles"]).replace(b"float x", b"float w"), "a.ply", "lack x, y or z"),
        (ply("ascii", PLY_ELEMENTS["triangles"]).replace(b"ascii", b"zipped"), "a.ply", "unknown format 'zipped'"),
        (ply("ascii", [vertices, ("face", [INDICES], [[[0, 1, -1]]])]), "a.ply", "refers to vertex -1"),
        (ply("binary_big_endian", [vertices, ("face", [INDICES], [[[0, 1, 999]]])]), "a.ply", "refers to vertex 999"),
    ],
)
def test_rejected_meshes_name_the_fault(content, name, reason):
    with pytest.raises(UnreadableFile) as caught:
        voxels(content, name)
    assert reason in caught.value.reason


def mat_7_3(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = array.T
    return b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + stream.getvalue()[128:]


def mat(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    scipy.io.savemat(stream, arrays, do_compression=True)
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


GRID = np.random.default_rng(0).random((5, 6, 7)) < 0.4


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (mat(Instance=GRID.astype(np.int8)), "a.mat"),
        (mat(grid=GRID.astype(float), name=np.zeros(3)), "a.mat"),
        (mat(voxels=GRID, text="a chair", parts={"a": np.ones((3, 3, 3))}, names=np.array(["a", 1], object)), "a.mat"),
        (mat_7_3(instance=GRID.astype(np.uint8)), "a.mat"),
        (mat_7_3(anything=GRID.astype(float)), "a.mat"),
        (npy(np.where(GRID, 1, -1)), "a.npy"),
        (npy(np.where(GRID, 0.9, 0.1)), "a.npy"),
        (npy(GRID[..., None].astype(">i4")), "a.npy"),
        (npy(np.where(GRID, np.inf, 0)), "a.npy"),
        (nibabel.Nifti1Image(GRID.astype("i2"), np.eye(4), nibabel.Nifti1Header(endianness=">")).to_bytes(), "a.nii"),
    ],
)
def test_grids(content, name):
    assert np.array_equal(voxels(content, name), GRID)


def mat_that_claims(size: int, compressed: bool) -> bytes:
    """A file of a few kilobytes whose element and variable claim far more, which SciPy would allocate."""
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"voxels": np.zeros((16, 16, 16), np.uint8)})
    content = bytearray(stream.getvalue())
    at = content.index(struct.pack("<2I", 2, 4096))
    content[at + 4 : at + 8] = struct.pack("<I", size)
    content[132:136] = struct.pack("<I", min(size + at - 128, 2**32 - 1))
    body = zlib.compress(content[128:])
    return bytes(content[:128]) + struct.pack("<2I", 15, len(body)) + body if compressed else bytes(content)


def mat_that_unpacks_to(side: int) -> bytes:
    """Compressed zeros of side³ bytes: at 1024, 1 MB unpacks to 1 GiB."""
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"voxels": np.zeros((side, side, side), np.uint8)}, do_compression=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (mat_that_claims(2**32 - 4096, compressed=False), "a.mat", "more bytes than the file holds"),
        (mat_that_claims(2**32 - 4096, compressed=True), "a.mat", "more bytes than the file holds"),
        (mat_that_unpacks_to(513), "a.mat", "has the shape (513, 513, 513)"),
        (mat(a=GRID * 1, b=GRID * 1), "a.mat", "none is recognised"),
        (mat(voxels=GRID)[:-30], "a.mat", "more bytes than the file holds"),
        (mat(voxels=GRID)[:124] + b"\0\1XX" + bytes(60), "a.mat", "not a MATLAB file of version 5"),
        (mat_7_3(points=np.zeros((9, 3))), "a.mat", "holds points"),
        (npy(np.where(GRID, -0.2, 0.3)), "a.npy", "as signed distances do"),
    ],
)
def test_rejected_grids_name_the_fault(content, name, reason):
    with pytest.raises(UnreadableFile) as caught:
        voxels(content, name)
    assert reason in caught.value.reason


def test_files_exported_by_trimesh_are_read(tmp_path: Path):
    for kind in ("off", "obj", "ply", "stl", "stl_ascii", "glb"):
        name = f"a.{kind.split('_')[0]}"
        content = WHOLE.export(file_type=kind)
        assert np.array_equal(voxels(content, name), EXPECTED), kind
