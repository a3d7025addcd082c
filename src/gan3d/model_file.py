"""A trained model on disk: what a stage leaves, the next one grows from, and the registry serves.

    DIR/config.json           architecture, threshold, up axis
    DIR/generator.npz         the averaged generator, by weight name: what is sampled
    DIR/training.npz          the generator and discriminator as they were trained: what the next resolution grows from

Equal weights give equal bytes, so that DVC sees when a rerun changed nothing.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np

from gan3d.errors import UserError
from gan3d.networks.architecture import Architecture
from gan3d.networks.discriminator import Discriminator
from gan3d.networks.generator import Generator
from gan3d.networks.weights import assign_weights, weight_names
from gan3d.outputs import new_file, write_text


@dataclass(frozen=True)
class TrainedModel:
    """Weights by name (see `gan3d.networks.weights`) with all that is needed to use them.

    Attributes:
        architecture: of both networks.
        ema: the exponential moving average of the generator's weights.
        generator, discriminator: the weights as trained; empty in a model that is only served.
        threshold: occupancy from which a voxel counts as occupied.
        up: the axis ("x", "y" or "z") that points up in the data.
    """

    architecture: Architecture
    ema: dict[str, np.ndarray]
    generator: dict[str, np.ndarray]
    discriminator: dict[str, np.ndarray]
    threshold: float = 0.5
    up: str = "y"

    def build_generator(self) -> Generator:
        """The averaged generator as a Keras model in float32.

        In bfloat16 it would take 18 times as long on a CPU without instructions for it, and half precision saves
        time and memory only in training.

        Raises:
            UserError: when the weights are not those of the architecture.
        """
        model = Generator(replace(self.architecture, precision="float32"))
        _fill(model, self.ema)
        return model

    def build_discriminator(self) -> Discriminator:
        """The discriminator as it was trained, as a Keras model in float32.

        Raises:
            UserError: when the model was stored without it, or its weights are not those of the architecture.
        """
        if not self.discriminator:
            raise UserError("the model has no discriminator, as one that is only served: name one in models/ instead.")
        model = Discriminator(replace(self.architecture, precision="float32"))
        _fill(model, self.discriminator)
        return model


def _fill(model: keras.Model, values: dict[str, np.ndarray]) -> None:
    shapes = dict(zip(weight_names(model), (tuple(v.shape) for v in model.trainable_variables), strict=True))
    wrong = [name for name, shape in shapes.items() if name not in values or values[name].shape != shape]
    if wrong:
        raise UserError(f"the model's {', '.join(wrong)} are missing or misshapen: train or download it again.")
    assign_weights(model, values)


def save(folder: Path, model: TrainedModel) -> None:
    """Write a model into a folder, which is created if missing."""
    config = {
        "format": 1,
        "architecture": model.architecture.to_json(),
        "threshold": model.threshold,
        "up": model.up,
    }
    write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
    _save(folder / "generator.npz", model.ema)
    trained = {f"generator/{name}": value for name, value in model.generator.items()}
    trained |= {f"discriminator/{name}": value for name, value in model.discriminator.items()}
    if trained:
        _save(folder / "training.npz", trained)


def load(folder: str | Path) -> TrainedModel:
    """Read a model.

    Raises:
        UserError: if the folder holds no model.
    """
    folder = Path(folder)
    config = read_config(folder)
    trained = _arrays(folder / "training.npz") if (folder / "training.npz").is_file() else {}

    def part(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): value for name, value in trained.items() if name.startswith(prefix)}

    try:
        return TrainedModel(
            architecture=Architecture.from_json(config["architecture"]),
            ema=_arrays(folder / "generator.npz"),
            generator=part("generator/"),
            discriminator=part("discriminator/"),
            threshold=config["threshold"],
            up=config["up"],
        )
    except (KeyError, TypeError) as error:
        path = folder / "config.json"
        raise UserError(f"{path} is not a model's ({error}): run `dvc checkout` or train the stage again.") from error


def read_config(folder: Path) -> dict[str, Any]:
    """The model's config.json.

    Raises:
        UserError: when the folder does not hold a model.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder} holds no model: name a folder with a config.json, such as models/r16.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): run `dvc checkout` or train the stage again.") from error


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with new_file(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]  # NumPy 2.1 would store allow_pickle as an array


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, BadZipFile, NotImplementedError) as error:
        raise UserError(f"{path} cannot be read ({error}): run `dvc checkout` or train the stage again.") from error


def hash_weights(digest: "hashlib._Hash", weights: dict[str, np.ndarray]) -> None:
    """Add weights to a hash: names, types, shapes and values, in the order of names."""
    for name, value in sorted(weights.items()):
        digest.update(json.dumps([name, value.dtype.str, value.shape]).encode())
        digest.update(np.ascontiguousarray(value).tobytes())
