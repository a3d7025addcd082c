"""3MF, 3DXML and COLLADA: placement of meshes in scenes, and hostile XML and zips."""

import os
import zipfile
from itertools import product

import numpy as np
import pytest
import trimesh
from paths import SUPPORT
from sandboxed_calls import count_faces
from scene_files import BOX, numbers, threedxml, zipped

from gan3d.data.formats.readers import Mesh, UnreadableFile, read
from gan3d.data.sandbox.pool import Limits, SandboxPool, WorkerFailure
from gan3d.data.sources.walk import walk
from gan3d.data.voxelization.voxelize import voxelize
from gan3d.errors import UserError

BALL = trimesh.creation.icosphere(1)
MOVE = trimesh.transformations.translation_matrix((4, 0, 1)) @ trimesh.transformations.rotation_matrix(0.5, (1, 2, 3))
SCENE = trimesh.Scene()
SCENE.add_geometry(BOX, geom_name="box")
SCENE.add_geometry(BALL, geom_name="ball", transform=MOVE)
MERGED = SCENE.to_mesh()
MIRROR = "-1 0 0 0 1 0 0 0 1 5 0 0"


CORE = 'xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02"'
PARTS = f'{CORE} xmlns:p="http://schemas.microsoft.com/3dmanufacturing/production/2015/06"'


def model(objects: str, build: str, head: str = CORE) -> str:
    return f'<?xml version="1.0"?><model {head}><resources>{objects}</resources><build>{build}</build></model>'


def mesh_3mf(mesh: trimesh.Trimesh = BOX, number: int = 1) -> str:
    points = "".join('<vertex x="{}" y="{}" z="{}"/>'.format(*row) for row in mesh.vertices.tolist())
    faces = "".join('<triangle v1="{}" v2="{}" v3="{}"/>'.format(*row) for row in mesh.faces.tolist())
    inner = f"<vertices>{points}</vertices><triangles>{faces}</triangles>"
    return f'<object id="{number}" type="model"><mesh>{inner}</mesh></object>'


def threemf(objects: str, build: str = '<item objectid="1"/>', head: str = CORE, **more: str) -> bytes:
    return zipped({"3D/3dmodel.model": model(objects, build, head), **more})


def dae(points: np.ndarray, primitive: str, node: str = "", extra: str = "", head: str = "") -> bytes:
    count = np.asarray(points).size
    return f"""<?xml version="1.0" encoding="utf-8"?>{head}
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset><up_axis>Z_UP</up_axis><unit meter="0.01"/></asset>
{extra}
<library_geometries><geometry id="g"><mesh>
<source id="s"><float_array id="a" count="{count}">{numbers(points)}</float_array><technique_common>
<accessor source="#a" count="{count // 3}" stride="3"><param name="X" type="float"/><param name="Y" type="float"/>
<param name="Z" type="float"/></accessor></technique_common></source>
<vertices id="v"><input semantic="POSITION" source="#s"/></vertices>
{primitive}
</mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="scene"><node>{node}<instance_geometry url="#g">
<bind_material><technique_common><instance_material symbol="m" target="#gone"/></technique_common></bind_material>
</instance_geometry></node></visual_scene></library_visual_scenes>
<scene><instance_visual_scene url="#scene"/></scene></COLLADA>""".encode()


def triangles(faces: np.ndarray = BOX.faces) -> str:
    given = '<input semantic="VERTEX" source="#v" offset="0"/>'
    return f'<triangles count="{len(faces)}">{given}<p>{numbers(faces)}</p></triangles>'


def polylist(*polygons: list[int]) -> str:
    given = '<input semantic="VERTEX" source="#v" offset="0"/>'
    lengths, corners = " ".join(str(len(p)) for p in polygons), " ".join(str(i) for p in polygons for i in p)
    return f'<polylist count="{len(polygons)}">{given}<vcount>{lengths}</vcount><p>{corners}</p></polylist>'


def check(content: bytes, name: str, mesh: trimesh.Trimesh) -> Mesh:
    found = read(content, name)
    assert isinstance(found, Mesh)
    assert len(found.faces) == len(mesh.faces)
    assert np.allclose(trimesh.Trimesh(*found, process=False).bounds, mesh.bounds, atol=1e-5)
    assert np.array_equal(voxelize(*found, 16), voxelize(mesh.vertices, mesh.faces, 16))
    assert trimesh.Trimesh(*found, process=False).volume == pytest.approx(mesh.volume, rel=1e-4)
    return found


def test_scenes_written_by_trimesh_are_read_in_place():
    check(SCENE.export(file_type="3mf"), "a.3MF", MERGED)
    one = BALL.export(file_type="dae")
    check(one, "a.dae", BALL)
    check(zipped({"manifest.xml": b"x", "folder/A.DAE": one, "__MACOSX/._a.dae": b"x"}), "a.zae", BALL)
    check(one.decode().replace("utf-8", "utf-16").replace("UTF-8", "utf-16").encode("utf-16"), "a.dae", BALL)


def moved(matrix: np.ndarray) -> trimesh.Trimesh:
    return BOX.copy().apply_transform(matrix)


