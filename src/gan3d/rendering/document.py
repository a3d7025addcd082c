"""Pages to read: one HTML file each, with its pictures inside and without any address, so that it opens offline."""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #30343b; max-width: 1320px; margin: 2em auto; padding: 0 1.5em }
h1 { font-size: 1.6em; margin: 0 }
h2 { font-size: 1.15em; margin: 2em 0 .5em }
h3 { font-size: 1em; margin: 1.4em 0 .3em; color: #5b616b }
p { margin: .3em 0 .8em; max-width: 60em }
img, svg { max-width: 100% }
table { border-collapse: collapse; margin: .5em 0 }
th, td { padding: .25em .55em; border-bottom: 1px solid #e3e5e8; vertical-align: top; overflow-wrap: anywhere }
th { text-align: left; font-weight: 600; color: #5b616b }
th:not(.n), td:not(.n) { min-width: 4.8em }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
td small { color: #8a909a }
tr.sum td { font-weight: 600 }
tr.faint td { color: #8a909a }
.tiles { display: flex; flex-wrap: wrap; gap: 1em; margin: 1.2em 0 }
.tile { background: #f3f5f7; border-radius: 8px; padding: .7em 1.2em; min-width: 7em }
.tile b { display: block; font-size: 1.6em; font-weight: 600 }
.tile b i { font-size: .55em; font-style: normal; font-weight: 400; color: #5b616b }
.tile small { display: block; color: #8a909a }
.side { display: flex; flex-wrap: wrap; gap: 1.2em }
.side figure { margin: 0 }
figcaption { color: #5b616b; font-size: .92em }
details { margin: .6em 0 }
summary { cursor: pointer }
.wide { overflow-x: auto }
.wide td + td { white-space: nowrap }
.note { color: #5b616b }
.bar { background: #4a90c4; height: .8em; display: inline-block; border-radius: 2px; vertical-align: baseline }
dt { font-weight: 600 }
dd { margin: 0 0 .5em 0; max-width: 60em }
"""


class Markup(str):
    """Markup of our own, which is not escaped."""


def write(path: Path, title: str, parts: Iterable[str]) -> Path:
    """Write a page of these parts, each of them markup; a missing folder is made. Equal parts give equal bytes."""
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style><h1>{html.escape(title)}</h1>'
        f"{''.join(parts)}</html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(page.encode("utf-8", "surrogateescape"))
    return path


def text(value: object) -> str:
    """A value for people as markup; what is `Markup` already stays."""
    return value if isinstance(value, Markup) else html.escape(f"{value:,}" if isinstance(value, int) else str(value))


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    last_is_sum: bool = False,
    faint: Iterable[int] = (),
    numeric: Iterable[int] | None = None,
) -> str:
    """Rows of values below a head; columns of numbers stand to the right.

    Args:
        last_is_sum: the last row is bold.
        faint: rows that stand back.
        numeric: columns of numbers; those that have nothing else, when it is not given.
    """
    listed, lines = [list(row) for row in rows], []
    right = set(_numeric(head, listed) if numeric is None else numeric)
    pale = set(faint)
    for i, row in enumerate(listed):
        kind = "sum" if last_is_sum and i == len(listed) - 1 else "faint" if i in pale else ""
        cells = "".join(f"<td{_mark(c in right)}>{text(value)}</td>" for c, value in enumerate(row))
        lines.append(f"<tr{f' class={kind}' if kind else ''}>{cells}</tr>")
    top = "".join(f"<th{_mark(c in right)}>{text(name)}</th>" for c, name in enumerate(head))
    return f"<table><tr>{top}</tr>{''.join(lines)}</table>"


def tiles(values: Sequence[tuple[str, object, str]]) -> str:
    """Large numbers in a row: what each is, its value, and a line below (which may be empty)."""
    cells = "".join(
        f'<div class="tile"><b>{text(value)}</b>{text(name)}{f"<small>{text(below)}</small>" if below else ""}</div>'
        for name, value, below in values
    )
    return f'<div class="tiles">{cells}</div>'


def image(pixels: np.ndarray, alt: str = "") -> str:
    """uint8 (H, W, 3) within the page."""
    stream = io.BytesIO()
    Image.fromarray(pixels).quantize(255, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'


def shorten(name: str, length: int = 18) -> str:
    """A name with its middle left out where it is long."""
    return name if len(name) <= length else f"{name[: length // 2 - 1]}…{name[-length // 2 :]}"


def _numeric(head: Sequence[str], rows: Sequence[Sequence[object]]) -> set[int]:
    found = set()
    for column in range(len(head)):
        values = [str(row[column]).rstrip("%").replace(".", "").replace(",", "") for row in rows]
        if values and all(value.isdigit() for value in values):
            found.add(column)
    return found


def _mark(numeric: bool) -> str:
    return " class=n" if numeric else ""
