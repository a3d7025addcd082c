"""How an object looks in a notebook: HTML that loads nothing and needs no extension of the front end."""

import html
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gan3d.rendering.pages import png_address

COLUMNS, CELL, HEAD = 6, 168, 44  # of the embedded viewer at the usual width of a notebook; pixels
TALLEST = 560  # pixels; a longer page scrolls


def embed(page: str, picture: np.ndarray, count: int) -> str:
    """A page of the viewer inside a cell, over a picture for front ends that strip frames from a notebook.

    Args:
        page: a whole HTML document, of `gan3d.rendering.viewer.page`.
        picture: uint8 (H, W, 3), of the same shapes.
        count: number of shapes on the page.
    """
    height = min(TALLEST, HEAD + (340 if count == 1 else CELL * math.ceil(count / COLUMNS)))
    image = f'<img src="{png_address(picture)}" alt="" style="max-width:100%;max-height:100%">'
    frame = (
        f'<iframe srcdoc="{html.escape(page)}" sandbox="allow-scripts" title="shapes"'
        ' style="position:absolute;left:0;top:0;width:100%;height:100%;border:0"></iframe>'
    )
    return f'<div style="position:relative;width:100%;height:{height}px">{image}{frame}</div>'


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return hasattr(get_ipython(), "kernel")


@contextmanager
def progress(title: str, unit: str, shown: bool = True) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function (done, total, note) that updates a bar: HTML in a notebook, a line on standard error elsewhere.

    The bar in a notebook is an ordinary output, so that no front end needs a widget for it.
    """
    if not shown:
        yield lambda done, total, note="": None
    elif in_notebook():
        yield _cell_bar(title, unit)
    else:
        from gan3d.monitoring.progress import progress_bar

        with progress_bar(title, unit) as update:
            yield lambda done, total, note="": update(done, total)


def _cell_bar(title: str, unit: str) -> Callable[[int, int, str], None]:
    from IPython.display import HTML, display

    handle: Any = None

    def update(done: int, total: int, note: str = "") -> None:
        nonlocal handle
        text = html.escape(f"{title}: {done:,} of {total:,} {unit}{'; ' if note else ''}{note}")
        bar = f'<progress value="{min(done, total)}" max="{total}" style="width:40%"></progress> <small>{text}</small>'
        if handle is None:
            handle = display(HTML(bar), display_id=True)
        else:
            handle.update(HTML(bar))

    return update
