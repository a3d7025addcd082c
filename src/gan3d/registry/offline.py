"""Export the studio as one HTML file that holds the generator and computes in the browser, without a server.

The generator runs as WebAssembly that the page's script makes for the layers' sizes; latents are those of
`gan3d.sampling.latents`. It draws Python's voxels, but for those whose occupancy is within rounding of the threshold.
"""

import base64
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.dataset import resolution_key
from gan3d.model_file import TrainedModel
from gan3d.networks.architecture import DENOISER_DEPTH
from gan3d.rendering.pages import fill_template, save_page
from gan3d.rendering.scripts import bundle
from gan3d.rendering.voxels import PALETTE


def write_studio(model: TrainedModel, name: str, path: Path) -> Path:
    """Write the page; a missing folder is created.

    Args:
        name: of the model, as the page shows it.
    """
    offers = {"routes": [], "styles": ["smooth", "blocks"], "printable": False, "colors": PALETTE}
    page = fill_template(
        "studio",
        title=f"gan3d studio: {name}",
        offers=offers,
        script=bundle("studio/offline"),
        generator=pack_generator(model, name),
    )
    return save_page(path, page)


def pack_generator(model: TrainedModel, name: str) -> dict[str, Any]:
    """The generator as JSON: its arrays, little-endian in float32 or float16 as they are stored, as base64."""
    a = model.architecture
    unused = tuple(f"{resolution_key(resolution)}_head/" for resolution in a.resolutions[:-1])  # of the fade-in
    needed = {name: value for name, value in sorted(model.ema.items()) if not name.startswith(unused)}
    half = {name: value.dtype == np.float16 for name, value in needed.items()}
    content = b"".join(value.astype("<f2" if half[name] else "<f4").tobytes() for name, value in needed.items())
    return {
        "name": name,
        "description": {"model": name, **model.describe()},
        "architecture": {
            "latent": a.latent,
            "classes": a.classes,
            "widths": a.widths,
            "quantiles": {axis: values[:, 0].tolist() for axis, values in a.symmetry_quantiles().items()},
            "mapping": a.mapping,
            "residual": a.residual,
            "denoiser": {"depth": DENOISER_DEPTH} if a.denoiser else None,
        },
        "arrays": [{"name": name, "shape": value.shape, "half": half[name]} for name, value in needed.items()],
        "data": base64.b64encode(content).decode(),
    }
