"""A trained model on disk: the output of a training stage, input of the next one, and what the registry serves.

    DIR/config.json           architecture, threshold, up axis
    DIR/generator.npz         EMA weights of the generator, by name: used for sampling
    DIR/training.npz          weights of generator and discriminator as trained: the next resolution grows from them

Equal weights give equal bytes, which lets DVC see that a rerun changed nothing.
"""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gan3d import model_schema
from gan3d.array_archive import ArrayType, read_arrays, read_plain
from gan3d.errors import UserError, short_list
from gan3d.networks.architecture import Architecture
from gan3d.outputs import new_file, write_text

if TYPE_CHECKING:  # a server with ONNX Runtime reads models without Keras
    import keras

    from gan3d.networks.discriminator import Discriminator
    from gan3d.networks.generator import Generator

CONFIG, GENERATOR, TRAINING = FILES = ("config.json", "generator.npz", "training.npz")
CONFIG_BYTES = 2**24  # of the longest configuration: thousands of class names
ADVICE = "run `dvc checkout`, train the stage or get the model again"


@dataclass(frozen=True)
class TrainedModel:
    """Weights by name (see `gan3d.networks.weights`) with everything needed to use them.

    Attributes:
        architecture: of both networks.
        ema: the exponential moving average of the generator's weights, and the denoiser's, if the architecture has one.
        generator, discriminator: the weights as trained; empty in a model that is only served.
        threshold: occupancy above which a voxel is occupied.
        up: the axis ("x", "y" or "z") that points up in the data.
    """

    architecture: Architecture
    ema: dict[str, np.ndarray]
    generator: dict[str, np.ndarray]
    discriminator: dict[str, np.ndarray]
    threshold: float = 0.5
    up: str = "y"

    def build_generator(self) -> "Generator":
        """The EMA generator as a Keras model in float32.

        On a CPU without bfloat16 instructions, bfloat16 is 18 times slower; it saves time and memory only in training.

        Raises:
            UserError: when the weights do not fit the architecture.
        """
        from gan3d.networks.generator import Generator

        model = Generator(replace(self.architecture, precision="float32"))
        _fill(model, self.ema)
        return model

    def build_discriminator(self) -> "Discriminator":
        """The trained discriminator as a Keras model in float32.

        Raises:
            UserError: when the model was stored without it, or its weights do not fit the architecture.
        """
        if not self.discriminator:
            raise UserError(
                "the model has no discriminator, since it is only served: name a folder in models/ instead."
            )
        from gan3d.networks.discriminator import Discriminator

        model = Discriminator(replace(self.architecture, precision="float32"))
        _fill(model, self.discriminator)
        return model

    def describe(self) -> dict[str, Any]:
        """What a program must know to use the generator."""
        return {
            "classes": list(self.architecture.classes),
            "resolution": self.architecture.resolution,
            "latent": self.architecture.latent,
            "threshold": self.threshold,
            "up": self.up,
        }


def _fill(model: "keras.Model", values: dict[str, np.ndarray]) -> None:
    from gan3d.networks.weights import assign_weights, weight_names

    shapes = dict(zip(weight_names(model), (tuple(v.shape) for v in model.trainable_variables), strict=True))
    misfits = [name for name, shape in shapes.items() if name not in values or values[name].shape != shape]
    if misfits:
        raise UserError(f"the model's {', '.join(misfits)} are missing or misshapen: train or download it again.")
    assign_weights(model, values)


def save(folder: Path, model: TrainedModel) -> None:
    """Write a model into a folder, which is created if missing; another model's files in it are replaced or removed."""
    config = {
        "format": model_schema.FORMAT,
        "architecture": model.architecture.to_json(),
        "threshold": model.threshold,
        "up": model.up,
    }
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    _save_arrays(folder / GENERATOR, model.ema)
    trained = {f"generator/{name}": value for name, value in model.generator.items()}
    trained |= {f"discriminator/{name}": value for name, value in model.discriminator.items()}
    if trained:
        _save_arrays(folder / TRAINING, trained)
    else:
        (folder / TRAINING).unlink(missing_ok=True)


def load(folder: str | Path) -> TrainedModel:
    """Read a model, which may come from a stranger: nothing is expanded or allocated before it was checked.

    Raises:
        UserError: when the folder holds no model, a damaged one, or one that no training writes; names the file.
    """
    folder = Path(folder)
    architecture, threshold, up = read_config(folder)
    generator = model_schema.generator_arrays(architecture)
    discriminator = model_schema.discriminator_arrays(architecture)
    ema = _load_arrays(folder / GENERATOR, generator)
    trained: dict[str, np.ndarray] = {}
    if os.path.lexists(folder / TRAINING):
        grown = model_schema.generator_arrays(replace(architecture, denoiser=False))
        parts = (("generator", grown), ("discriminator", discriminator))
        expected = {f"{part}/{name}": array for part, arrays in parts for name, array in arrays.items()}
        trained = _load_arrays(folder / TRAINING, expected)

    def part(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): value for name, value in trained.items() if name.startswith(prefix)}

    return TrainedModel(architecture, ema, part("generator/"), part("discriminator/"), threshold, up)


def read_config(folder: Path) -> tuple[Architecture, float, str]:
    """Read and check a model's config.json: its architecture, threshold and up axis.

    Raises:
        UserError: when the folder holds no model, or its configuration is not one that a training writes.
    """
    path = folder / CONFIG
    if not os.path.lexists(path):
        raise UserError(f"{folder} holds no model: name a folder with a config.json, such as models/r16.")
    text = read_plain(path, CONFIG_BYTES, ADVICE)
    try:
        return model_schema.parse_config(text)
    except UserError as error:
        raise UserError(f"{path} {error}") from None


def _save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with new_file(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]  # NumPy 2.1 would store allow_pickle as an array


def _load_arrays(path: Path, expected: dict[str, ArrayType]) -> dict[str, np.ndarray]:
    arrays = read_arrays(path, expected, ADVICE)
    broken = [name for name, value in arrays.items() if not np.isfinite([value.min(), value.max()]).all()]
    if broken:
        raise UserError(f"{path} has weights that are not finite in {short_list(broken)}: {ADVICE}.")
    return arrays


def hash_weights(digest: "hashlib._Hash", weights: dict[str, np.ndarray]) -> None:
    """Add weights to a hash: names, types, shapes and values, in the order of names."""
    for name, value in sorted(weights.items()):
        digest.update(json.dumps([name, value.dtype.str, value.shape]).encode())
        digest.update(np.ascontiguousarray(value).tobytes())
