"""The page of `gan3d serve` on which shapes are drawn by hand: its script asks the same routes as any client."""

from collections.abc import Sequence

from gan3d.rendering.pages import fill_template
from gan3d.rendering.scripts import bundle
from gan3d.serving.schema import ShapesRequest
from gan3d.shape_io.formats import OUTPUTS, STYLES


def studio_page(routes: Sequence[str]) -> str:
    """The page as HTML.

    Args:
        routes: the paths of the server; controls of those that are missing are hidden.
    """
    from gan3d.rendering.voxels import PALETTE  # late: the server listens a second earlier without SciPy

    offers = {
        "routes": list(routes),
        "outputs": list(OUTPUTS),
        "styles": list(STYLES),
        "printable": "printable" in ShapesRequest.model_fields,
        "colors": PALETTE,
    }
    return fill_template("studio", title="gan3d studio", offers=offers, script=bundle("studio/online"), generator=None)
