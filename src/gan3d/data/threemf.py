"""3MF: the meshes that a file builds, where its items and components place them; parts may be files of their own.

Format: https://3mf.io/spec (core, production). trimesh reads it, too, but gives each part all meshes of its file,
passes over the files of items, and breaks off where parts are repeated within parts (`docs/readers.md`).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from gan3d.data.safe_xml import parse_xml, unzipped
from gan3d.data.unreadable import Unreadable

_ROOT = "/3d/3dmodel.model"  # where nearly all writers put it; `_rels/.rels` says so otherwise
_HARMLESS = ("/core/", "/production/", "/material/", "/slice/", "/trianglesets/")  # extensions, as namespaces
_SUPPORTS = ("support", "solidsupport")  # what holds a print up is none of the shape
_DEEPEST = 64
_EYE = np.eye(4)

Arrays = tuple[np.ndarray, np.ndarray]


def parse_3mf(content: bytes) -> Arrays:
    """Vertices (V, 3) and triangles (F, 3) of what a 3MF file builds.

    Raises:
        Unreadable: for extensions that change the shape.
        ValueError: for a broken file.
    """
    members = unzipped(content, lambda name: name.endswith((".model", ".rels")))
    try:
        return _Package({_path(name): member for name, member in members.items()}).joined()
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"a part that it names is missing or of a wrong kind ({error})") from None


class _Package:
    """Parts by their path in lower case, parsed as they are needed."""

    def __init__(self, members: dict[str, bytes]):
        self.members = members
        self.root = _ROOT
        if _ROOT not in members:
            links = parse_xml(members["/_rels/.rels"]).iter("{*}Relationship")
            targets = [link.get("Target", "") for link in links if link.get("Type", "").endswith("/3dmodel")]
            self.root = _path(targets[0])
        self.parts: dict[str, tuple[Any, dict[str, Any]]] = {}
        self.meshes: dict[tuple[str, str], Arrays] = {}

    def joined(self) -> Arrays:
        vertices, faces, count = [np.empty((0, 3))], [np.empty((0, 3), np.int64)], 0
        for key, transform in self._placed():
            points, triangles = self._mesh(key)
            vertices.append(points @ transform[:3, :3] + transform[3, :3])
            mirrored = np.linalg.det(transform[:3, :3]) < 0
            faces.append((triangles[:, ::-1] if mirrored else triangles) + count)
            count += len(points)
        return np.concatenate(vertices), np.concatenate(faces)

    def _placed(self) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
        """The meshes to build, as path and number, each with the matrix (4, 4) that follows a row vector."""
        tree, _ = self._part(self.root)
        items = [item for build in tree.iter("{*}build") for item in build.iter("{*}item")]
        stack = [(item, self.root, _EYE, 0) for item in reversed(items)]
        while stack:
            element, path, above, depth = stack.pop()
            if depth > _DEEPEST:
                raise ValueError("its components are too deep in each other, or in a circle")
            transform = _transform(element) @ above
            path = next((_path(value) for key, value in element.attrib.items() if key.endswith("}path")), path)
            number = element.get("objectid")
            thing = self._part(path)[1][number]
            if thing.get("type") in _SUPPORTS:
                continue
            if thing.find("{*}mesh") is not None:
                yield (path, number), transform
            elif (components := thing.find("{*}components")) is not None:
                stack += [(inner, path, transform, depth + 1) for inner in reversed(list(components))]

    def _part(self, path: str) -> tuple[Any, dict[str, Any]]:
        """The root of a part, and its objects by number."""
        if path not in self.parts:
            root = parse_xml(self.members[path])
            for prefix in root.get("requiredextensions", "").split():
                if not any(word in f"{root.nsmap[prefix]}/" for word in _HARMLESS):
                    raise Unreadable(f"It needs the extension {root.nsmap[prefix][:80]}.", "Export it as a plain mesh.")
            if self.parts and root.get("unit") != self.parts[self.root][0].get("unit"):
                raise ValueError("its parts have different units")
            self.parts[path] = root, {thing.get("id"): thing for thing in root.iter("{*}object")}
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
                raise ValueError(f"a face names vertex {wrong}, but there are {len(points)} vertices")
            self.meshes[key] = points, faces
        return self.meshes[key]


def _path(name: str) -> str:
    """A part's path as packages compare them: absolute, in lower case."""
    return "/" + name.replace("\\", "/").lstrip("/").lower()


def _transform(element: Any) -> np.ndarray:
    if "transform" not in element.attrib:
        return _EYE
    result = _EYE.copy()
    result[:, :3] = np.array(element.get("transform").split(), np.float64).reshape(4, 3)
    return result
