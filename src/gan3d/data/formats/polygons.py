"""Polygons of a mesh -> triangles: fans where they are convex, cut ears where they are not."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np


def triangulate(vertices: np.ndarray, polygons: Sequence[Sequence[int]]) -> np.ndarray:
    """Triangles (F, 3) of polygons over vertices (V, 3), in no particular order; polygons below 3 corners are left out.

    Indices must be in range. Corners may lie slightly out of a plane, as in real files.
    """
    by_length: dict[int, list[Sequence[int]]] = defaultdict(list)
    for polygon in polygons:
        by_length[len(polygon)].append(polygon)
    triangles = [np.empty((0, 3), np.int64)]
    for length, members in sorted(by_length.items()):
        if length < 3:
            continue
        corners = np.array(members, np.int64)
        convex = _convex(vertices[corners]) if length > 3 else np.ones(len(corners), bool)
        fan = np.stack([np.zeros(length - 2, int), np.arange(1, length - 1), np.arange(2, length)], -1)
        triangles.append(corners[convex][:, fan].reshape(-1, 3))
        triangles += [polygon[cut_ears(vertices[polygon])] for polygon in corners[~convex]]
    return np.concatenate(triangles)


def _convex(points: np.ndarray) -> np.ndarray:
    """Which polygons (P, n, 3) turn the same way at every corner, (P,) booleans; NaN counts as convex."""
    with np.errstate(invalid="ignore", over="ignore"):
        edges = np.roll(points, -1, 1) - points
        turns = np.cross(np.roll(edges, 1, 1), edges)
        along = (turns * _normals(points)[:, None]).sum(-1)
    return ~(along < -1e-9 * np.abs(along).max(1, keepdims=True)).any(1)


def _normals(points: np.ndarray) -> np.ndarray:
    """Newell's normals of polygons (P, n, 3): twice the area, (P, 3)."""
    centred = points - points[:, :1]
    return np.cross(centred, np.roll(centred, -1, 1)).sum(1)


def cut_ears(points: np.ndarray) -> np.ndarray:
    """Triangulate one simple polygon (n, 3) by cutting ears (Meisters 1975), (n - 2, 3) indices into it.

    Where no ear is found (a polygon that crosses itself), the corners that are left become a fan.
    """
    normal = _normals(points[None])[0]
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
    """Is the corner convex, and no other corner inside its triangle or on its diagonal? A flat corner is one."""
    a, b, c = flat[ear]
    turn, flat_enough = _turn(a, b, c), 1e-12 * float(np.ptp(flat, 0).max()) ** 2
    if abs(turn) <= flat_enough:
        return True
    if turn < 0:
        return False
    others = flat[[i for i in left if i not in ear]]
    others = others[~(others[:, None] == flat[ear]).all(-1).any(1)]  # a hole's bridge repeats its corners
    inside = (_turn(a, b, others) > 0) & (_turn(b, c, others) > 0) & (_turn(c, a, others) >= 0)
    return not inside.any()


def _turn(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Twice the signed area of the triangles a, b, c in the plane."""
    return (b[0] - a[0]) * (c[..., 1] - a[1]) - (b[1] - a[1]) * (c[..., 0] - a[0])
