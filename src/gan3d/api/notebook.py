"""How an object looks in a notebook: HTML that loads nothing and needs no extension of the front end."""

import html
import math

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
