"""3MF: the meshes that a file builds, placed by its items and components; parts may be in files of their own.

Format: https://3mf.io/spec (core and production extension). trimesh reads it, too, but gives each part all meshes of
its file, ignores the files of items, and fails on nested repetition (`docs/readers.md`).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from gan3d.data.formats.safe_xml import parse_xml, unzip
from gan3d.data.formats.unreadable import UnreadableFile

_ROOT = "/3d/3dmodel.model"  # the usual root part; `_rels/.rels` names it otherwise
_HARMLESS = ("/core/", "/production/", "/material/", "/slice/", "/trianglesets/")  # extensions, by their namespace
_SUPPORTS = ("support", "solidsupport")  # print supports are not part of the shape
_MAX_DEPTH = 64  # nested components
_IDENTITY = np.eye(4)

Arrays = tuple[np.ndarray, np.ndarray]  # vertices (V, 3) and triangles (F, 3)


def parse_3mf(content: bytes) -> Arrays:
    """Parse a 3MF file, with all meshes that it builds merged.

    Returns:
        Vertices, float64 (V, 3), and triangles, int64 (F, 3).

    Raises:
        UnreadableFile: if it requires an extension that changes the shape.
        ValueError: if the file is broken.
    """
    members = unzip(content, lambda name: name.endswith((".model", ".rels")))
    try:
        return _Package({_normalise(name): member for name, member in members.items()}).merge_build()
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"a part that it refers to is missing or of the wrong type ({error})") from None


class _Package:
    """The parts of a file by normalised path, parsed when they are needed."""

    def __init__(self, members: dict[str, bytes]):
        self.members = members
        self.root = _ROOT
        if _ROOT not in members:
            links = parse_xml(members["/_rels/.rels"]).iter("{*}Relationship")
            targets = [link.get("Target", "") for link in links if link.get("Type", "").endswith("/3dmodel")]
            self.root = _normalise(targets[0])
        self.parts: dict[str, tuple[Any, dict[str, Any]]] = {}
        self.meshes: dict[tuple[str, str], Arrays] = {}

    def merge_build(self) -> Arrays:
        vertices, faces, count = [np.empty((0, 3))], [np.empty((0, 3), np.int64)], 0
        for key, transform in self._mesh_instances():
            points, triangles = self._mesh(key)
            vertices.append(points @ transform[:3, :3] + transform[3, :3])
            mirrored = np.linalg.det(transform[:3, :3]) < 0
            faces.append((triangles[:, ::-1] if mirrored else triangles) + count)
            count += len(points)
        return np.concatenate(vertices), np.concatenate(faces)

    def _mesh_instances(self) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
        """The meshes to build as (path, object id), each with its transform (4, 4) of row vectors."""
        tree, _ = self._part(self.root)
        items = [item for build in tree.iter("{*}build") for item in build.iter("{*}item")]
        stack = [(item, self.root, _IDENTITY, 0) for item in reversed(items)]
        while stack:
            element, path, parent, depth = stack.pop()
            if depth > _MAX_DEPTH:
                raise ValueError("its components are nested too deeply, or in a cycle")
            transform = _local_transform(element) @ parent
            path = next((_normalise(value) for key, value in element.attrib.items() if key.endswith("}path")), path)
            object_id = element.get("objectid")
            entry = self._part(path)[1][object_id]
            if entry.get("type") in _SUPPORTS:
                continue
            if entry.find("{*}mesh") is not None:
                yield (path, object_id), transform
            elif (components := entry.find("{*}components")) is not None:
                stack += [(component, path, transform, depth + 1) for component in reversed(list(components))]

    def _part(self, path: str) -> tuple[Any, dict[str, Any]]:
        """The root element of a part, and its objects by id."""
        if path not in self.parts:
            root = parse_xml(self.members[path])
            for prefix in root.get("requiredextensions", "").split():
                if not any(word in f"{root.nsmap[prefix]}/" for word in _HARMLESS):
                    reason = f"It requires the extension {root.nsmap[prefix][:80]}, which is not supported."
                    raise UnreadableFile(reason, "Export it as a plain mesh.")
            if self.parts and root.get("unit") != self.parts[self.root][0].get("unit"):
                raise ValueError("its parts have different units")
            self.parts[path] = root, {entry.get("id"): entry for entry in root.iter("{*}object")}
        return self.parts[path]

    def _mesh(self, key: tuple[str, str]) -> Arrays:
        if key not in self.meshes:
            mesh = self._part(key[0])[1][key[1]].find("{*}mesh")
            vertices = mesh.find("{*}vertices").iterchildren("{*}vertex")
            triangles = mesh.find("{*}triangles").iterchildren("{*}triangle")
            points = np.array([[float(row.get(axis)) for axis in "xyz"] for row in vertices]).reshape(-1, 3)
            corners = [[int(row.get(corner)) for corner in ("v1", "v2", "v3")] for row in triangles]
            faces = np.array(corners, np.int64).reshape(-1, 3)
            if len(faces) and (faces.min() < 0 or faces.max() >= len(points)):
                wrong = faces.min() if faces.min() < 0 else faces.max()
                raise ValueError(f"a face refers to vertex {wrong}, but the mesh has {len(points)} vertices")
            self.meshes[key] = points, faces
        return self.meshes[key]


def _normalise(name: str) -> str:
    """A part's path as packages compare them: absolute and in lower case."""
    return "/" + name.replace("\\", "/").lstrip("/").lower()


def _local_transform(element: Any) -> np.ndarray:
    if "transform" not in element.attrib:
        return _IDENTITY
    result = _IDENTITY.copy()
    result[:, :3] = np.array(element.get("transform").split(), np.float64).reshape(4, 3)
    return result
