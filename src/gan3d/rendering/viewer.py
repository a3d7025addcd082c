"""An interactive web page of shapes: one self-contained file, for any browser with WebGL 2."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.rendering.pages import fill_template, save_page
from gan3d.rendering.scripts import bundle
from gan3d.rendering.sheets import colors_of
from gan3d.rendering.voxels import upright
from gan3d.voxels import pack_bits

Color = tuple[int, int, int]


def write_page(path: str | Path, shapes: np.ndarray, labels: Sequence[str], title: str, **options: Any) -> Path:
    """Write `page` to an HTML file; a missing folder is created."""
    return save_page(path, page(shapes, labels, title, **options))


def page(
    shapes: np.ndarray,
    labels: Sequence[str],
    title: str,
    note: str = "",
    up: str = "y",
    colors: Sequence[Color] | None = None,
    frames: Sequence[tuple[int, np.ndarray]] = (),
    details: Sequence[str] | None = None,
    embedded: bool = False,
) -> str:
    """The page as HTML; it takes about R³ / 6 bytes per shape and frame.

    Args:
        shapes: booleans (N, R, R, R).
        labels: the class of each shape, shown below it.
        title: plain text above the shapes.
        note: plain text below the title.
        up: the axis that points up, "x", "y" or "z".
        colors: of each shape; by default one per label, in the order of first appearance.
        frames: earlier states of the same shapes, (images seen, booleans (N, S, S, S)) in order, S of any resolution;
            the page then has a slider over the progress of training, which ends at `shapes`.
        details: what follows each label; by default the number of the shape.
        embedded: whether the page is part of another one: the head is small, and the wheel scrolls the other page.

    Raises:
        UserError: when `up` is not an axis.
    """
    if colors is None:
        colors = colors_of(labels)
    if details is None:
        details = [f"#{i}" for i in range(len(labels))]
    steps = [(f"{images:,} images", earlier) for images, earlier in frames] + [("final", shapes)]
    if any(len(step) != len(labels) for _, step in steps) or {len(colors), len(details)} != {len(labels)}:
        raise ValueError("every frame needs as many shapes as there are labels, colors and details")
    data = {
        "labels": list(labels),
        "details": list(details),
        "colors": [[int(part) for part in color] for color in colors],
        "frames": [
            {"name": name, "resolutions": [step.shape[1]] * len(step), "shapes": encode(step, up)}
            for name, step in steps
        ],
    }
    return fill_template("viewer", title=title, note=note, data=data, embedded=embedded, script=bundle("viewer"))


def encode(shapes: np.ndarray, up: str) -> list[str]:
    """Each shape's bits as base64, with axes right, up and front."""
    rotated = np.stack([upright(np.asarray(shape, bool), up) for shape in shapes])
    return [base64.b64encode(bits.tobytes()).decode() for bits in pack_bits(rotated)]
