"""Render a voxel grid: a fast software renderer in NumPy.

The projection is parallel, from the front, the right and above. Three sides of a voxel are visible, and all voxels have
the same hexagonal footprint. Footprints are stamped back to front (the grid's C order); each pixel keeps the index of
the voxel and footprint pixel it shows, and is shaded once at the end. A side has its brightness, times ambient
occlusion at its four corners (Lysenko 2013, "Ambient occlusion for Minecraft-like worlds") and in a neighbourhood.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gan3d.errors import UserError
from gan3d.voxels import AXES

# Okabe and Ito's colour-blind-safe palette, softened; one colour per class
PALETTE = (
    (74, 144, 196),
    (231, 149, 62),
    (66, 165, 128),
    (205, 112, 160),
    (120, 110, 190),
    (214, 99, 72),
    (110, 185, 220),
    (172, 158, 60),
)
BACKGROUND = (255, 255, 255)
INK = (70, 74, 82)
AZIMUTH, ELEVATION = float(np.degrees(np.arctan2(4, 6))), 30.0  # degrees to the right of the front; above the ground
_UNIT = float(np.hypot(4, 6))  # voxel edge for which the view's axes are 6 right 2 down, 6 up, 4 left 3 down

_SIDES = ((0, 1, 2), (1, 0, 2), (2, 0, 1))  # the axis of a side's normal, then the axes of its plane


def class_color(index: int) -> tuple[int, int, int]:
    """The colour of a class, equal in all pictures."""
    return PALETTE[index % len(PALETTE)]


def upright(voxels: np.ndarray, up: str) -> np.ndarray:
    """Rotate one grid (R, R, R): its axes then point right, up and toward the viewer.

    Raises:
        UserError: when `up` is not one of x, y and z.
    """
    if up == "y":
        return voxels
    if up == "z":
        return voxels.transpose(0, 2, 1)[:, :, ::-1]
    if up == "x":
        return voxels.transpose(1, 0, 2)[::-1]
    raise UserError(f"up axis {up!r} does not exist: choose one of {', '.join(AXES)}.")


def render(
    voxels: np.ndarray,
    size: int = 256,
    up: str = "y",
    color: tuple[int, int, int] = PALETTE[0],
    azimuth: float = AZIMUTH,
) -> np.ndarray:
    """Render one boolean grid (R, R, R), R up to about 128, seen from the front, the right and above.

    Args:
        size: edge of the picture in pixels.
        up: the axis that points up: "x", "y" or "z".
        color: RGB of the voxels.
        azimuth: angle of the viewer to the right of the front, in degrees.

    Returns:
        uint8 (size, size, 3). The grid, not the shape, fills the picture.
    """
    quarters, angle = divmod(azimuth, 90.0)
    solid = np.rot90(upright(np.asarray(voxels, bool), up), int(quarters), (0, 2))
    if not solid.any():
        return _empty(size)
    camera = _camera(len(solid), size, round(angle, 3))
    pixels, brightness = _draw(solid, camera)
    square = (camera.width, camera.width)
    colored, covered = np.zeros((*square, 3), np.uint8), np.zeros(square, np.uint8)
    colored.reshape(-1, 3)[pixels] = _ramp(color)[brightness]
    covered.reshape(-1)[pixels] = 255
    picture, alpha = (
        np.asarray(Image.fromarray(part).resize((size, size), Image.Resampling.BOX)) for part in (colored, covered)
    )
    behind = _ground(solid, camera) * (255 - alpha[..., None].astype(np.uint16)) // 255
    return picture + np.minimum(behind, 255 - picture).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class _Camera:
    """Projection of a cube of voxels onto a square canvas of `width` subpixels, for a picture of `size` pixels.

    One voxel along each axis is a step `axes` (3, 2), right and down, of whole subpixels; footprints therefore tile the
    plane without gaps.
    """

    size: int
    width: int
    axes: np.ndarray
    origin: np.ndarray  # (2,) integers: the position of the cube's corner 0, 0, 0
    offsets: np.ndarray  # (K,) int32: the footprint's pixels in the flat canvas, relative to the voxel's
    sides: np.ndarray  # (K,) int32: the index in _SIDES that a pixel shows
    across: np.ndarray  # (K, 2): and its position there, 0 to 1
    light: tuple[float, float, float]  # brightness of the right, top and front sides

    @property
    def fine(self) -> float:
        """Subpixels along the edge of a pixel."""
        return self.width / self.size


@lru_cache(maxsize=64)
def _camera(side: int, size: int, angle: float) -> _Camera:
    turn, tilt = np.radians(angle), np.radians(ELEVATION)
    axes = np.array(
        [
            [np.cos(turn), np.sin(turn) * np.sin(tilt)],
            [0.0, -np.cos(tilt)],
            [-np.sin(turn), np.cos(turn) * np.sin(tilt)],
        ]
    )
    extent = 1.06 * (np.cos(tilt) + np.sqrt(2) * np.sin(tilt))  # of the rotating cube, with a margin
    least = 1 if angle == round(AZIMUTH, 3) else 2
    unit = _UNIT * max(least, np.ceil(2 * size / (extent * side * _UNIT)))
    axes = np.rint(axes * unit).astype(int)
    width = int(np.ceil(extent * side * unit))
    origin = (width - axes.sum(0) * side) // 2
    front = 0.78 + 0.19 * angle / 90  # lit from the left: a side darkens as it turns to the right
    return _Camera(size, width, axes, origin, *_footprint(axes, width), light=(front - 0.19, 1.0, front))


def _footprint(axes: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels that a voxel covers: offsets, sides and positions on the side, see `_Camera`."""
    reach = int(np.abs(axes).sum())
    down, right = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    point = np.stack([right + 0.501, down + 0.5017], -1)  # not on an edge: each pixel belongs to one side
    sides, across = np.full(point.shape[:2], -1, np.int32), np.zeros(point.shape)
    for number, (normal, first, second) in enumerate(_SIDES):
        basis = axes[[first, second]]
        if round(np.linalg.det(basis)) == 0:
            continue  # seen edge-on
        uv = (point - axes[normal]) @ np.linalg.inv(basis)
        inside = ((uv > 0) & (uv < 1)).all(-1)
        sides[inside], across[inside] = number, uv[inside]
    inside = sides >= 0
    return (down * width + right)[inside].astype(np.int32), sides[inside], across[inside]


