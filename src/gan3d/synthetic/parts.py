"""Building blocks of furniture: lofts between rings, bars, boxes, plates, sheets, and their OBJ file.

Lengths are in metres, y is up, x = 0 is the plane of symmetry, and the front faces +z.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

Point = tuple[float, float, float]


@lru_cache(maxsize=256)
def _loft_faces(rings: int, points: int) -> np.ndarray:
    """Triangles of a closed loft: sides between consecutive rings and a fan at each end, (F, 3) int."""
    ring, i = np.meshgrid(np.arange(rings - 1), np.arange(points), indexing="ij")
    a, b = ring * points + i, ring * points + (i + 1) % points
    sides = np.stack([a, b, b + points, a, b + points, a + points], -1).reshape(-1, 3)
    fan = np.stack([np.zeros(points - 2, int), np.arange(2, points), np.arange(1, points - 1)], -1)
    return np.concatenate([sides, fan, fan[:, ::-1] + (rings - 1) * points])


def outline(half_x: float, half_z: float, exponent: float = 2.0, points: int = 28) -> np.ndarray:
    """A superellipse around the origin, (points, 2): an ellipse at exponent 2, a rounded rectangle at 4 and above."""
    angle = 2 * np.pi * (np.arange(points) + 0.5) / points
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)
    return np.sign(circle) * np.abs(circle) ** (2 / exponent) * [half_x, half_z]


class Parts:
    """A mesh of closed parts, which may overlap; each method adds one."""

    def __init__(self) -> None:
        self._vertices: list[np.ndarray] = []
        self._faces: list[np.ndarray] = []
        self._count = 0

    @property
    def vertices(self) -> np.ndarray:
        """All vertices, (V, 3) float64."""
        return np.concatenate(self._vertices)

    @property
    def faces(self) -> np.ndarray:
        """All triangles, (F, 3) int."""
        return np.concatenate(self._faces)

    def loft(self, rings: np.ndarray, mirror: bool = False) -> None:
        """Join rings (K, n, 3) into a closed part; with `mirror`, add its reflection at -x."""
        count, points, _ = rings.shape
        faces = _loft_faces(count, points)
        for image in (False, True) if mirror else (False,):
            self._vertices.append(rings.reshape(-1, 3) * ([-1, 1, 1] if image else [1, 1, 1]))
            self._faces.append((faces[:, ::-1] if image else faces) + self._count)
            self._count += count * points

    def box(self, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], mirror: bool = False) -> None:
        """A box, by the bounds of each axis."""
        square = np.array([[x[0], z[0]], [x[1], z[0]], [x[1], z[1]], [x[0], z[1]]])
        self.plate(square, y[0], y[1], mirror=mirror)

    def plate(self, shape: np.ndarray, bottom: float, top: float, taper: float = 1.0, mirror: bool = False) -> None:
        """A horizontal plate with a convex outline (n, 2) in x and z; the bottom is scaled by `taper`."""
        rings = np.empty((2, len(shape), 3))
        rings[:, :, 0::2] = np.stack([shape * taper, shape])
        rings[:, :, 1] = [[bottom], [top]]
        self.loft(rings, mirror)

    def bar(
        self, start: Point, end: Point, radius: float, to: float | None = None, sides: int = 4, mirror: bool = False
    ) -> None:
        """A straight bar, with end faces parallel to the nearest coordinate plane.

        `radius` is half the thickness at `start`, and `to` at `end`.
        """
        a, b = np.array(start, float), np.array(end, float)
        across = [axis for axis in range(3) if axis != int(np.abs(b - a).argmax())]
        angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
        scale = 1 / np.cos(np.pi / sides) if sides == 4 else 1.0
        section = np.stack([np.cos(angle), np.sin(angle)], -1) * scale
        rings = np.repeat(np.stack([a, b])[:, None], sides, 1)
        rings[0][:, across] += section * radius
        rings[1][:, across] += section * (radius if to is None else to)
        self.loft(rings, mirror)

    def sheet(
        self,
        place: Callable[[np.ndarray], np.ndarray],
        u: tuple[float, float],
        v: tuple[float, float],
        thickness: float,
        crest: float = 0.0,
        segments: tuple[int, int] = (4, 4),
        mirror: bool = False,
    ) -> None:
        """A curved sheet: `place` maps (…, 3) across, up and out to space; `crest` raises the middle of the top edge.

        `segments` are the numbers of segments across and up.
        """
        across = np.linspace(*u, segments[0] + 1)
        span = max(abs(u[0]), abs(u[1]))
        rings = np.empty((len(across), 2 * (segments[1] + 1), 3))
        for ring, position in zip(rings, across, strict=True):
            up = np.linspace(v[0], v[1] + crest * (1 - (position / span) ** 2), segments[1] + 1)
            ring[:, 0] = position
            ring[:, 1] = np.concatenate([up, up[::-1]])
            ring[:, 2] = np.repeat([-thickness / 2, thickness / 2], len(up))
        self.loft(place(rings), mirror)

    def write_obj(self, path: Path) -> None:
        """Write the mesh as OBJ text, coordinates to a tenth of a millimetre."""
        vertices, faces = self.vertices, self.faces + 1
        text = ("v %.4f %.4f %.4f\n" * len(vertices)) % tuple(vertices.ravel().tolist())
        text += ("f %d %d %d\n" * len(faces)) % tuple(faces.ravel().tolist())
        path.write_bytes(text.encode())
