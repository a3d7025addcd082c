"""An encoder on disk: one .npz beside the model that it belongs to, which may come from a stranger like the model."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gan3d.array_archive import ArrayType, read_arrays
from gan3d.errors import UserError, short_list
from gan3d.model_file import TrainedModel, hash_weights
from gan3d.model_schema import check_size
from gan3d.outputs import new_file

if TYPE_CHECKING:
    from gan3d.inversion.encoder import Encoder

ENCODER = "encoder.npz"  # in a model's folder
ADVICE = "make it again with `gan3d encode`"
MARK = 16  # bytes that name the generator an encoder or a latent belongs to


def model_mark(model: TrainedModel) -> np.ndarray:
    """What tells one generator from another: a hash of its architecture and weights, uint8 (MARK,)."""
    digest = hashlib.sha256(json.dumps(model.architecture.to_json(), sort_keys=True).encode())
    hash_weights(digest, model.ema)
    return np.frombuffer(digest.digest()[:MARK], np.uint8)


def save_encoder(path: Path, encoder: "Encoder", model: TrainedModel) -> None:
    """Write the encoder of a model, in half precision; see `gan3d.outputs.new_file` for what it raises."""
    from gan3d.networks.weights import get_weights

    arrays = {name: value.astype(np.float16) for name, value in get_weights(encoder).items()}
    with new_file(path) as temporary:
        np.savez(temporary, model=model_mark(model), **arrays)  # type: ignore[arg-type]


def load_encoder(path: Path, model: TrainedModel) -> "Encoder":
    """Read the encoder of a model: nothing is expanded before it was checked.

    Raises:
        UserError: when the file is missing, damaged, or belongs to another model; names it.
    """
    from gan3d.inversion.encoder import Encoder
    from gan3d.networks.weights import assign_weights

    arrays = _read(path, model)
    encoder = Encoder(replace(model.architecture, precision="float32"))
    assign_weights(encoder, {name: value.astype(np.float32) for name, value in arrays.items()})
    return encoder


def belongs(path: Path, model: TrainedModel) -> bool:
    """Whether a file is a sound encoder of a model."""
    try:
        return os.path.lexists(path) and bool(_read(path, model))
    except UserError:
        return False


def _read(path: Path, model: TrainedModel) -> dict[str, np.ndarray]:
    """The weights of the encoder of a model."""
    from gan3d.inversion.encoder import encoder_shapes  # imports Keras, which a server may lack

    shapes = encoder_shapes(model.architecture)
    check_size(sum(math.prod(shape) for shape in shapes.values()), "encoder")
    expected = {name: ArrayType(shape, ("<f2", "<f4")) for name, shape in shapes.items()}
    arrays = read_arrays(path, expected | {"model": ArrayType((MARK,), ("|u1",))}, ADVICE)
    if not np.array_equal(arrays.pop("model"), model_mark(model)):
        raise UserError(f"{path} belongs to another model: {ADVICE}.")
    broken = [name for name, value in arrays.items() if not np.isfinite([value.min(), value.max()]).all()]
    if broken:
        raise UserError(f"{path} has weights that are not finite in {short_list(broken)}: {ADVICE}.")
    return arrays


def open_encoder(places: Sequence[Path], model: TrainedModel, warn: Callable[[str], None]) -> "Encoder | None":
    """The first encoder in these places that belongs to a model.

    None if there is none: inversion then starts from random shapes; `warn` is told if a file is the reason.
    """
    failures = []
    for path in places:
        if os.path.lexists(path):
            try:
                return load_encoder(path, model)
            except UserError as error:
                failures.append(str(error))
    if failures:
        warn(f"inverting from random shapes, without an encoder: {failures[0]}")
    return None
