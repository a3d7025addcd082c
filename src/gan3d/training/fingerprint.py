"""The name of an unfinished training: a hash of everything that determines it but the number of images."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import keras

import gan3d
from gan3d.dataset import VoxelDataset
from gan3d.model_file import TrainedModel
from gan3d.training.recipe import Recipe

CODE = ("backend", "networks", "training")


def training_fingerprint(data: VoxelDataset, start: TrainedModel, recipe: Recipe) -> str:
    """16 hexadecimal digits; two trainings share them only if one is the beginning of the other.

    Args:
        data: its training split counts, the axes along which its shapes are flipped, and its validation split where
            that steers the augmentation.
        start: first weights.
        recipe: all of it counts but `stabilise`.
    """
    splits = ("train",) if recipe.adapted is None else ("train", "validation")
    digest = hashlib.sha256(
        "".join(data.fingerprint(split, start.architecture.resolution) for split in splits).encode()
    )
    digest.update(data.mirrored(recipe.mirror)[data.select("train")].tobytes())
    settings = asdict(recipe) | {"stabilise": None, "backend": keras.backend.backend()}
    digest.update(json.dumps([settings, start.architecture.to_json()], sort_keys=True).encode())
    for weights in (start.ema, start.generator, start.discriminator):
        for name, value in weights.items():
            digest.update(name.encode())
            digest.update(value.tobytes())
    package = Path(gan3d.__file__).parent
    for part in CODE:
        for path in sorted((package / part).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
