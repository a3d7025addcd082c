"""glTF and GLB: every way in which buffers, accessors and nodes may describe a shape."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from gan3d.data.formats.readers import Mesh, UnreadableFile, read
from gan3d.data.sources.archives import Location
from gan3d.data.voxelization.voxelize import voxelize

SHAPE = trimesh.util.concatenate(
    [trimesh.creation.box((1, 2, 4)), trimesh.creation.icosphere(1, 1.0).apply_translation((2, 1, 0))]
)
V, F = np.asarray(SHAPE.vertices, np.float32).astype(float), np.asarray(SHAPE.faces)
KINDS = {"i2": 5122, "u1": 5121, "u2": 5123, "u4": 5125, "f4": 5126}


class Builder:
    """Builds a file; each array gets a view and an accessor of one buffer."""

    def __init__(self):
        self.blob = b""
        self.tree: dict[str, Any] = {"asset": {"version": "2.0"}, "bufferViews": [], "accessors": []}

    def view(self, content: bytes, **more: Any) -> int:
        self.blob += bytes(-len(self.blob) % 4)
        entry = {"buffer": 0, "byteOffset": len(self.blob), "byteLength": len(content)}
        self.tree["bufferViews"].append(entry | more)
        self.blob += content
        return len(self.tree["bufferViews"]) - 1

    def accessor(self, array: np.ndarray, kind: str, view: int | None = None, **more: Any) -> int:
        view = self.view(array.astype(f"<{kind}").tobytes()) if view is None else view
        width = "SCALAR" if array.ndim == 1 else "VEC3"
        described = {"bufferView": view, "componentType": KINDS[kind], "count": len(array), "type": width}
        self.tree["accessors"].append(described | more)
        return len(self.tree["accessors"]) - 1

    def gltf(self, primitives: list[dict], nodes: list[dict] | None = None, **more: Any) -> bytes:
        self.tree |= {"meshes": [{"primitives": primitives}], "nodes": nodes or [{"mesh": 0}]}
        self.tree |= {"scene": 0, "scenes": [{"nodes": [0]}]} | more
        address = "data:application/octet-stream;base64," + base64.b64encode(self.blob).decode()
        self.tree["buffers"] = [{"byteLength": len(self.blob), "uri": address}]
        return json.dumps(self.tree).encode()

    def glb(self, *args: Any, filler: bytes = b" ", **more: Any) -> bytes:
        self.gltf(*args, **more)
        del self.tree["buffers"][0]["uri"]
        self.blob += bytes(-len(self.blob) % 4)
        text = json.dumps(self.tree).encode()
        text += filler * (4 + -len(text) % 4)
        body = (
            struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(self.blob), b"BIN\0") + self.blob
        )
        return b"glTF" + struct.pack("<2I", 2, 12 + len(body)) + body


def plain(kind: str = "u2", **more: Any) -> tuple[Builder, list[dict]]:
    made = Builder()
    position = made.accessor(V, "f4")
    return made, [{"attributes": {"POSITION": position}, "indices": made.accessor(F.ravel(), kind), **more}]


def binary(filler: bytes = b" ") -> bytes:
    made, primitives = plain("u4")
    return made.glb(primitives, filler=filler)


def several() -> bytes:
    made = Builder()
    position = made.accessor(V, "f4")
    parts = [made.accessor(part.ravel(), "u1") for part in np.array_split(F, 3)]
    return made.gltf([{"attributes": {"POSITION": position}, "indices": part} for part in parts])


def interleaved() -> bytes:
    made = Builder()
    rows = (
        np.concatenate([V, np.full_like(V, 7)], 1).astype("<f4").tobytes()[:-12]
    )  # interleaved with normals, except after the last
    position = made.accessor(V, "f4", made.view(rows, byteStride=24))
    return made.gltf([{"attributes": {"POSITION": position}, "indices": made.accessor(F.ravel(), "u4")}])


def sparse() -> bytes:
    made = Builder()
    changed, wrong = np.array([0, 5, 9]), V.copy()
    wrong[changed] = 99
    where = {"bufferView": made.view(changed.astype("<u2").tobytes()), "componentType": KINDS["u2"]}
    what = {"bufferView": made.view(V[changed].astype("<f4").tobytes())}
    position = made.accessor(wrong, "f4", sparse={"count": 3, "indices": where, "values": what})
    return made.gltf([{"attributes": {"POSITION": position}, "indices": made.accessor(F.ravel(), "u2")}])


def strip() -> bytes:
    made = Builder()
    corners: list[int] = []
    for triangle in F.tolist():
        corners += [*corners[-1:], *triangle[: len(corners) > 0]]  # degenerate triangles connect the strips
        corners += triangle[:1] * (len(corners) % 2)
        corners += triangle
    position = made.accessor(V, "f4")
    return made.gltf(
        [{"attributes": {"POSITION": position}, "indices": made.accessor(np.array(corners), "u2"), "mode": 5}]
    )


def fans() -> bytes:
    made = Builder()
    position = made.accessor(V, "f4")
    return made.gltf(
        [{"attributes": {"POSITION": position}, "indices": made.accessor(row, "u2"), "mode": 6} for row in F]
    )


def without_indices() -> bytes:
    made = Builder()
    return made.glb([{"attributes": {"POSITION": made.accessor(V[F].reshape(-1, 3), "f4")}}])


def morphed(weight: float) -> bytes:
    made, primitives = plain()
    primitives[0]["targets"] = [
        {"POSITION": made.accessor(np.repeat([[0, 9.0, 0]], len(V), 0) * (V[:, 1:2] > 0), "f4")}
    ]
    return made.gltf(primitives, [{"mesh": 0, "weights": [weight]}])


def without_scene() -> bytes:
    made, primitives = plain()
    tree = json.loads(made.gltf(primitives, [{"mesh": 0}]))
    return json.dumps({name: value for name, value in tree.items() if name not in ("scene", "scenes")}).encode()


def named(**more: Any) -> bytes:
    made, primitives = plain()
    return made.gltf(primitives, **more)


CONTENTS = {
    "plain": named(),
    "glb": binary(),
    "glb padded with zeros": binary(b"\0"),
    "several primitives": several(),
    "interleaved": interleaved(),
    "sparse": sparse(),
    "strip": strip(),
    "fans": fans(),
    "without indices": without_indices(),
    "morph target at rest": morphed(0.0),
    "without a scene": without_scene(),
    "materials": named(extensionsRequired=["KHR_materials_unlit"]),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_every_layout_gives_the_same_voxels(name):
    mesh = read(CONTENTS[name], "a.gltf")  # the content decides between GLB and JSON
    assert isinstance(mesh, Mesh)
    assert np.array_equal(voxelize(*mesh, 16), voxelize(V, F, 16))


def expect(content: bytes, vertices: np.ndarray) -> None:
    mesh = read(content, "a.gltf")
    assert isinstance(mesh, Mesh)
    assert np.allclose(mesh.vertices, vertices, atol=1e-6)
    assert np.array_equal(mesh.faces, F)


def test_nodes_rotate_scale_and_translate():
    half = 2**0.5 / 2
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])  # a quarter about z
    moved = (V * (2, 1, 1)) @ turn.T + (5, 0, 0)
    nodes = [
        {"children": [1], "rotation": [0, 0, half, half], "translation": [5, 0, 0]},
        {"mesh": 0, "scale": [2, 1, 1]},
    ]
    made, primitives = plain()
    expect(made.gltf(primitives, nodes), moved)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn * (2, 1, 1), (5, 0, 0)
    made, primitives = plain()
    expect(made.gltf(primitives, [{"mesh": 0, "matrix": matrix.T.ravel().tolist()}]), moved)


def test_a_mirrored_node_keeps_outward_orientation():
    made, primitives = plain()
    mesh = read(made.gltf(primitives, [{"mesh": 0, "scale": [-1, 1, 1]}]), "a.gltf")
    assert trimesh.Trimesh(*mesh, process=False).volume == pytest.approx(SHAPE.volume, rel=1e-5)


def test_an_active_morph_target_is_applied():
    expect(morphed(0.5), V + [0, 4.5, 0] * (V[:, 1:2] > 0))


def test_quantised_coordinates_are_scaled():
    made = Builder()
    low, high = V.min(0), V.max(0)
    half, middle = (high - low).max() / 2, (high + low) / 2
    quantised = np.zeros((len(V), 4), "<i2")
    quantised[:, :3] = np.round((V - middle) / half * 32767)
    position = made.accessor(V, "i2", made.view(quantised.tobytes(), byteStride=8), normalized=True)
    content = made.gltf(
        [{"attributes": {"POSITION": position}, "indices": made.accessor(F.ravel(), "u2")}],
        [{"mesh": 0, "scale": [half] * 3, "translation": middle.tolist()}],
        extensionsRequired=["KHR_mesh_quantization"],
    )
    mesh = read(content, "a.gltf")
    assert np.abs(mesh.vertices - V).max() < 1e-3


def test_a_buffer_file_is_found_by_its_quoted_name(tmp_path: Path):
    made, primitives = plain()
    tree = json.loads(made.gltf(primitives))
    (tmp_path / "my buffer.bin").write_bytes(made.blob)
    tree["buffers"][0]["uri"] = "my%20buffer.bin"
    content = json.dumps(tree).encode()
    location = Location(tmp_path / "a.gltf", None, tmp_path)
    mesh = read(content, "a.gltf", location.read_sibling)
    assert np.array_equal(mesh.faces, F)
    for address in ("../../etc/passwd", "/etc/passwd", "https://example.org/a.bin", "gone.bin"):
        tree["buffers"][0]["uri"] = address
        with pytest.raises(UnreadableFile, match=r"outside the source|is missing"):
            read(json.dumps(tree).encode(), "a.gltf", location.read_sibling)


def changed(**accessor: Any) -> bytes:
    tree = json.loads(CONTENTS["plain"])
    tree["accessors"][0] |= accessor
    if accessor.get("bufferView", 0) is None:
        del tree["accessors"][0]["bufferView"]
    return json.dumps(tree).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (named(extensionsRequired=["KHR_draco_mesh_compression"]), "compressed"),
        (named(extensionsRequired=["EXT_meshopt_compression"]), "compressed"),
        (named(extensionsRequired=["ACME_geometry"]), "requires the extension ACME_geometry"),
        (named(nodes=[{"mesh": 0, "children": [0]}]), "not form a tree"),
        (named(scenes=[{"nodes": [3]}]), "missing or of the wrong type"),
        (named(asset={"version": "1.0"}), "version 1.0"),
        (changed(count=10), "has 10 vertices"),
        (changed(count=10**12), "more than its buffer holds"),
        (changed(count=10**12, bufferView=None), "without data claims"),
        (changed(count=-1), "non-negative integer"),
        (changed(byteOffset=10**9), "more than its buffer holds"),
        (changed(componentType=1), "wrong type"),
        (CONTENTS["glb"][:-50], "but it holds"),
        (b"glTF" + struct.pack("<2I", 1, 20) + bytes(20), "version 1"),
        (b'{"asset":', "Expecting value"),
        (b"[" * 100_000, "cannot be read"),
    ],
)
def test_rejects_name_the_fault(content, reason):
    with pytest.raises(UnreadableFile) as caught:
        read(content, "a.gltf")
    assert reason in caught.value.reason
