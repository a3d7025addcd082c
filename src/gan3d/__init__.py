"""gan3d: progressive 3D voxel GANs, reproducible, tracked and served.

The public API, imported on first use:

    import gan3d

    model = gan3d.load("modelnet10-r32")  # or models/r16, models:/furniture@champion, an MLflow run
    chairs = model.sample("chair", 16, seed=7, truncation=0.8)  # in a notebook: shapes that turn
    chairs.voxels, chairs.occupancy, chairs.latents  # NumPy
    chairs[0].mesh().export("chair.stl")
    model.interpolate(chairs[0], chairs[5], steps=9, path="linear").save("walk.gif")
    gan3d.score(model, "data/voxels")
"""

import os
from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_PUBLIC = {  # name -> module
    "load": "gan3d.api.models",
    "prepare": "gan3d.api.data",
    "score": "gan3d.api.scoring",
    "train": "gan3d.api.training",
    "Model": "gan3d.api.models",
    "Scores": "gan3d.api.scoring",
    "Shape": "gan3d.api.shapes",
    "Shapes": "gan3d.api.shapes",
    "TrainedModel": "gan3d.model_file",
    "PrintSettings": "gan3d.shape_io.print_settings",
    "Callback": "gan3d.training.callback",
    "VoxelDataset": "gan3d.api.data",
}
_NEEDS_KERAS = ("Callback", "TrainedModel")
__all__ = [
    "Callback",
    "Model",
    "PrintSettings",
    "Scores",
    "Shape",
    "Shapes",
    "TrainedModel",
    "VoxelDataset",
    "__version__",
    "load",
    "prepare",
    "score",
    "train",
]

# Set before a backend is imported: each of these would change the type of numbers, and with it every result.
for _name in ("JAX_ENABLE_X64", "JAX_NUMPY_DTYPE_PROMOTION", "TF_ENABLE_AUTO_MIXED_PRECISION", "TF_USE_LEGACY_KERAS"):
    os.environ.pop(_name, None)

# Set before TensorFlow is imported: without AVX-512 it disables oneDNN, and a transposed 3D convolution of two or more
# shapes is then 140 times slower (measured: 7.3 s instead of 51 ms for 32 shapes, 8³ to 16³).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Set before JAX initialises its devices: by default XLA computes 3D convolutions channels first, and a fifth of a step
# is spent on transposing for cuDNN, whose tensor-core kernels are channels last.
if "xla_gpu_force_conv" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_force_conv_nhwc=true".strip()


# Set before MLflow is imported, which otherwise looks up its maker's host. Whoever set one of them has decided.
if "MLFLOW_DISABLE_TELEMETRY" not in os.environ and "DO_NOT_TRACK" not in os.environ:
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'gan3d' has no attribute {name!r}")
    if name in _NEEDS_KERAS:  # imported quietly: the log of TensorFlow would fill a terminal or a cell
        import_module("gan3d.backend_choice").choose_backend()
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
