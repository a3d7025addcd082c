"""A latent on disk: one vector with its class and the generator that it belongs to, which may come from a stranger.

FILE.npz holds `latent`, float32 (latent,); `class`, the name in UTF-8 bytes; `model`, the generator's mark.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.array_archive import ArrayType, read_arrays
from gan3d.errors import UserError
from gan3d.inversion.encoder_file import MARK, model_mark
from gan3d.model_file import TrainedModel
from gan3d.outputs import new_file

ADVICE = "make it again with `gan3d invert`"
LONGEST_NAME = 4096  # bytes of a class name
LARGEST = 1e15  # of a latent's numbers: squares must stay finite in float32


@dataclass(frozen=True)
class Latent:
    """A point of a generator's latent space.

    Attributes:
        vector: float32 (latent,).
        class_name: of the shape.
    """

    vector: np.ndarray
    class_name: str


def save_latent(path: Path, latent: Latent, model: TrainedModel) -> Path:
    """Write a latent; the path gets the extension .npz if it has none of its own."""
    path = path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")
    name = np.frombuffer(latent.class_name.encode("utf-8", "surrogateescape"), np.uint8)
    arrays: dict[str, Any] = {"latent": latent.vector.astype("<f4"), "class": name, "model": model_mark(model)}
    with new_file(path) as temporary:
        np.savez(temporary, **arrays)
    return path


def load_latent(path: Path, model: TrainedModel) -> Latent:
    """Read a latent of a model.

    Raises:
        UserError: when the file is missing, damaged, or belongs to another model; names the file.
    """
    expected = {
        "latent": ArrayType((model.architecture.latent,), any_length=True),
        "class": ArrayType((LONGEST_NAME,), ("|u1",), any_length=True),
        "model": ArrayType((MARK,), ("|u1",)),
    }
    arrays = read_arrays(path, expected, ADVICE)
    name = arrays["class"].tobytes().decode("utf-8", "surrogateescape")
    fits = arrays["latent"].shape == (model.architecture.latent,) and name in model.architecture.classes
    if not fits or not np.array_equal(arrays["model"], model_mark(model)):
        raise UserError(f"{path} belongs to another model: {ADVICE} and this model.")
    if not (np.abs(arrays["latent"]) < LARGEST).all():
        raise UserError(f"{path} holds a number that is not finite or too large: {ADVICE}.")
    return Latent(arrays["latent"], name)