def test_mirrored_and_nested_parts_keep_outward_orientation():
    mirrored = moved(np.diag([-1.0, 1, 1, 1]) + np.array([[0, 0, 0, 5.0], *np.zeros((3, 4))]))
    check(threemf(mesh_3mf(), f'<item objectid="1" transform="{MIRROR}"/>'), "a.3mf", mirrored)
    group = f'<object id="2"><components><component objectid="1" transform="{MIRROR}"/></components></object>'
    check(threemf(mesh_3mf() + group, '<item objectid="2"/>'), "a.3mf", mirrored)
    matrix = "<matrix>-1 0 0 5 0 1 0 0 0 0 1 0 0 0 0 1</matrix>"
    check(dae(BOX.vertices, triangles(), matrix), "a.dae", mirrored)
    placed = "<translate>5 0 0</translate><rotate>0 0 1 90</rotate><scale>1 2 1</scale>"
    expected = trimesh.transformations.translation_matrix((5, 0, 0)) @ trimesh.transformations.rotation_matrix(
        np.pi / 2, (0, 0, 1)
    )
    check(dae(BOX.vertices, triangles(), placed), "a.dae", moved(expected @ np.diag([1.0, 2, 1, 1])))


def test_3dxml_is_placed_and_its_materials_are_ignored():
    matrix = np.array([[0, -1, 0, 5], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    check(threedxml(), "a.3dxml", moved(matrix))


def test_a_concave_polygon_of_collada_keeps_its_notch():
    flat = np.array([[0, 0, 0], [4, 0, 0], [4, 4, 0], [2, 1, 0], [0, 4, 0]], float)
    mesh = read(dae(flat, polylist([0, 1, 2, 3, 4])), "a.dae")
    assert trimesh.Trimesh(*mesh, process=False).area == pytest.approx(10)
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    check(
        dae(np.array(list(product((0, 1), repeat=3))), polylist(*quads)),
        "a.dae",
        trimesh.creation.box((1, 1, 1)).apply_translation((0.5, 0.5, 0.5)),
    )


def part(number: int, path: str = "", move: int = 0, tag: str = "component") -> str:
    where = f' p:path="{path}"' if path else ""
    return f'<{tag} objectid="{number}"{where} transform="1 0 0 0 1 0 0 0 1 {move} 0 0"/>'


def group(number: int, *parts: str) -> str:
    return f'<object id="{number}"><components>{"".join(parts)}</components></object>'


def two(first: trimesh.Trimesh, second: trimesh.Trimesh) -> trimesh.Trimesh:
    return trimesh.util.concatenate([first, second.copy().apply_translation((20, 0, 0))])


def test_3mf_parts_in_files_of_their_own():
    """As slicers write it: ids restart in each file, and a file has several parts."""
    both = model(mesh_3mf() + mesh_3mf(BALL, 2), "", PARTS)
    names = {"3D/Objects/a.model": both, "3D/Objects/B.model": model(mesh_3mf(BALL), "", PARTS)}
    a, b = "/3D/Objects/a.model", "/3D/Objects/b.model"
    for objects, build in (
        (group(1, part(1, a), part(1, b, 20)), part(1, tag="item")),
        (group(1, part(1, a), part(2, a, 20)), part(1, tag="item")),
        ("", part(1, a, tag="item") + part(1, b, 20, tag="item")),
    ):
        check(threemf(objects, build, PARTS, **names), "a.3mf", two(BOX, BALL))


def test_nested_repetition_in_3mf():
    objects = mesh_3mf() + "".join(group(n, part(n - 1), part(n - 1, move=2**n)) for n in range(2, 10))
    mesh = read(threemf(objects, part(9, tag="item")), "a.3mf")
    assert len(mesh.faces) == 12 * 2**8
    assert np.ptp(mesh.vertices, 0)[0] == 1 + sum(2**n for n in range(2, 10))


def test_a_renamed_3mf_root_and_print_supports():
    link = '<Relationship Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel" Target="/x/y.model"/>'
    support = mesh_3mf(BALL, 2).replace('type="model"', 'type="support"')
    members = {"x/y.model": model(mesh_3mf() + support, part(1, tag="item") + part(2, tag="item"))}
    check(zipped(members | {"_rels/.rels": f'<Relationships xmlns="r">{link}</Relationships>'}), "a.3mf", BOX)


BOMB = '<!DOCTYPE a [<!ENTITY b "0 0 0 "><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
OTHER = '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">'
POLYGONS = (
    '<polygons count="1"><input semantic="VERTEX" source="#v" offset="0"/><ph><p>0 1 3</p><h>0 1 2</h></ph></polygons>'
)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.dae", dae(BOX.vertices, triangles(), head=BOMB), "document type"),
        ("a.dae", dae(BOX.vertices, triangles(), head=OTHER), "document type"),
        (
            "a.dae",
            dae(BOX.vertices, triangles(), head=BOMB).decode().replace("utf-8", "utf-16").encode("utf-16"),
            "type",
        ),
        ("a.zae", zipped({"a.dae": dae(BOX.vertices, triangles(), head=BOMB)}), "document type"),
        ("a.3mf", zipped({"3D/3dmodel.model": BOMB + model(mesh_3mf(), "")[21:]}), "document type"),
        ("a.3dxml", zipped({"Manifest.xml": BOMB + "<a/>"}), "document type"),
        ("a.zae", zipped({"a.dae": b"x", "b.dae": b"x"}), "holds 2 COLLADA scenes"),
        ("a.zae", zipped({"a.obj": b"x"}), "holds 0 COLLADA scenes"),
        ("a.zae", zipped({"a.dae": dae(BOX.vertices, triangles())}, zipfile.ZIP_BZIP2), "unusual zip compression"),
        ("a.3mf", zipped({"a.txt": b"x"}), "cannot be read as 3MF"),
        ("a.3mf", threemf(mesh_3mf())[:-30], "cannot be read as 3MF"),
        ("a.3mf", threemf("", ""), "no faces"),
        ("a.3mf", threemf(mesh_3mf().replace('v1="0"', 'v1="99"')), "vertex 99"),
        ("a.3mf", threemf(mesh_3mf().replace('v1="0"', 'v1="x"')), "cannot be read as 3MF"),
        ("a.3mf", threemf(mesh_3mf(), part(1, tag="item") + part(7, tag="item")), "refers to is missing"),
        ("a.3mf", threemf("", part(1, "/3D/gone.model", tag="item"), PARTS), "refers to is missing"),
        ("a.3mf", threemf(group(2, part(3)) + group(3, part(2)), part(2, tag="item")), "cycle"),
        ("a.3mf", threemf("", "", f'{PARTS} xmlns:b="x/beamlattice/2017/02" requiredextensions="p b"'), "beamlattice"),
        ("a.3dxml", threedxml("NURBS"), "unsupported format"),
        ("a.3dxml", threedxml(matrix="0 1"), "cannot be read as 3DXML"),
        ("a.dae", dae(BOX.vertices, triangles(BOX.faces + 3)), "cannot be read as DAE"),
        ("a.dae", dae(BOX.vertices, triangles(BOX.faces - 3)), "vertex -3"),
        ("a.dae", dae(BOX.vertices, polylist([0, 1, 2, 3]).replace("<vcount>4", "<vcount>9")), "claim 9 corners"),
        ("a.dae", dae(BOX.vertices, triangles()).replace(b"#g", b"http://127.0.0.1:9/a.dae#g"), "Invalid url"),
        ("a.dae", dae(BOX.vertices, triangles()).replace(b'url="#g"', b'url="#h"'), "not found"),
        ("a.dae", dae(BOX.vertices, triangles()).replace(b"instance_geometry", b"instance_controller"), "skeleton"),
        ("a.dae", dae(BOX.vertices, POLYGONS), "holes"),
        ("a.dae", dae(BOX.vertices, triangles())[:-40], "cannot be read as DAE"),
        (
            "a.dae",
            dae(BOX.vertices, '<lines count="1"><input semantic="VERTEX" source="#v" offset="0"/><p>0 1</p></lines>'),
            "no faces",
        ),
        ("a.dae", threemf(mesh_3mf()), "looks like ZIP"),
        ("a.3mf", b"<!DOCTYPE html><html>404</html>", "looks like a web page"),
    ],
)
def test_rejects_name_the_fault(name, content, reason):
    with pytest.raises(UnreadableFile) as caught:
        read(content, name)
    assert reason in caught.value.reason
    assert caught.value.reason.endswith(".")
    assert caught.value.advice.endswith(".")


