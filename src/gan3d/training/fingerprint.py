"""The name of a training's checkpoints: a hash of what determines its weights, the number of images excepted."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import keras

from gan3d.dataset import VoxelDataset
from gan3d.model_file import TrainedModel, hash_weights
from gan3d.training.recipe import Recipe

CODE = ("backend", "networks", "training")  # the packages that determine weights


def training_fingerprint(data: VoxelDataset, start: TrainedModel, recipe: Recipe) -> str:
    """16 hexadecimal digits; two trainings share them only if one is a prefix of the other.

    Args:
        data: hashed are the training split, the flip axes, and the validation split if it steers the augmentation.
        start: the initial weights.
        recipe: all fields but `stabilise`.
    """
    splits = ("train",) if recipe.adapted is None else ("train", "validation")
    digest = hashlib.sha256(
        "".join(data.fingerprint(split, start.architecture.resolution) for split in splits).encode()
    )
    digest.update(data.mirrored(recipe.mirror)[data.select("train")].tobytes())
    settings = asdict(recipe) | {"stabilise": None, "backend": keras.backend.backend()}
    digest.update(json.dumps([settings, start.architecture.to_json()], sort_keys=True).encode())
    for weights in (start.ema, start.generator, start.discriminator):
        hash_weights(digest, weights)
    package = Path(__file__).parents[1]
    for part in CODE:
        for path in sorted((package / part).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
