"""HTML pages from the templates in `templates/`: one file each, with everything inside, which loads nothing."""

import base64
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from gan3d.outputs import write_bytes


def fill_template(name: str, **values: Any) -> str:
    """A page from `templates/NAME.html.j2`; equal values give equal bytes, and values are escaped."""
    return _ENVIRONMENT.get_template(f"{name}.html.j2").render(values)


def fill_macro(name: str, *arguments: Any) -> str:
    """A part of a page from `templates/macros.html.j2`."""
    return str(getattr(_ENVIRONMENT.get_template("macros.html.j2").module, name)(*arguments))


def save_page(path: str | Path, page: str) -> Path:
    """Write a page; create a missing folder. File names that are not UTF-8 keep their bytes."""
    path = Path(path)
    write_bytes(path, page.encode("utf-8", "surrogateescape"))
    return path


def text(value: object) -> Markup:
    """A value as escaped text; integers get thousands separators."""
    return escape(f"{value:,}" if isinstance(value, int) else value)


def numeric_columns(rows: Iterable[Sequence[object]]) -> set[int]:
    """The columns that hold nothing but numbers."""
    columns = list(zip(*rows, strict=True))
    return {i for i, column in enumerate(columns) if all(_is_number(value) for value in column)}


def png_address(pixels: np.ndarray) -> str:
    """uint8 (H, W, 3) as a data URL of a PNG with 255 colours."""
    stream = io.BytesIO()
    Image.fromarray(pixels).quantize(255, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _is_number(value: object) -> bool:
    return str(value).rstrip("%").replace(".", "").replace(",", "").isdigit()


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.filters |= {"text": text, "png_address": png_address}
_ENVIRONMENT.globals |= {"numeric_columns": numeric_columns}
_ENVIRONMENT.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
