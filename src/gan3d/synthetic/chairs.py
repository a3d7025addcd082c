"""Parametric chairs, armchairs and stools, with random parameters."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gan3d.synthetic.parts import Parts, outline


@dataclass(frozen=True)
class Seat:
    """The seat: half width, half depth, height of top and bottom in metres, and whether it is round."""

    x: float
    z: float
    top: float
    bottom: float
    round: bool


def chair(rng: np.random.Generator) -> Parts:
    """A random chair; y is up, it faces +z and is symmetric about x = 0."""
    parts = Parts()
    kind = rng.choice(["legs", "pedestal", "sled", "panels", "block"], p=[0.64, 0.14, 0.08, 0.07, 0.07])
    back = rng.choice(list(BACKS), p=[0.23, 0.17, 0.13, 0.16, 0.17, 0.1, 0.04])
    seat = _seat(parts, rng, kind, stool=back == "none")
    BASES[kind](parts, rng, seat)
    place, height = _back_plane(rng, seat)
    BACKS[back](parts, rng, seat, place, height)
    if back != "none" and rng.random() < (0.9 if kind == "block" else 0.38):
        _arms(parts, rng, seat, min(height, 0.3))
    return parts


def _seat(parts: Parts, rng: np.random.Generator, kind: str, stool: bool) -> Seat:
    """Add the seat and return its dimensions."""
    x, z = rng.uniform(0.17, 0.34), rng.uniform(0.17, 0.33)
    if rng.random() < 0.08 and kind != "pedestal":
        x = rng.uniform(0.4, 0.62)  # a bench for two
    top = rng.uniform(0.3, 0.56)
    if stool:  # narrow and high: otherwise it is a table
        x, z, top = rng.uniform(0.13, 0.2), rng.uniform(0.13, 0.2), rng.uniform(0.4, 0.6)
    if rng.random() < (0.35 if stool else 0.12) and kind != "block":
        top = rng.uniform(0.6, 0.85)  # a bar chair
    thickness = rng.uniform(0.03, 0.07) if rng.random() < 0.7 else rng.uniform(0.08, 0.16)
    is_round = bool(rng.random() < (0.5 if stool else 0.14)) and x < 0.36
    if is_round:
        z = x * rng.uniform(0.9, 1.1)
    seat = Seat(x, z, top, top - min(thickness, top / 2), is_round)
    if is_round:
        shape = outline(x, z)
    elif rng.random() < 0.3:
        shape = outline(x, z, rng.uniform(3, 6))
    else:
        rear = x * (1.0 if rng.random() < 0.6 else rng.uniform(0.75, 0.95))
        shape = np.array([[-rear, -z], [rear, -z], [x, z], [-x, z]])
    parts.plate(shape, seat.bottom, seat.top, taper=rng.uniform(0.85, 1.0))
    return seat


def _legs(parts: Parts, rng: np.random.Generator, seat: Seat) -> None:
    """Four legs, straight, tapered or splayed, with or without rungs."""
    radius = rng.uniform(0.014, 0.036)
    sides = int(rng.choice([4, 8]))
    foot = radius * (1.0 if rng.random() < 0.5 else rng.uniform(0.5, 0.8))
    inset = 0.68 if seat.round else 1.0
    x, z = seat.x * inset - radius, seat.z * inset - radius
    spread = rng.choice([0.0, 1.0], p=[0.45, 0.55]) * rng.uniform(0.02, 0.12, 3)  # sideways, front, rear
    corners = [(x + spread[0], z + spread[1], z), (x + spread[0], -z - spread[2], -z)]
    for foot_x, foot_z, top_z in corners:
        parts.bar((foot_x, 0, foot_z), (x, seat.bottom, top_z), foot, radius, sides, mirror=True)
    if rng.random() < 0.45:
        _rungs(parts, rng, corners, x, seat.bottom, radius)
    if rng.random() < 0.3 and not seat.round:
        drop = rng.uniform(0.03, 0.08)  # an apron below the seat
        for side in (-1, 1):
            parts.box((-x, x), (seat.bottom - drop, seat.bottom), (side * z - 0.012, side * z + 0.012))
        parts.box((x - 0.012, x + 0.012), (seat.bottom - drop, seat.bottom), (-z, z), mirror=True)


def _rungs(parts: Parts, rng: np.random.Generator, corners: list, x: float, height: float, radius: float) -> None:
    """Rungs between the legs: at the sides, and in front, at the back or between the sides."""
    thin = max(radius * rng.uniform(0.5, 0.9), 0.01)
    share = rng.uniform(0.15, 0.6)
    at = [((1 - share) * fx + share * x, share * height, (1 - share) * fz + share * tz) for fx, fz, tz in corners]
    (fx, y, fz), (rx, _, rz) = at
    parts.bar((fx, y, fz), (rx, y, rz), thin, mirror=True)
    style = rng.choice(["between", "both", "front", "none"])
    if style == "between":
        middle = (fx + rx) / 2
        parts.bar((-middle, y, (fz + rz) / 2), (middle, y, (fz + rz) / 2), thin)
    if style in ("both", "front"):
        lift = min(y + rng.uniform(0, 0.1), height)
        parts.bar((-fx, lift, fz), (fx, lift, fz), thin)
    if style == "both":
        parts.bar((-rx, y, rz), (rx, y, rz), thin)


def _pedestal(parts: Parts, rng: np.random.Generator, seat: Seat) -> None:
    """A column on a disc or on a star of three to five feet."""
    radius = rng.uniform(0.022, 0.06)
    reach = rng.uniform(0.7, 1.15) * max(seat.x, seat.z)
    foot = rng.uniform(0.02, 0.05)
    parts.bar((0, 0, 0), (0, seat.bottom, 0), radius * rng.uniform(0.8, 1.6), radius, 8)
    if rng.random() < 0.4:
        parts.plate(outline(reach * 0.85, reach * 0.85), 0, foot, taper=1.0)
        return
    feet = int(rng.choice([4, 5]))
    rise = foot + rng.uniform(0.0, 0.08)
    for angle in 2 * np.pi * np.arange(feet) / feet + np.pi / 2:
        tip = (reach * np.cos(angle), foot / 2, reach * np.sin(angle))
        parts.bar(tip, (0, rise, 0), foot / 2, foot * 0.7)


def _sled(parts: Parts, rng: np.random.Generator, seat: Seat) -> None:
    """Two frames on the ground, at the sides; sometimes a cantilever without rear legs."""
    radius = rng.uniform(0.014, 0.026)
    x, z = seat.x - radius, seat.z - radius
    parts.bar((x, radius, -z), (x, radius, z), radius, mirror=True)
    parts.bar((x, 0, z), (x, seat.bottom, z), radius, mirror=True)
    if rng.random() < 0.5:
        parts.bar((x, 0, -z), (x, seat.bottom, -z), radius, mirror=True)
    parts.bar((-x, radius, -z), (x, radius, -z), radius)


def _panels(parts: Parts, rng: np.random.Generator, seat: Seat) -> None:
    """Solid side walls instead of legs, sometimes joined by a board."""
    half = rng.uniform(0.012, 0.035)
    x, z = seat.x - half, seat.z * rng.uniform(0.7, 1.0)
    parts.box((x - half, x + half), (0, seat.bottom), (-z, z), mirror=True)
    if rng.random() < 0.6:
        y, behind = rng.uniform(0.3, 0.7) * seat.bottom, rng.uniform(-0.8, 0.3) * z
        parts.box((-x, x), (y - 0.07, y + 0.07), (behind - 0.015, behind + 0.015))


def _block(parts: Parts, rng: np.random.Generator, seat: Seat) -> None:
    """An upholstered body on short feet or on the ground."""
    feet = rng.uniform(0.04, 0.14) if rng.random() < 0.7 else 0.0
    x, z = seat.x * rng.uniform(0.9, 1.0), seat.z * rng.uniform(0.9, 1.0)
    parts.box((-x, x), (feet, seat.top - 0.01), (-z, z))
    if feet:
        for side in (-1, 1):
            parts.bar((x - 0.03, 0, side * (z - 0.03)), (x - 0.03, feet, side * (z - 0.03)), 0.025, mirror=True)


def _back_plane(rng: np.random.Generator, seat: Seat) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """The back's surface, as a map from (across, up from the seat, out) to space, and its height."""
    height = rng.uniform(0.22, 0.75)
    rake = 0.0 if rng.random() < 0.35 else rng.uniform(0.02, 0.38)
    bend = 0.0 if rng.random() < 0.7 else rng.uniform(-0.08, 0.12)
    hollow = rng.uniform(0.05, 0.2) if rng.random() < 0.35 else 0.0
    if seat.round:
        hollow = 0.55 * seat.z
    rear = -seat.z + 0.02

    def place(local: np.ndarray) -> np.ndarray:
        u, v, w = np.moveaxis(local, -1, 0)
        z = rear + w - rake * v - bend * (v / height) ** 2 + hollow * (u / seat.x) ** 2
        return np.stack([u, seat.top + v, z], -1)

    return place, height


