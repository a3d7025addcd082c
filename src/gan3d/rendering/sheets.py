"""Contact sheets: many shapes in one picture, and animations."""

import importlib.util
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gan3d.outputs import write_bytes
from gan3d.rendering.voxels import AZIMUTH, BACKGROUND, INK, PALETTE, class_color, render

Color = tuple[int, int, int]
MAX_PIXELS = 40_000_000  # of a sheet: larger ones take minutes, and PIL refuses to open more than 179 million
MIN_SIZE = 16  # pixels of a shape that can still be made out
MAX_TITLE = 40  # characters


def sheet(
    shapes: Iterable[np.ndarray],
    columns: int,
    titles: Sequence[str] | None = None,
    captions: Sequence[str] | None = None,
    size: int = 160,
    up: str = "y",
    colors: Color | Sequence[Color] = PALETTE[0],
) -> np.ndarray:
    """A grid of shapes, row by row.

    Args:
        shapes: boolean grids (R, R, R); resolutions may differ.
        columns: shapes per row.
        titles: one per row, to its left; the last ones may be missing.
        captions: one per shape, below it.
        size: edge of each shape's picture in pixels; less where the sheet would be too large.
        up: the axis that points up.
        colors: one for all, or one per shape.

    Returns:
        uint8 (H, W, 3).
    """
    shapes = list(shapes)
    titles = [title if len(title) <= MAX_TITLE else f"{title[: MAX_TITLE - 1]}…" for title in titles or ()]
    titles, captions = printable(titles) or [], printable(captions) or []
    rows = max(1, -(-len(shapes) // columns))
    size = min(size, max(MIN_SIZE, math.isqrt(MAX_PIXELS // (2 * rows * columns))))  # half of it for texts
    font = load_font(_text_size(size), [*titles, *captions])
    margin = max([_width(font, title) for title in titles], default=0)
    margin += size // 8 if margin else 0
    line = round(1.7 * _text_size(size)) if captions else 0
    picture = Image.new("RGB", (margin + columns * size, rows * (size + line)), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for i, shape in enumerate(shapes):
        left, top = margin + i % columns * size, i // columns * (size + line)
        color = colors if isinstance(colors[0], int) else colors[i]
        picture.paste(Image.fromarray(render(shape, size, up, color)), (left, top))  # type: ignore[arg-type]
        if captions and i < len(captions):
            draw.text((left + size / 2, top + size + line * 0.35), captions[i], INK, font, anchor="mm")
    for row, title in enumerate(titles[:rows]):
        draw.text((size // 16, row * (size + line) + size / 2), title, INK, font, anchor="lm")
    return reduce(np.asarray(picture))


def by_class(shapes: np.ndarray, labels: Sequence[str], up: str = "y", classes: Sequence[str] = ()) -> np.ndarray:
    """Booleans (n, R, R, R) in rows of eight, captioned and coloured by class, uint8 (H, W, 3)."""
    captions = printable(list(labels), list(classes)) if any(labels) else None
    return sheet(shapes, min(8, len(shapes)), captions=captions, up=up, colors=colors_of(labels, classes))


def colors_of(labels: Sequence[str], classes: Sequence[str] = ()) -> list[Color]:
    """The colour of each shape's class, by its index in `classes`, or else by first appearance."""
    order = list(dict.fromkeys([*classes, *labels]))
    return [class_color(order.index(label)) for label in labels]


def strip(
    shapes: Sequence[np.ndarray],
    captions: Sequence[str] | None = None,
    size: int = 160,
    up: str = "y",
    color: Color = PALETTE[0],
) -> np.ndarray:
    """Shapes in one row, such as the steps of an interpolation."""
    return sheet(shapes, len(shapes), captions=captions, size=size, up=up, colors=color)


def comparison(
    rows: Mapping[str, Sequence[np.ndarray]],
    size: int = 160,
    up: str = "y",
    colors: Sequence[Color] | None = None,
) -> np.ndarray:
    """Named rows of shapes, such as real and generated ones; each row may have a colour."""
    columns = max(len(shapes) for shapes in rows.values())
    parts = []
    for i, shapes in enumerate(rows.values()):
        color = colors[i] if colors else PALETTE[0]
        parts.append(sheet(shapes, columns, size=size, up=up, colors=color))
    titles = printable(list(rows)) or []
    font = load_font(_text_size(size), titles)
    margin = max(_width(font, title) for title in titles) + size // 8
    names = Image.new("RGB", (margin, size * len(rows)), BACKGROUND)
    for i, title in enumerate(titles):
        ImageDraw.Draw(names).text((size // 16, (i + 0.5) * size), title, INK, font, anchor="lm")
    return np.concatenate([np.asarray(names), np.concatenate(parts)], 1)


def printable(texts: Sequence[str] | None, classes: Sequence[str] = ()) -> list[str] | None:
    """Replace texts for which no font has the glyphs, such as Chinese ones, by `class 3`, the number of the class.

    Args:
        texts: names of classes.
        classes: all classes in order; by default in order of appearance in `texts`.
    """
    if texts is None:
        return None
    composed = [unicodedata.normalize("NFC", text) for text in texts]
    order = list(dict.fromkeys([*(unicodedata.normalize("NFC", name) for name in classes), *composed]))
    return [text if _font_of(text) is not None else f"class {order.index(text) + 1}" for text in composed]


def load_font(size: float, texts: Iterable[str] = ()) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font if it has the glyphs of all texts, else DejaVu, which comes with matplotlib."""
    wide = _wide_font()
    if wide is not None and any(_font_of(text) == "wide" for text in texts):
        return ImageFont.truetype(wide, round(size))
    return ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def _font_of(text: str) -> str | None:
    """The first font with all glyphs of a text: default, wide, or None."""
    characters = {character for character in text if not character.isspace()}
    if all(" " <= character <= "~" for character in characters):
        return "default"
    wide = _wide_font()
    fonts: dict[str, Any] = {"default": ImageFont.load_default(16)}
    if wide is not None:
        fonts["wide"] = ImageFont.truetype(wide, 16)
    for name, font in fonts.items():
        missing = bytes(font.getmask("\U0010ffff"))
        if all(bytes(font.getmask(character)) != missing for character in characters):
            return name
    return None


@lru_cache(maxsize=1)
def _wide_font() -> str | None:
    """DejaVu Sans in matplotlib's folder, found without importing it."""
    spec = importlib.util.find_spec("matplotlib")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / "mpl-data/fonts/ttf/DejaVuSans.ttf"
        if path.is_file():
            return str(path)
    return None


def turntable(
    voxels: np.ndarray, frames: int = 36, size: int = 256, up: str = "y", color: Color = PALETTE[0]
) -> list[np.ndarray]:
    """Pictures of one shape in a full rotation, for `animate`."""
    angles = AZIMUTH + np.arange(frames) * 360 / frames
    return [render(voxels, size, up, color, azimuth=float(angle)) for angle in angles]


def save_png(path: str | Path, pixels: np.ndarray) -> Path:
    """Write uint8 (H, W, 3) as a PNG; create a missing folder."""
    path = Path(path)
    write_bytes(path, encode_png(pixels))
    return path


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode uint8 (H, W, 3) as a PNG."""
    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG", optimize=True)
    return content.getvalue()


def animate(path: str | Path, frames: Sequence[np.ndarray], seconds: float = 0.1, bounce: bool = False) -> Path:
    """Write a GIF that loops.

    Args:
        path: of the file; a missing folder is created.
        frames: uint8 (H, W, 3) each, of one size.
        seconds: per frame, to a hundredth.
        bounce: play backwards after the last frame.
    """
    path = Path(path)
    order = [*frames, *frames[-2:0:-1]] if bounce else list(frames)
    # one palette for all frames: still parts would flicker otherwise
    palette = Image.fromarray(np.concatenate(order[:: max(1, len(order) // 8)])).quantize(255)
    colors = np.array(palette.getpalette()).reshape(-1, 3)
    colors[(colors >= 248).all(1)] = BACKGROUND  # instead of the mean of the lightest greys
    palette.putpalette(colors.astype(np.uint8).tobytes())
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in order]
    content = BytesIO()
    images[0].save(content, "GIF", save_all=True, append_images=images[1:], duration=round(seconds * 1000), loop=0)
    write_bytes(path, content.getvalue())
    return path


def _width(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str) -> int:
    return int(np.ceil(font.getlength(text)))


def _text_size(size: int) -> float:
    """Font size for pictures of this size, in pixels."""
    return max(12.0, size / 11)


def reduce(pixels: np.ndarray) -> np.ndarray:
    """A picture, uint8 (H, W, 3), of at most MAX_PIXELS: averaged over squares if it has more."""
    factor = math.ceil(math.sqrt(pixels.shape[0] * pixels.shape[1] / MAX_PIXELS))
    return pixels if factor <= 1 else np.asarray(Image.fromarray(pixels).reduce(factor))


def samples_sheet(
    voxels: np.ndarray, labels: np.ndarray, classes: Sequence[str], up: str, size: int = 128
) -> np.ndarray:
    """One row per class of the shapes (n, R, R, R); uint8, since MLflow rescales floats call by call."""
    rows = len(np.unique(labels))
    colors = [class_color(int(label)) for label in labels]
    titles = printable([classes[int(labels[i * len(labels) // rows])] for i in range(rows)], classes)
    return sheet(list(voxels), len(voxels) // rows, titles=titles, size=size, up=up, colors=colors)


def square_sheets(
    voxels: np.ndarray, labels: np.ndarray, classes: Sequence[str], up: str, count: int, size: int = 160
) -> dict[str, np.ndarray]:
    """Two by two of the shapes (n, R, R, R) of each of the first `count` classes, by class, uint8 (H, W, 3).

    MLflow shows a picture 256 pixels wide: a shape then has 128.
    """
    sheets = {}
    for label in np.unique(labels)[:count]:
        shapes = voxels[labels == label][:4]
        sheets[classes[int(label)]] = sheet(shapes, 2, size=size, up=up, colors=class_color(int(label)))
    return sheets
