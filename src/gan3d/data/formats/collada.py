"""COLLADA (.dae, and zipped as .zae): the polygons of a scene, placed by its nodes, with pycollada.

Format: https://www.khronos.org/collada. trimesh uses the same library, but turns concave polygons into fans and skips
what it cannot read. Axes stay as stored, independent of `up_axis`.
"""

import io

import numpy as np

from gan3d.data.formats.polygons import triangulate
from gan3d.data.formats.safe_xml import parse_xml, unzip
from gan3d.data.formats.text import to_zero_based
from gan3d.data.formats.unreadable import UnreadableFile

_NO_GEOMETRY = (
    "library_animations", "library_animation_clips", "library_cameras", "library_effects", "library_images",
    "library_lights", "library_materials", "bind_material", "instance_camera", "instance_light", "extra",
)  # fmt: skip
_UNSUPPORTED = {
    "instance_controller": ("It is bound to a skeleton or to morph targets.", "Export the pose as a plain mesh."),
    "ph": ("It has polygons with holes.", "Triangulate it before the export."),
    "spline": ("It has splines.", "Export it as a mesh of polygons."),
    "convex_mesh": ("It has a convex hull without polygons.", "Export it as a mesh of polygons."),
}


def parse_zae(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Parse a zipped COLLADA file, which must hold exactly one scene; see `parse_dae`."""
    scenes = unzip(content, lambda name: name.endswith(".dae") and "__macosx" not in name)
    if len(scenes) != 1:
        raise UnreadableFile(f"It holds {len(scenes)} COLLADA scenes.", "Pack exactly one .dae into it.")
    return parse_dae(next(iter(scenes.values())))


def parse_dae(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Parse a COLLADA file, with all meshes of the scene merged.

    Returns:
        Vertices, float64 (V, 3), and triangles, int64 (F, 3).

    Raises:
        UnreadableFile: for skins, morph targets, holes and splines, which would be dropped or misread.
        Exception: any that pycollada raises for a broken file.
    """
    import collada
    from collada.polylist import BoundPolylist
    from collada.triangleset import BoundTriangleSet
    from lxml import etree

    kinds = (BoundTriangleSet, BoundPolylist)
    root = parse_xml(content)
    for name, fault in _UNSUPPORTED.items():
        if next(root.iter(f"{{*}}{name}"), None) is not None:
            raise UnreadableFile(*fault)
    for element in list(root.iter(*(f"{{*}}{name}" for name in _NO_GEOMETRY))):
        if (parent := element.getparent()) is not None:
            parent.remove(element)  # a broken material does not affect the shape
    scene = collada.Collada(io.BytesIO(etree.tostring(root))).scene
    vertices, faces, count = [np.empty((0, 3))], [np.empty((0, 3), np.int64)], 0
    for geometry in scene.objects("geometry") if scene else ():
        mirrored = np.linalg.det(geometry.matrix[:3, :3]) < 0
        for primitive in geometry.primitives():
            if primitive.vertex is None or not isinstance(primitive, kinds):
                continue  # lines, or empty
            points = np.asarray(primitive.vertex, np.float64)
            triangles = triangulate(points, to_zero_based(_polygons(primitive), 0, len(points)))
            faces.append((triangles[:, ::-1] if mirrored else triangles) + count)
            vertices.append(points)
            count += len(points)
    return np.concatenate(vertices), np.concatenate(faces)


def _polygons(primitive: object) -> list[list[int]]:
    indices = primitive.vertex_index  # type: ignore[attr-defined]
    if indices.ndim == 2:
        return indices.tolist()
    flat, ends = indices.tolist(), primitive.polyindex.tolist()  # type: ignore[attr-defined]
    if ends and (ends[-1][1] != len(flat) or any(end < start for start, end in ends)):
        raise ValueError(f"its polygons claim {ends[-1][1]} corners, but it holds {len(flat)}")
    return [flat[start:end] for start, end in ends]