def _posts(parts: Parts, rng: np.random.Generator, seat: Seat, place: Callable, height: float) -> float:
    """The two uprights of a framed back; returns the half width between them."""
    half = rng.uniform(0.012, 0.028)
    x = seat.x * (0.8 if seat.round else 1.0) - half
    parts.sheet(place, (x - half, x + half), (-0.03, height), 2 * half, segments=(1, 5), mirror=True)
    return x


def _no_back(parts: Parts, rng: np.random.Generator, seat: Seat, place: Callable, height: float) -> None:
    """A stool."""


def _solid_back(parts: Parts, rng: np.random.Generator, seat: Seat, place: Callable, height: float) -> None:
    """One board or cushion, sometimes with an arched top."""
    thickness = rng.uniform(0.02, 0.05) if rng.random() < 0.65 else rng.uniform(0.07, 0.16)
    x = seat.x * rng.uniform(0.75, 1.0) * (0.85 if seat.round else 1.0)
    crest = rng.uniform(0.04, 0.16) if rng.random() < 0.4 else 0.0
    parts.sheet(place, (-x, x), (-0.02, height), thickness, crest, (8, 5))


def _gap_back(parts: Parts, rng: np.random.Generator, seat: Seat, place: Callable, height: float) -> None:
    """A board held above the seat by posts at the sides or one spine in the middle."""
    x = seat.x * (0.8 if seat.round else 1.0)
    gap = height * rng.uniform(0.25, 0.65)
    parts.sheet(place, (-x, x), (gap, height), rng.uniform(0.02, 0.06), rng.choice([0.0, 0.06]), (6, 3))
    if rng.random() < 0.3:
        half = rng.uniform(0.03, 0.07)
        parts.sheet(place, (-half, half), (-0.02, gap + 0.02), 0.035, segments=(1, 3))
    else:
        _posts(parts, rng, seat, place, gap + 0.02)