def test_a_zip_appended_to_xml_is_not_opened():
    inner = dae(BALL.vertices, triangles(BALL.faces))
    with pytest.raises(UnreadableFile):
        read(dae(BOX.vertices, triangles()) + zipped({"a.dae": inner}), "a.dae")


def test_zip_bombs_are_rejected_before_unpacking():
    content = bytearray(threemf(mesh_3mf()))
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = (2**31).to_bytes(4, "little")
    with pytest.raises(UnreadableFile, match="more than 1 GiB"):
        read(bytes(content), "a.3mf")
    liar = bytearray(zipped({"a.dae": b"<a>" + bytes(2**27)}))
    at = liar.rindex(b"PK\x01\x02")
    liar[at + 24 : at + 28] = (10).to_bytes(4, "little")
    with pytest.raises(UnreadableFile, match="cannot be read as ZAE"):
        read(bytes(liar), "a.zae")


@pytest.mark.slow
def test_exponential_repetition_hits_the_limits(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT), prepend=os.pathsep)
    objects = mesh_3mf() + "".join(group(n, part(n - 1), part(n - 1)) for n in range(2, 40))
    with SandboxPool(1, Limits(seconds=5, memory=512)) as sandbox:
        assert isinstance(sandbox.call(count_faces, threemf(objects, part(39, tag="item")), "a.3mf"), WorkerFailure)


def test_a_3mf_is_not_an_archive(tmp_path):
    (tmp_path / "a.3mf").write_bytes(threemf(mesh_3mf()))
    with pytest.raises(UserError, match="neither a folder"):
        walk(tmp_path / "a.3mf")
    (item,) = walk(tmp_path).items
    assert len(item.read().faces) == 12
