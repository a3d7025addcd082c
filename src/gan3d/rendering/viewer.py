"""A web page in which shapes can be turned: one file, without any address, for every browser with WebGL 2."""

import base64
import html
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from gan3d.rendering.sheets import colors_of
from gan3d.rendering.voxels import upright
from gan3d.voxels import pack_bits

Color = tuple[int, int, int]


def write_page(
    path: str | Path,
    shapes: np.ndarray,
    labels: Sequence[str],
    title: str,
    note: str = "",
    up: str = "y",
    colors: Sequence[Color] | None = None,
    frames: Sequence[tuple[int, np.ndarray]] = (),
) -> Path:
    """Write the page; it takes about R³ / 6 bytes a shape and frame.

    Args:
        path: of the HTML file; a missing folder is made.
        shapes: booleans (N, R, R, R).
        labels: the class of each shape, written below it beside its number.
        title: plain text above the shapes.
        note: plain text below the title.
        up: the axis that points up, "x", "y" or "z".
        colors: of each shape; without them, one a label in the order of their first appearance.
        frames: earlier states of the same shapes, (images seen, booleans (N, S, S, S)) in order, S of any resolution:
            they give the page a slider over the progress of training, which ends at `shapes`.

    Raises:
        UserError: when `up` is no axis.
    """
    if colors is None:
        colors = colors_of(labels)
    steps = [(f"{images:,} images", earlier) for images, earlier in frames] + [("final", shapes)]
    if any(len(step) != len(labels) for _, step in steps) or len(colors) != len(labels):
        raise ValueError("every frame needs as many shapes as there are labels and colors")
    data = {
        "labels": list(labels),
        "colors": [[int(part) for part in color] for color in colors],
        "frames": [{"name": name, "resolution": step.shape[1], "shapes": _packed(step, up)} for name, step in steps],
    }
    parts = {
        "TITLE": html.escape(title),
        "NOTE": f"<p>{html.escape(note)}</p>" if note else "",
        "DATA": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),  # or a label could end the script
    }
    text = resources.files("gan3d.rendering").joinpath("page.html").read_text(encoding="utf-8")
    pieces = text.split("{{")
    for i, piece in enumerate(pieces[1:], 1):
        name, rest = piece.split("}}", 1)
        pieces[i] = parts[name] + rest
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(pieces), encoding="utf-8")
    return path


def _packed(shapes: np.ndarray, up: str) -> list[str]:
    """Each shape as base64 of its bits, axes right, up and front."""
    turned = np.stack([upright(np.asarray(shape, bool), up) for shape in shapes])
    return [base64.b64encode(bits.tobytes()).decode() for bits in pack_bits(turned)]