def _slat_back(parts: Parts, rng: np.random.Generator, seat: Seat, place: Callable, height: float) -> None:
    """A frame filled with vertical slats: one wide splat or several narrow ones."""
    x = _posts(parts, rng, seat, place, height)
    rail = rng.uniform(0.025, 0.06)
    parts.sheet(place, (-x, x), (height - rail, height), 0.035, rng.choice([0.0, 0.05]), (6, 1))
    low = rng.uniform(0.06, 0.16) if rng.random() < 0.5 else 0.0
    if low:
        parts.sheet(place, (-x, x), (low, low + 0.03), 0.03, segments=(6, 1))
    count = int(rng.integers(1, 6))
    half = rng.uniform(0.05, 0.09) if count == 1 else min(rng.uniform(0.012, 0.03), 0.5 * x / count)
    for centre in x * (2 * np.arange(1, count + 1) / (count + 1) - 1):
        parts.sheet(place, (centre - half, centre + half), (low, height - rail / 2), 0.022, segments=(1, 5))


def _ladder_back(parts: Parts, rng: np.random.Generator, seat: Seat, place: Callable, height: float) -> None:
    """Horizontal slats between two posts."""
    x = _posts(parts, rng, seat, place, height)
    count = int(rng.integers(2, 5))
    half = rng.uniform(0.2, 0.36) * height / (count + 1)
    for up in np.linspace(height - half, height * rng.uniform(0.22, 0.4), count):
        parts.sheet(place, (-x, x), (up - half, up + half), 0.025, rng.choice([0.0, 0.03]), (6, 1))


