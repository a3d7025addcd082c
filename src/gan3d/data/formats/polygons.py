"""Triangulation of polygon meshes: fans for convex polygons, ear clipping for concave ones."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np


def triangulate(vertices: np.ndarray, polygons: Sequence[Sequence[int]]) -> np.ndarray:
    """Split polygons into triangles.

    Args:
        vertices: float64 (V, 3). The corners of a polygon may be slightly off a plane, as in real files.
        polygons: indices into `vertices`, which must be in range; polygons of fewer than 3 corners are dropped.

    Returns:
        Triangles, int64 (F, 3), grouped by the length of their polygon.
    """
    by_length: dict[int, list[Sequence[int]]] = defaultdict(list)
    for polygon in polygons:
        by_length[len(polygon)].append(polygon)
    triangles = [np.empty((0, 3), np.int64)]
    for length, members in sorted(by_length.items()):
        if length < 3:
            continue
        corners = np.array(members, np.int64)
        convex = _is_convex(vertices[corners]) if length > 3 else np.ones(len(corners), bool)
        fan = np.stack([np.zeros(length - 2, int), np.arange(1, length - 1), np.arange(2, length)], -1)
        triangles.append(corners[convex][:, fan].reshape(-1, 3))
        triangles += [polygon[clip_ears(vertices[polygon])] for polygon in corners[~convex]]
    return np.concatenate(triangles)


def _is_convex(points: np.ndarray) -> np.ndarray:
    """Whether polygons (P, n, 3) turn the same way at every corner, booleans (P,); NaN counts as convex."""
    with np.errstate(invalid="ignore", over="ignore"):
        edges = np.roll(points, -1, 1) - points
        turns = np.cross(np.roll(edges, 1, 1), edges)
        along = (turns * _newell_normals(points)[:, None]).sum(-1)
    return ~(along < -1e-9 * np.abs(along).max(1, keepdims=True)).any(1)


def _newell_normals(points: np.ndarray) -> np.ndarray:
    """Newell normals of polygons (P, n, 3), of length twice the area, (P, 3)."""
    centred = points - points[:, :1]
    return np.cross(centred, np.roll(centred, -1, 1)).sum(1)


def clip_ears(points: np.ndarray) -> np.ndarray:
    """Triangulate one simple polygon by ear clipping (Meisters 1975).

    If no ear is found, as in a self-intersecting polygon, the remaining corners become a fan.

    Args:
        points: corners (n, 3) in order.

    Returns:
        Indices into `points`, (n - 2, 3).
    """
    normal = _newell_normals(points[None])[0]
    drop = int(np.abs(normal).argmax())
    flat = np.delete(points, drop, 1) * ([1, 1] if (normal[drop] > 0) == (drop != 1) else [-1, 1])
    left = list(range(len(points)))
    triangles = []
    while len(left) > 3:
        for i in range(len(left)):
            ear = [left[i - 1], left[i], left[(i + 1) % len(left)]]
            if _is_ear(flat, ear, left):
                triangles.append(ear)
                del left[i]
                break
        else:
            break
    triangles += [[left[0], left[i], left[i + 1]] for i in range(1, len(left) - 1)]
    return np.array(triangles)


def _is_ear(flat: np.ndarray, ear: list[int], left: list[int]) -> bool:
    """Whether a corner can be cut off: it is straight, or convex with no other corner inside or on its diagonal."""
    a, b, c = flat[ear]
    area, tolerance = _signed_area(a, b, c), 1e-12 * float(np.ptp(flat, 0).max()) ** 2
    if abs(area) <= tolerance:
        return True
    if area < 0:
        return False
    others = flat[[i for i in left if i not in ear]]
    others = others[~(others[:, None] == flat[ear]).all(-1).any(1)]  # the bridge to a hole repeats corners
    inside = (_signed_area(a, b, others) > 0) & (_signed_area(b, c, others) > 0) & (_signed_area(c, a, others) >= 0)
    return not inside.any()


def _signed_area(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Twice the signed area of the plane triangles a, b, c."""
    return (b[0] - a[0]) * (c[..., 1] - a[1]) - (b[1] - a[1]) * (c[..., 0] - a[0])
