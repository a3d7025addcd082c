"""Run a few steps on the backend that KERAS_BACKEND names; `test_agreement.py` compares the results.

python steps_process.py LOSS OUT.npz [resident]

With `resident`, the shapes stay on the device.
"""

import sys

import keras
import numpy as np

from gan3d.backend import compile_steps
from gan3d.networks.architecture import Architecture
from gan3d.training import batches
from gan3d.training.growth import grow
from gan3d.training.recipe import Recipe
from gan3d.training.step import first_state, make_step

STEPS = 20


def main(loss: str, out: str, keep: str = "") -> None:
    # with the adaptive augmentation of recipes/gpu.yaml, or without augmentation
    adapted = {"augment": 0.5, "ada_target": -2.0, "ada_images": 400} if loss == "relativistic" else {}
    recipe = Recipe(loss=loss, batch=4, penalty_every=2, fade_in=32, gate=(0.0, 1.0), seed=3, **adapted)
    generator, discriminator, _ = grow(None, Architecture(6, ("chair", "table"), (4, 3), (0.2, 0.1)), seed=1)
    packed = np.random.default_rng(0).integers(0, 256, (10, 8**3 // 8), np.uint8)
    source, labels = None if keep else packed, np.arange(10, dtype=np.int32) % 2
    held, classes = (packed[:4] ^ 1, labels[:4]) if adapted else (None, None)
    given = batches.draw(source, np.arange(10), labels, np.ones(10, np.int32), 6, 16, STEPS, recipe, classes)
    step = make_step(generator, discriminator, recipe, held)
    run = compile_steps(step, recipe.penalty_every, packed if keep else None)
    state, logs = run(first_state(generator, discriminator, recipe.adapted), given)
    leaves = [keras.ops.convert_to_numpy(leaf) for leaf in keras.tree.flatten(state)]
    named = {f"state{i:03d}": leaf for i, leaf in enumerate(leaves)} | {
        f"log/{k}": np.asarray(v) for k, v in logs.items()
    }
    drawn = generator(given["latents"][0], given["labels"][0], alpha=0.3)
    occupancy = keras.ops.convert_to_numpy(drawn)
    np.savez(out, backend=np.array(keras.backend.backend()), occupancy=occupancy, **named)


if __name__ == "__main__":
    main(*sys.argv[1:])
