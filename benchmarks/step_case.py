"""Training steps of gan3d in a process of its own, for `benchmarks.steps`.

    python -m benchmarks.step_case FOLDER fused|plain

FOLDER holds case.json, weights.npz and batches.npz. It runs the steps of all batches once and writes their losses. For
each line `cycle` that it reads it runs them again, for `penalised` one step with penalties, and writes the seconds; for
`end` it writes its peak memory.
"""

import json
import sys
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops

from gan3d.backend import compile_steps
from gan3d.networks import convolutions
from gan3d.networks.architecture import Architecture
from gan3d.networks.convolutions import Tensor, conv_same, upsample_repeat
from gan3d.networks.weights import assign_weights
from gan3d.training.growth import grow
from gan3d.training.recipe import Recipe
from gan3d.training.step import first_state, make_step


def average(x: Tensor) -> Tensor:
    return ops.average_pool(x, 2, 2, data_format="channels_last")


PLAIN: convolutions.Form = {
    "same": conv_same,
    "up": lambda x, kernel: conv_same(upsample_repeat(x), kernel),
    "down": lambda x, kernel: average(conv_same(x, kernel)),
    "upsample": upsample_repeat,
    "downsample": average,
}


def peak() -> int:
    """Peak memory of this process in bytes; `getrusage` would include its parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def main(folder: Path, form: str) -> None:
    if form == "plain":
        convolutions.FORM.update(PLAIN)
    given = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    recipe = Recipe(**given["recipe"] | {"gate": tuple(given["recipe"]["gate"])})
    generator, discriminator, _ = grow(None, Architecture.from_json(given["architecture"]), 0)
    with np.load(folder / "weights.npz") as arrays:
        for model in (generator, discriminator):
            own = {name.partition("/")[2]: arrays[name] for name in arrays.files if name.startswith(model.name)}
            assert not assign_weights(model, own)
    with np.load(folder / "batches.npz") as arrays:
        batches = {name: arrays[name] for name in arrays.files}
    step = make_step(generator, discriminator, recipe)
    run, run_penalised = compile_steps(step, recipe.penalty_every), compile_steps(step, 1)
    first = {name: values[:1] for name, values in batches.items()}
    state, logs = run(first_state(generator, discriminator), batches)
    losses = np.stack([np.asarray(logs["loss_d"]), np.asarray(logs["loss_g"])], 1).tolist()
    backend = keras.backend.backend()
    version = f"{backend} {__import__(backend).__version__}, keras {keras.__version__}"
    print(json.dumps({"losses": losses, "version": version}), flush=True)
    for line in sys.stdin:
        if line.strip() == "end":
            break
        start = time.perf_counter()
        state, logs = run_penalised(state, first) if line.strip() == "penalised" else run(state, batches)
        np.asarray(logs["loss_d"])
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
    print(json.dumps({"peak_rss": peak()}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
