"""Paths between two latent vectors: linear or spherical.

The generator scales each latent to unit mean square. Between two latents of one length, both paths therefore give
shapes of the same arc: the spherical path in even steps, the linear one in steps that are longest in the middle.
"""

from typing import TYPE_CHECKING, Literal, get_args

from gan3d.errors import UserError

if TYPE_CHECKING:
    import numpy as np

PathName = Literal["slerp", "linear"]
PATHS: tuple[PathName, ...] = get_args(PathName)  # the first is the default


def linear(start: "np.ndarray", end: "np.ndarray", steps: int) -> "np.ndarray":
    """Interpolate on the straight line between two latent vectors, ends included, (steps, size)."""
    import numpy as np

    t = np.linspace(0.0, 1.0, steps)[:, None]
    return ((1 - t) * start + t * end).astype(np.float32)


def walk(start: "np.ndarray", end: "np.ndarray", steps: int, path: str | None = None) -> "np.ndarray":
    """Interpolate between two latent vectors, ends included, (steps, size) float32.

    Args:
        path: one of PATHS; None for the first.

    Raises:
        UserError: for another path.
    """
    if path is None or path == "slerp":
        from gan3d.sampling.latents import slerp  # late: the command line reads PATHS without NumPy

        return slerp(start, end, steps)
    if path == "linear":
        return linear(start, end, steps)
    raise UserError(f"path {str(path)[:40]!r} does not exist: choose one of {', '.join(PATHS)}.")
