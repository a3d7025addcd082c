"""glTF 2.0 and GLB: the triangles of a scene, placed by its nodes; materials, skins and animations are ignored.

Format: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html. Compressed geometry (Draco, meshopt) is rejected.
"""

import base64
import binascii
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np

from gan3d.data.formats.unreadable import UnreadableFile

_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_STRIP, _FAN = 5, 6
_IGNORED = ("KHR_materials", "KHR_texture", "KHR_lights", "KHR_animation", "KHR_xmp", "EXT_texture", "MSFT_texture")
_SUPPORTED = ("KHR_mesh_quantization",)
_COMPRESSED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression")
_MAX_DEPTH = 256  # nested nodes

ReadSibling = Callable[[str], bytes]  # the content of a file by its address relative to the one that refers to it


def parse_gltf(content: bytes, read_sibling: ReadSibling | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Parse the default scene of a glTF or GLB file, with all meshes merged.

    Args:
        content: the file.
        read_sibling: reads the buffers in other files; without it they count as missing.

    Returns:
        Vertices, float64 (V, 3), and triangles, int64 (F, 3).

    Raises:
        UnreadableFile: if a buffer file is missing, or the geometry is compressed.
        ValueError: if the file is broken.
    """
    text, binary = _split_glb(content) if content.startswith(b"glTF") else (content, None)
    try:
        return _Document(json.loads(text), binary, read_sibling).merge_scene()
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"a part that it refers to is missing or of the wrong type ({error})") from None
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None


def _split_glb(content: bytes) -> tuple[bytes, bytes | None]:
    """The JSON and the binary chunk of a GLB."""
    if len(content) < 20:
        raise ValueError("it is truncated")
    version, length = struct.unpack_from("<2I", content, 4)
    if version != 2:
        raise UnreadableFile(f"It is a GLB of version {version}.", "Export it as glTF 2.0.")
    if length > len(content):
        raise ValueError(f"its header claims {length} bytes, but it holds {len(content)}")
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= length:
        size, kind = struct.unpack_from("<I4s", content, at)
        if at + 8 + size > length:
            raise ValueError("a chunk claims more bytes than the file holds")
        chunks.setdefault(kind, content[at + 8 : at + 8 + size])
        at += 8 + size
    if b"JSON" not in chunks:
        raise ValueError("it has no JSON chunk")
    return chunks[b"JSON"].rstrip(b"\0"), chunks.get(b"BIN\0")  # padded with blanks, but some programs write zeros


class _Document:
    """The JSON tree of a file and the buffers that it refers to."""

    def __init__(self, tree: dict[str, Any], binary: bytes | None, read_sibling: ReadSibling | None):
        version = str(tree["asset"]["version"])
        if not version.startswith("2"):
            raise UnreadableFile(f"It is a glTF of version {version[:10]}.", "Export it as glTF 2.0.")
        for name in tree.get("extensionsRequired", []):
            if name in _COMPRESSED:
                raise _compressed(name)
            if name not in _SUPPORTED and not str(name).startswith(_IGNORED):
                raise UnreadableFile(
                    f"It requires the extension {str(name)[:40]}, which is not supported.",
                    "Export it without that extension.",
                )
        self.tree, self.binary, self.read_sibling = tree, binary, read_sibling
        self.buffers: dict[int, bytes] = {}

    def merge_scene(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) and triangles (F, 3) of all meshes in world coordinates."""
        vertices, faces, count = [np.empty((0, 3))], [np.empty((0, 3), np.int64)], 0
        for node, transform in self._nodes():
            for points, triangles in self._primitives(node):
                vertices.append(points @ transform[:3, :3].T + transform[:3, 3])
                mirrored = np.linalg.det(transform[:3, :3]) < 0
                faces.append((triangles[:, ::-1] if mirrored else triangles) + count)
                count += len(points)
        return np.concatenate(vertices), np.concatenate(faces)

    def _nodes(self) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """The nodes of the default scene, or all if there is no scene, with their world transforms (4, 4)."""
        nodes = self.tree.get("nodes", [])
        scenes = self.tree.get("scenes")
        if scenes:
            roots = scenes[self.tree.get("scene", 0)].get("nodes", [])
        else:
            children = {child for node in nodes for child in node.get("children", [])}
            roots = [index for index in range(len(nodes)) if index not in children]
        stack = [(index, np.eye(4), 0) for index in reversed(roots)]
        seen = set()
        while stack:
            index, parent, depth = stack.pop()
            if index in seen or depth > _MAX_DEPTH:
                raise ValueError("its nodes do not form a tree")
            seen.add(index)
            node = nodes[_non_negative(index)]
            transform = parent @ _local_transform(node)
            yield node, transform
            stack += [(child, transform, depth + 1) for child in reversed(node.get("children", []))]

    def _primitives(self, node: dict[str, Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Points (V, 3) and triangles (F, 3) of each primitive of a node's mesh, in the node's frame."""
        if "mesh" not in node:
            return
        mesh = self.tree["meshes"][_non_negative(node["mesh"])]
        weights = node.get("weights", mesh.get("weights", []))
        for primitive in mesh["primitives"]:
            mode = primitive.get("mode", 4)
            if mode not in (4, _STRIP, _FAN) or "POSITION" not in primitive["attributes"]:
                continue
            extensions = primitive.get("extensions", {})
            position = self.tree["accessors"][_non_negative(primitive["attributes"]["POSITION"])]
            if "bufferView" not in position and "sparse" not in position:
                for name in _COMPRESSED:
                    if name in extensions:
                        raise _compressed(name)
            points = self._read_accessor(primitive["attributes"]["POSITION"], 3).astype(np.float64)
            for weight, target in zip(weights, primitive.get("targets", []), strict=False):
                if weight and "POSITION" in target:
                    points = points + weight * self._read_accessor(target["POSITION"], 3)
            if "indices" in primitive:
                corners = self._read_accessor(primitive["indices"], 1)[:, 0].astype(np.int64)
            else:
                corners = np.arange(len(points))
            if len(corners) and corners.max() >= len(points):
                raise ValueError(f"a face refers to vertex {corners.max()}, but the mesh has {len(points)} vertices")
            yield points, _triangles(corners, mode)

    def _read_accessor(self, number: int, width: int) -> np.ndarray:
        """The values of an accessor, (N, width), with normalised integers scaled and sparse values filled in."""
        accessor = self.tree["accessors"][_non_negative(number)]
        count, kind = _non_negative(accessor["count"]), np.dtype(_TYPES[accessor["componentType"]])
        if _WIDTHS.get(accessor["type"]) != width:
            raise ValueError(f"an accessor has the unexpected type {str(accessor['type'])[:20]}")
        if "bufferView" in accessor:
            values = self._read_view(accessor["bufferView"], accessor.get("byteOffset", 0), count, kind, width)
        elif count > sum(len(buffer) for buffer in self.buffers.values()) + 2**24:
            raise ValueError(f"an accessor without data claims {count} values")
        else:
            values = np.zeros((count, width), kind)
        if sparse := accessor.get("sparse"):
            values = values.copy()
            where, what = sparse["indices"], sparse["values"]
            changed = _non_negative(sparse["count"])
            index_kind = np.dtype(_TYPES[where["componentType"]])
            rows = self._read_view(where["bufferView"], where.get("byteOffset", 0), changed, index_kind, 1)[:, 0]
            values[rows] = self._read_view(what["bufferView"], what.get("byteOffset", 0), changed, kind, width)
        if accessor.get("normalized") and kind.kind in "iu":
            return np.maximum(values / np.iinfo(kind).max, -1.0)
        return values

    def _read_view(self, view_number: int, offset: int, count: int, kind: np.dtype, width: int) -> np.ndarray:
        """Values of a buffer view, (count, width), also where they are interleaved with others."""
        view = self.tree["bufferViews"][_non_negative(view_number)]
        for name in _COMPRESSED:
            if name in view.get("extensions", {}) and "fallback" in str(self._buffer_entry(view).get("extensions", {})):
                raise _compressed(name)
        content = self._buffer(_non_negative(view["buffer"]))
        start, length = _non_negative(view.get("byteOffset", 0)), _non_negative(view["byteLength"])
        row = kind.itemsize * width
        stride = _non_negative(view.get("byteStride", 0)) or row
        offset = _non_negative(offset)
        if start + length > len(content) or (count and offset + stride * (count - 1) + row > length):
            raise ValueError(f"an accessor claims {count} values, more than its buffer holds")
        flat = np.frombuffer(content, np.uint8, length - offset, start + offset)
        rows = np.lib.stride_tricks.as_strided(flat, (count, row), (stride, 1), writeable=False)
        return np.ascontiguousarray(rows).view(kind).reshape(count, width)

    def _buffer_entry(self, view: dict[str, Any]) -> dict[str, Any]:
        return self.tree["buffers"][_non_negative(view["buffer"])]

    def _buffer(self, number: int) -> bytes:
        if number not in self.buffers:
            entry = self.tree["buffers"][number]
            self.buffers[number] = self._load_buffer(entry.get("uri"), number)
            if len(self.buffers[number]) < _non_negative(entry["byteLength"]):
                raise ValueError(f"buffer {number} is shorter than its {entry['byteLength']} bytes")
        return self.buffers[number]

    def _load_buffer(self, address: str | None, number: int) -> bytes:
        if address is None:
            if self.binary is None or number:
                raise ValueError(f"buffer {number} is not in the file")
            return self.binary
        if address.startswith("data:"):
            head, _, data = address.partition(",")
            try:
                return base64.b64decode(data) if head.endswith(";base64") else unquote_to_bytes(data)
            except binascii.Error as error:
                raise ValueError(f"buffer {number} is not valid base64 ({error})") from None
        if self.read_sibling is None:
            raise UnreadableFile(f"Its buffer {address[:80]} is missing.", "Put it next to the file, or export a GLB.")
        return self.read_sibling(address)


def _compressed(name: str) -> UnreadableFile:
    return UnreadableFile(f"Its geometry is compressed ({name}).", "Export it without compression.")


def _non_negative(value: Any) -> int:
    """Check an index, count or offset; JSON would also give -1, which Python counts from the end."""
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"it has {str(value)[:20]} where a non-negative integer belongs")
    return value


def _local_transform(node: dict[str, Any]) -> np.ndarray:
    """Transform of a node relative to its parent, (4, 4)."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = (float(value) for value in node.get("rotation", (0, 0, 0, 1)))
    length = x * x + y * y + z * z + w * w
    s = 2 / length if length > 0 else 0.0
    rotation = np.array(
        [
            [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
            [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
            [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
        ]
    )
    result = np.eye(4)
    result[:3, :3] = rotation * np.array(node.get("scale", (1, 1, 1)), np.float64)
    result[:3, 3] = node.get("translation", (0, 0, 0))
    return result


def _triangles(corners: np.ndarray, mode: int) -> np.ndarray:
    if mode == _FAN:
        return np.stack([np.broadcast_to(corners[:1], max(len(corners) - 2, 0)), corners[1:-1], corners[2:]], -1)
    if mode == _STRIP:
        triangles = np.stack([corners[:-2], corners[1:-1], corners[2:]], -1)
        triangles[1::2] = triangles[1::2, [1, 0, 2]]
        # degenerate triangles only connect strips
        return triangles[(triangles != np.roll(triangles, 1, 1)).all(1)]
    return corners[: len(corners) // 3 * 3].reshape(-1, 3)
