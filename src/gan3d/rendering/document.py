"""Reports as HTML: tables, tiles and pictures, from the templates of `gan3d.rendering.pages`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from gan3d.rendering import pages

__all__ = ["Markup", "image", "legend", "shorten", "table", "text", "tiles", "write"]


def write(path: Path, title: str, parts: Iterable[str]) -> Path:
    """Write a page of these parts, each of them markup; equal parts give equal bytes."""
    return pages.save_page(path, pages.fill_template("base", title=title, content=Markup("\n".join(parts))))


def text(value: object) -> str:
    """A value as escaped markup; `Markup` is kept as it is."""
    return str(pages.text(value))


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    last_is_sum: bool = False,
    faint: Iterable[int] = (),
    numeric: Iterable[int] | None = None,
) -> str:
    """A table; columns of numbers are aligned to the right.

    Args:
        last_is_sum: print the last row in bold.
        faint: indices of rows in a lighter colour.
        numeric: indices of the columns of numbers; by default those that hold nothing else.
    """
    right = None if numeric is None else tuple(numeric)
    return pages.fill_macro("table", head, list(rows), last_is_sum, tuple(faint), right)


def tiles(values: Sequence[tuple[str, object, str]]) -> str:
    """Large numbers side by side: a name, its value, and a line below (which may be empty)."""
    return pages.fill_macro("tiles", values)


def image(pixels: np.ndarray, alt: str) -> str:
    """uint8 (H, W, 3), embedded in the page."""
    return pages.fill_macro("image", pixels, alt)


def legend(names: Sequence[str]) -> str:
    """The names of series beside their colors."""
    return pages.fill_macro("key", names)


def shorten(name: str, length: int = 18) -> str:
    """A name with its middle left out if it is long."""
    return name if len(name) <= length else f"{name[: length // 2 - 1]}…{name[-length // 2 :]}"