def _spindle_back(parts: Parts, rng: np.random.Generator, seat: Seat, place: Callable, height: float) -> None:
    """Round spindles that fan out from the seat to a crest rail."""
    count = int(rng.integers(3, 8))
    fan = rng.uniform(0.95, 1.3)
    low = seat.x * (0.75 if seat.round else 0.9)
    radius = rng.uniform(0.009, 0.018)
    for share in np.linspace(-1, 1, count):
        ends = place(np.array([[share * low, -0.02, 0.0], [share * low * fan, height, 0.0]]))
        parts.bar(tuple(ends[0]), tuple(ends[1]), radius, sides=6)
    rail = rng.uniform(0.03, 0.1)
    parts.sheet(place, (-low * fan, low * fan), (height - rail, height), 0.03, rng.choice([0.0, 0.06, 0.1]), (8, 1))


def _cross_back(parts: Parts, rng: np.random.Generator, seat: Seat, place: Callable, height: float) -> None:
    """A frame with two crossed bars."""
    x = _posts(parts, rng, seat, place, height)
    parts.sheet(place, (-x, x), (height - 0.05, height), 0.035, rng.choice([0.0, 0.05]), (6, 1))
    ends = place(np.array([[-x, 0.02, 0.0], [x, height - 0.04, 0.0]]))
    parts.bar(tuple(ends[0]), tuple(ends[1]), rng.uniform(0.014, 0.024), mirror=True)


def _arms(parts: Parts, rng: np.random.Generator, seat: Seat, room: float) -> None:
    """Armrests at both sides: bars on supports, solid walls, or closed loops."""
    up = seat.top + rng.uniform(0.55, 0.85) * room
    half = rng.uniform(0.018, 0.045)
    x, rear, front = seat.x + half * rng.uniform(-0.5, 1.0), -seat.z, seat.z * rng.uniform(0.3, 1.0)
    style = rng.choice(["bar", "wall", "sloped"], p=[0.55, 0.3, 0.15])
    if style == "wall":
        low = seat.bottom if rng.random() < 0.5 else 0.0
        parts.box((x - half, x + half), (low, up), (rear, front), mirror=True)
        return
    drop = rng.uniform(0.05, 0.12) if style == "sloped" else 0.0
    thin = min(half, 0.024)
    parts.bar((x, up, rear), (x, up - drop, front), thin, mirror=True)
    parts.bar((x, seat.bottom, front - thin), (x, up - drop, front - thin), thin, mirror=True)
    if rng.random() < 0.3:
        parts.bar((x, seat.bottom, 0), (x, up - drop / 2, 0), thin * 0.7, mirror=True)
    if seat.round:
        parts.bar((seat.x * 0.5, seat.bottom, front), (x, seat.bottom, front), thin, mirror=True)


BASES: dict[str, Callable] = {
    "legs": _legs,
    "pedestal": _pedestal,
    "sled": _sled,
    "panels": _panels,
    "block": _block,
}
BACKS: dict[str, Callable] = {
    "solid": _solid_back,
    "slats": _slat_back,
    "ladder": _ladder_back,
    "spindles": _spindle_back,
    "gap": _gap_back,
    "cross": _cross_back,
    "none": _no_back,
}
