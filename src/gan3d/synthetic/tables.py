"""Parametric tables and desks, with random parameters."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gan3d.synthetic.parts import Parts, outline


@dataclass(frozen=True)
class Top:
    """The top: half width, half depth, height of its lower face in metres, and whether it is round."""

    x: float
    z: float
    bottom: float
    round: bool


def table(rng: np.random.Generator) -> Parts:
    """A random table; y is up, mostly symmetric about x = 0 (a desk may have drawers on one side)."""
    parts = Parts()
    top = _top(parts, rng)
    weights = ROUND_BASES if top.round else BASES
    names = list(weights)
    share = np.array([weights[name][1] for name in names])
    weights[rng.choice(names, p=share / share.sum())][0](parts, rng, top)
    return parts


def _top(parts: Parts, rng: np.random.Generator) -> Top:
    """Add the top and return its dimensions."""
    shape = rng.choice(
        ["rectangle", "square", "round", "oval", "soft", "octagon"], p=[0.42, 0.14, 0.17, 0.1, 0.12, 0.05]
    )
    height = rng.uniform(0.55, 0.95) if rng.random() < 0.65 else rng.uniform(0.25, 0.5)
    if rng.random() < 0.06:
        height = rng.uniform(0.95, 1.25)  # a bar table
    x = rng.uniform(0.3, 0.6) if rng.random() < 0.5 else rng.uniform(0.6, 1.05)
    x = min(x, 1.6 * height)  # a lower one would be a slab
    z = x * rng.uniform(0.35, 0.9)
    if shape in ("square", "round", "octagon"):
        x = min(x, 0.75)
        z = x
    thickness = rng.uniform(0.02, 0.05) if rng.random() < 0.8 else rng.uniform(0.06, 0.12)
    plan = {
        "rectangle": np.array([[-x, -z], [x, -z], [x, z], [-x, z]]),
        "square": np.array([[-x, -z], [x, -z], [x, z], [-x, z]]),
        "round": outline(x, z),
        "oval": outline(x, z, 2.2),
        "soft": outline(x, z, rng.uniform(3, 6)),
        "octagon": outline(x, z, points=8),
    }[shape]
    parts.plate(plan, height - thickness, height, taper=rng.uniform(0.93, 1.0))
    return Top(x, z, height - thickness, shape in ("round", "oval", "octagon"))


def _legs(parts: Parts, rng: np.random.Generator, top: Top) -> None:
    """Four or six legs, straight, tapered or splayed; apron, shelf, stretchers or drawers between them."""
    radius = rng.uniform(0.015, 0.05)
    foot = radius * (1.0 if rng.random() < 0.5 else rng.uniform(0.45, 0.8))
    sides = int(rng.choice([4, 8]))
    inset = 0.68 if top.round else rng.uniform(0.8, 1.0)
    x, z = top.x * inset - radius, top.z * inset - radius
    out = rng.uniform(0.02, 0.14) * rng.choice([0.0, 1.0], p=[0.6, 0.4])
    spots = [(x, z), (x, -z)]
    for at_x, at_z in spots:
        feet = (at_x + out, 0, at_z + np.sign(at_z) * out)
        parts.bar(feet, (at_x, top.bottom, at_z), foot, radius, sides, mirror=True)
    if x > 0.8 and rng.random() < 0.4:
        for at_z in (z, -z):
            parts.bar((0, 0, at_z), (0, top.bottom, at_z), foot, radius, sides)
    if rng.random() < 0.45:
        _apron(parts, x, z, top.bottom, rng.uniform(0.04, 0.14))
    between = rng.choice(["none", "shelf", "stretchers", "drawers", "modesty"], p=[0.44, 0.18, 0.2, 0.12, 0.06])
    share = rng.uniform(0.12, 0.45)
    y, wider = top.bottom * share, out * (1 - share)  # splayed legs are farther apart there
    if between == "shelf":
        parts.box((-x - wider, x + wider), (y, y + rng.uniform(0.015, 0.04)), (-z - wider, z + wider))
    elif between == "stretchers":
        _stretchers(parts, rng, x + wider, z + wider, y, max(0.6 * radius, 0.012))
    elif between == "drawers":
        _drawers(parts, rng, x, z, top.bottom)
    elif between == "modesty":
        drop = top.bottom * rng.uniform(0.3, 0.75)
        parts.box((-x, x), (top.bottom - drop, top.bottom), (-z - 0.012, -z + 0.012))


def _apron(parts: Parts, x: float, z: float, under: float, drop: float) -> None:
    """Boards below the top, from leg to leg."""
    for side in (-1, 1):
        parts.box((-x, x), (under - drop, under), (side * z - 0.012, side * z + 0.012))
    parts.box((x - 0.012, x + 0.012), (under - drop, under), (-z, z), mirror=True)


def _stretchers(parts: Parts, rng: np.random.Generator, x: float, z: float, y: float, radius: float) -> None:
    """Bars between the legs: an H, a ring, or a cross."""
    style = rng.choice(["h", "ring", "cross"])
    if style == "cross":
        parts.bar((-x, y, -z), (x, y, z), radius, mirror=True)
        return
    parts.bar((x, y, -z), (x, y, z), radius, mirror=True)
    for at_z in (0.0,) if style == "h" else (-z, z):
        parts.bar((-x, y, at_z), (x, y, at_z), radius)


def _drawers(parts: Parts, rng: np.random.Generator, x: float, z: float, under: float) -> None:
    """Drawers below the top: on one side, on both, or shallow ones along the whole width."""
    drop = under * rng.uniform(0.35, 0.9)
    wide = x * rng.uniform(0.35, 0.7)
    style = rng.choice(["one", "both", "shallow"])
    if style == "shallow":
        parts.box((-x, x), (under - rng.uniform(0.1, 0.2), under), (-z, z))
    else:
        parts.box((x - wide, x), (under - drop, under), (-z, z), mirror=style == "both")


def _pedestal(parts: Parts, rng: np.random.Generator, top: Top) -> None:
    """A column (two under a long top) on a disc, a square plate or a star of feet."""
    radius = rng.uniform(0.03, 0.09)
    reach = min(top.x, top.z) * rng.uniform(0.45, 0.85)
    foot = rng.uniform(0.02, 0.06)
    style = rng.choice(["disc", "plate", "star"])
    double = top.x > 1.7 * top.z
    at = top.x * rng.uniform(0.45, 0.65) if double else 0.0
    sides = int(rng.choice([4, 10]))
    parts.bar((at, 0, 0), (at, top.bottom, 0), radius * rng.uniform(0.8, 1.8), radius, sides, mirror=double)
    if style == "star":
        rise = foot + rng.uniform(0.02, 0.2)
        feet = int(rng.choice([3, 4]))
        for angle in 2 * np.pi * np.arange(feet) / feet + np.pi / 2:
            tip = (at + reach * np.cos(angle), foot / 2, reach * np.sin(angle))
            parts.bar(tip, (at, rise, 0), foot / 2, foot * 0.8, mirror=double)
    else:
        base = outline(reach, reach, 2.0 if style == "disc" else 12.0)
        parts.plate(base + np.array([at, 0.0]), 0, foot, mirror=double)


def _panels(parts: Parts, rng: np.random.Generator, top: Top) -> None:
    """Solid ends instead of legs, with a board, a shelf or drawers between them."""
    half = rng.uniform(0.012, 0.04)
    x, z = top.x * rng.uniform(0.75, 1.0) - half, top.z * rng.uniform(0.7, 1.0)
    parts.box((x - half, x + half), (0, top.bottom), (-z, z), mirror=True)
    between = rng.choice(["none", "board", "shelf", "drawers"])
    if between == "board":
        at = rng.uniform(-1, 0) * (z - 0.02)
        parts.box((-x, x), (top.bottom * rng.uniform(0.1, 0.6), top.bottom), (at - 0.012, at + 0.012))
    elif between == "shelf":
        y = top.bottom * rng.uniform(0.2, 0.6)
        parts.box((-x, x), (y, y + 0.03), (-z, z))
    elif between == "drawers":
        _drawers(parts, rng, x, z, top.bottom)


def _trestle(parts: Parts, rng: np.random.Generator, top: Top) -> None:
    """Two supports, each an A, an X or a T on a foot, joined by a beam."""
    radius = rng.uniform(0.02, 0.045)
    x, z = top.x * rng.uniform(0.6, 0.85), top.z * rng.uniform(0.65, 0.95)
    style = rng.choice(["a", "x", "t"])
    for side in (-1, 1):
        if style == "a":
            parts.bar((x, 0, side * z), (x, top.bottom, side * z * 0.25), radius, mirror=True)
        elif style == "x":
            parts.bar((x, 0, side * z), (x, top.bottom, -side * z), radius, mirror=True)
    if style == "t":
        parts.bar((x, 0, 0), (x, top.bottom, 0), radius * 1.4, mirror=True)
        parts.bar((x, radius, -z), (x, radius, z), radius, mirror=True)
    if rng.random() < 0.75:  # the beam of an X is at its crossing, that of an A on a bar between its legs
        share = 0.5 if style == "x" else rng.uniform(0.2, 0.6)
        y = top.bottom * share
        if style == "a":
            width = z * (1 - 0.75 * share)
            parts.bar((x, y, -width), (x, y, width), radius * 0.8, mirror=True)
        parts.bar((-x, y, 0), (x, y, 0), radius * 0.8)


def _frame(parts: Parts, rng: np.random.Generator, top: Top) -> None:
    """Two closed frames of bars, along the ends or lengthwise."""
    radius = rng.uniform(0.014, 0.035)
    x, z = top.x * rng.uniform(0.8, 1.0) - radius, top.z * rng.uniform(0.75, 1.0) - radius
    for side in (-1, 1):
        parts.bar((x, 0, side * z), (x, top.bottom, side * z), radius, mirror=True)
    parts.bar((x, radius, -z), (x, radius, z), radius, mirror=True)
    if rng.random() < 0.5:
        parts.bar((-x, radius, -z), (x, radius, -z), radius)


def _cabinet(parts: Parts, rng: np.random.Generator, top: Top) -> None:
    """A closed or half-open body under the top, on feet or on a plinth."""
    feet = top.bottom * rng.uniform(0.05, 0.4)
    x, z = top.x * rng.uniform(0.7, 0.97), top.z * rng.uniform(0.7, 0.97)
    parts.box((-x, x), (feet, top.bottom * rng.uniform(0.55, 1.0)), (-z, z))
    for side in (-1, 1):
        at = side * (z - 0.03)
        parts.bar((x - 0.03, 0, at), (x - 0.03, top.bottom, at), rng.uniform(0.02, 0.035), mirror=True)


BASES: dict[str, tuple[Callable, float]] = {
    "legs": (_legs, 0.54),
    "pedestal": (_pedestal, 0.1),
    "panels": (_panels, 0.12),
    "trestle": (_trestle, 0.1),
    "frame": (_frame, 0.08),
    "cabinet": (_cabinet, 0.06),
}
ROUND_BASES: dict[str, tuple[Callable, float]] = {"legs": (_legs, 0.5), "pedestal": (_pedestal, 0.5)}