def _draw(solid: np.ndarray, camera: _Camera) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices of the canvas's covered pixels, and the brightness of each, 0 to 255."""
    where = _visible(solid)
    anchors = ((where @ camera.axes + camera.origin) @ np.array([1, camera.width])).astype(np.int32)
    flat = np.full(camera.width**2, -1, np.int32)
    footprint = len(camera.offsets)
    step = max(1, 2**20 // footprint)
    for start in range(0, len(anchors), step):
        stop = min(start + step, len(anchors))
        stamps = np.arange(start * footprint, stop * footprint, dtype=np.int32).reshape(-1, footprint)
        flat[anchors[start:stop, None] + camera.offsets] = stamps  # of equal indices the last one wins
    shown = np.flatnonzero(flat >= 0)
    return shown, _brightness(solid, where, camera, flat[shown])


def _visible(solid: np.ndarray) -> np.ndarray:
    """Indices (V, 3) of the voxels with at least one visible side, back to front."""
    covered = np.zeros_like(solid)
    covered[:-1, :-1, :-1] = solid[1:, :-1, :-1] & solid[:-1, 1:, :-1] & solid[:-1, :-1, 1:]
    return np.argwhere(solid & ~covered)


def _brightness(solid: np.ndarray, where: np.ndarray, camera: _Camera, stamps: np.ndarray) -> np.ndarray:
    """Brightness of pixels by their stamps: the voxel's row in `where` times K, plus the footprint pixel."""
    voxel, pixel = np.divmod(stamps, np.int32(len(camera.offsets)))
    corners = _corner_light(solid, where) * _neighbourhood_light(solid, where)[:, :, None, None]
    corners *= 255 * np.array(camera.light, np.float32)[None, :, None, None]
    u, v = camera.across.T
    weights = np.stack([(1 - u) * (1 - v), (1 - u) * v, u * (1 - v), u * v], 1)
    thickness = float(np.linalg.norm(camera.axes[1])) / camera.fine  # of a voxel, in pixels of the picture
    if thickness > 3.5:
        edge = np.minimum(camera.across, 1 - camera.across).min(1) * thickness < 0.5
        weights[edge] *= 1 - 0.14 * min(1.0, (thickness - 2) / 6)  # finer grids have fainter lines
    sides = corners.reshape(-1, 4)[voxel * 3 + camera.sides[pixel]]
    return np.einsum("ij,ij->i", sides, weights.astype(np.float32)[pixel]).astype(np.uint8)


def _corner_light(solid: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Ambient light at the corners of each voxel's three sides, float32 (V, 3, 2, 2); 1 where nothing is adjacent."""
    padded = np.pad(solid, 1)
    light = np.empty((len(where), 3, 2, 2), np.float32)
    table = np.array([1.0, 0.84, 0.7, 0.58], np.float32)
    for number, (normal, first, second) in enumerate(_SIDES):
        front = where + 1
        front[:, normal] += 1
        around = {}
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                cell = front.copy()
                cell[:, first] += i
                cell[:, second] += j
                around[i, j] = padded[tuple(cell.T)].astype(np.int8)
        for u, i in enumerate((-1, 1)):
            for v, j in enumerate((-1, 1)):
                one, other = around[i, 0], around[0, j]
                blocked = one + other + np.maximum(around[i, j], one & other)
                light[:, number, u, v] = table[blocked]
    return light


def _neighbourhood_light(solid: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Ambient light in the wider neighbourhood of each voxel's three sides, float32 (V, 3)."""
    from scipy import ndimage  # not needed where only pages are written

    reach = max(1, len(solid) // 10)
    density = ndimage.uniform_filter(solid.astype(np.float32), 2 * reach + 1, mode="constant")
    light = np.empty((len(where), 3), np.float32)
    for number, (normal, _, _) in enumerate(_SIDES):
        cell = where.copy()
        cell[:, normal] += reach + 1
        outside = cell[:, normal] >= len(solid)
        cell[outside, normal] = len(solid) - 1
        light[:, number] = np.where(outside, 1, 1 - 0.6 * np.minimum(density[tuple(cell.T)], 0.6))
    return light


def _ramp(color: tuple[int, int, int]) -> np.ndarray:
    """Colour by brightness, uint8 (256, 3): darker and cooler below 0.85, the colour itself there, then lighter."""
    base = np.array(color, float)
    stops = np.array([base * 0.12, base * (0.5, 0.52, 0.58), base, base + (255 - base) * 0.38])
    return np.stack([np.interp(np.linspace(0, 1, 256), (0, 0.5, 0.85, 1), stop) for stop in stops.T], 1).astype(
        np.uint8
    )


def _ground(solid: np.ndarray, camera: _Camera) -> np.ndarray:
    """The background (size, size, 3), with the shape's soft shadow on the ground."""
    from scipy import ndimage  # not needed where only pages are written

    side = len(solid)
    bottom = int(np.flatnonzero(solid.any((0, 2)))[0])
    scale = max(1, side // 32)
    height = np.argmax(solid, 1)  # of the lowest voxel of a column
    weight = np.where(solid.any(1), 1 - 0.7 * (height - bottom) / side, 0)[::scale, ::scale]
    margin = len(weight) // 3
    soft = ndimage.gaussian_filter(np.pad(weight, margin).astype(np.float32), len(weight) / 22)
    shade = Image.fromarray((soft * 255).astype(np.uint8).T)  # rows are the depth, columns the width
    corner = camera.origin + bottom * camera.axes[1]
    inverse = np.linalg.inv(camera.axes[[0, 2]].T) / scale  # from the canvas to the shadow's pixels
    shift = margin - inverse @ corner
    inverse *= camera.fine
    terms = (*inverse[0], shift[0], *inverse[1], shift[1])
    flat = shade.transform((camera.size,) * 2, Image.Transform.AFFINE, terms, Image.Resampling.BILINEAR)
    dark = np.arange(256)[:, None] * (0.3 / 255)
    table = (np.array(BACKGROUND) * (1 - dark) + np.array(INK) * dark).astype(np.uint8)
    return table[np.asarray(flat)]


def _empty(size: int) -> np.ndarray:
    """The outline of the cube and the word "empty"."""
    camera = _camera(1, size, round(AZIMUTH, 3))
    picture = Image.new("RGB", (camera.width,) * 2, BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for start, axis in ((np.array(corner), axis) for corner in np.ndindex(2, 2, 2) for axis in range(3)):
        if start[axis] == 0:
            ends = np.stack([start, start + np.eye(3, dtype=int)[axis]])
            line = [tuple(point) for point in ends @ camera.axes + camera.origin]
            draw.line(line, fill=(196, 200, 208), width=max(2, camera.width // 192))
    font = ImageFont.load_default(camera.width / 9)
    draw.text((camera.width / 2,) * 2, "empty", INK, font, anchor="mm")
    return np.asarray(picture.resize((size, size), Image.Resampling.BOX))
