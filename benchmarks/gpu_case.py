"""One case of `benchmarks.gpu` in a process of its own: compiles, waits for its parent, measures, writes JSON.

It writes the line `ready` to its parent once it has compiled, reads a line, and writes `done` after each part of the
result.
"""

import collections
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from benchmarks.shapes import boxes
from gan3d.backend import compile_steps
from gan3d.backend.jax import SentBatches, Steps, place
from gan3d.monitoring.cost import estimate_cost
from gan3d.networks import convolutions
from gan3d.networks.architecture import Architecture
from gan3d.training import batches
from gan3d.training.growth import grow
from gan3d.training.loop import prefetch
from gan3d.training.recipe import Recipe
from gan3d.training.step import first_state, make_step

CHUNK = {16: 200, 32: 40, 64: 16}  # steps between two logged rows, about a second's
MIN_STEPS, MAX_SECONDS = 200, 7.0  # of a measurement: until either is reached
SHAPES = 512
KERNELS = 25  # of the profile, listed in the result

Result = dict[str, Any]


def send_line(word: str) -> None:
    print(word, flush=True)


def load(path: Path, case: Result, tiny: bool) -> tuple[Architecture, Recipe]:
    """Networks and recipe of a case; tiny ones, at 4³ or 8³, to try the script on a CPU."""
    given = json.loads(path.read_text(encoding="utf-8"))[f"r{case['resolution']:02d}"]
    architecture = Architecture.from_json(given["architecture"] | {"precision": case["precision"]})
    recipe = Recipe(**given["recipe"] | {"gate": tuple(given["recipe"]["gate"])})
    if tiny:
        kept = 1 if case["resolution"] == 16 else 2
        architecture = replace(architecture, widths=(6, 4)[:kept], occupancy=architecture.occupancy[:kept], latent=8)
        recipe = replace(recipe, batch=4, penalty_every=2)
    return architecture, replace(recipe, batch=recipe.batch * case["devices"])


def step_case(case: Result, recipe_file: Path, tiny: bool, write: Callable[[Result], None]) -> None:
    """Training steps as the loop takes them: the host draws the batches ahead."""
    convolutions.FORM.update(convolutions.FORMS[case["form"]])
    architecture, recipe = load(recipe_file, case, tiny)
    generator, discriminator, _ = grow(None, architecture, 0)
    step = make_step(generator, discriminator, recipe)
    shapes = boxes(architecture.resolution, SHAPES)
    run = compile_steps(step, recipe.penalty_every, shapes)
    steps = 2 * recipe.penalty_every if tiny else CHUNK[architecture.resolution]
    rows, labels = np.arange(SHAPES), np.arange(SHAPES, dtype=np.int32) % len(architecture.classes)

    def draw(images: int, steps: int) -> dict[str, np.ndarray]:
        return batches.draw(None, rows, labels, np.ones_like(labels), architecture.latent, images, steps, recipe)

    def send(images: int, steps: int) -> Any:
        return run.send(draw(images, steps))

    hits: list[str] = []
    jax.monitoring.register_event_listener(
        lambda name, **_: hits.append(name) if name.endswith("/cache_hits") else None
    )
    drawn, start = draw(recipe.fade_in, steps), time.perf_counter()
    state, logs = run(first_state(generator, discriminator, recipe.adapted), drawn)
    np.asarray(logs["loss_d"])
    first = time.perf_counter() - start
    send_line("ready")
    sys.stdin.readline()

    seconds: list[float] = []
    start = last = time.perf_counter()
    for _, drawn in prefetch(send, recipe.fade_in, steps, replace(recipe, stabilise=10**9)):
        state, logs = run(state, drawn)
        finite = np.isfinite(np.asarray(logs["loss_d"])).all()
        seconds.append(time.perf_counter() - last)
        last += seconds[-1]
        if len(seconds) > 2 and (len(seconds) * steps >= MIN_STEPS or last - start >= MAX_SECONDS):
            break
    own = float(np.median(seconds)) / steps
    planned = estimate_cost(generator, discriminator, recipe, 1.0)
    result = case | {
        "resolution": architecture.resolution,
        "widths": architecture.widths,
        "batch": recipe.batch,
        "penalty_every": recipe.penalty_every,
        "steps": steps * len(seconds),
        "seconds_200_steps": 200 * own,
        "chunks_seconds_200_steps": [round(200 * s / steps, 4) for s in seconds],
        "images_per_second": recipe.batch / own,
        "first_chunk_seconds": first,  # compilation and one chunk, while other cases compile
        "compile_seconds": first - own * steps,
        "compiled_before": bool(hits),
        "parameters": [planned.parameters_g, planned.parameters_d],
        "planned_flops_a_step": planned.flops * recipe.batch,
        "finite": bool(finite),
        "peak_memory": (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use"),
        "draw_seconds_200_steps": host_seconds(lambda: draw(recipe.fade_in, 8)) * 25,
    }
    write(result)
    few = draw(recipe.fade_in, recipe.penalty_every)
    result["profile"] = attempt(lambda: profile(lambda: np.asarray(run(state, few)[1]["loss_d"])))
    write(result)
    if case["form"] == "packed" and case["devices"] == 1:
        first_again = first_state(generator, discriminator, recipe.adapted)
        result["traffic"] = attempt(lambda: traffic(run, first_again, drawn))
        write(result)


def traffic(run: Steps, state: Any, sent: SentBatches) -> Result:
    """XLA's costs of the compiled program, which counts a loop's body once: one penalised step and one plain step.

    It is the program of the run, taken from the cache.
    """
    state = jax.tree.map(lambda x: place(x, run.replicated), state)
    program = run.compiled.lower(state, sent.cycles, sent.count, run.shapes).compile()
    counted, memory = program.cost_analysis() or {}, program.memory_analysis()
    return {
        "bytes_penalised_and_plain": counted.get("bytes accessed"),
        "flops_penalised_and_plain": counted.get("flops"),
        "temporary_bytes": getattr(memory, "temp_size_in_bytes", None),
    }


def host_seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def attempt(work: Callable[[], Any]) -> Any:
    """The result, or the error: not every machine has a profiler."""
    try:
        return work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]


def profile(work: Callable[[], Any]) -> Result:
    """The kernels of a few steps by device time: seconds, calls and names."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            work()
        (path,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(path))
        total: collections.Counter[str] = collections.Counter()
        calls: collections.Counter[str] = collections.Counter()
        for plane in data.planes:
            for line in plane.lines if "/device:" in plane.name else ():
                for event in line.events if line.name.startswith("Stream") else ():
                    total[event.name] += event.duration_ns
                    calls[event.name] += 1
    return {
        "device_seconds": sum(total.values()) / 1e9,
        "calls": sum(calls.values()),
        "kernels": [[round(ns / 1e9, 6), calls[name], name[:160]] for name, ns in total.most_common(KERNELS)],
    }


def device_case(case: Result, tiny: bool, write: Callable[[Result], None]) -> None:
    """The device's peak rates: a large matrix product in bfloat16, and a large copy."""
    side, words, repeats = (256, 2**20, 2) if tiny else (8192, 2**28, 20)
    keys = jax.random.split(jax.random.key(0), 2)
    a, b = (jax.random.normal(key, (side, side), jnp.bfloat16) for key in keys)
    x = jnp.ones(words, jnp.float32)

    @jax.jit
    def products(a: jax.Array, b: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, repeats, lambda _, c: jnp.matmul(a, c) * jnp.bfloat16(side**-0.5), b)

    @jax.jit
    def copies(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, repeats, lambda i, x: x + i.astype(jnp.float32), x)

    products(a, b).block_until_ready()
    copies(x).block_until_ready()
    send_line("ready")
    sys.stdin.readline()
    result = dict(case)
    for name, work, amount in (
        ("peak_flops", lambda: products(a, b).block_until_ready(), 2.0 * side**3 * repeats),
        ("peak_bandwidth", lambda: copies(x).block_until_ready(), 8.0 * words * repeats),
    ):
        result[name] = amount / min(host_seconds(work) for _ in range(5))
    device = jax.devices()[0]
    write(
        result
        | {
            "device": device.device_kind,
            "platform": device.platform,
            "memory": (device.memory_stats() or {}).get("bytes_limit"),
            "jax": jax.__version__,
            "keras": keras.__version__,
        }
    )


def main(case: Result, recipe: Path, out: Path, tiny: bool) -> None:
    def write(result: Result) -> None:
        unfinished = out.with_suffix(".tmp")
        unfinished.write_text(json.dumps(result), encoding="utf-8")
        unfinished.replace(out)
        send_line("done")

    if case["name"] == "device":
        device_case(case, tiny, write)
    else:
        step_case(case, recipe, tiny, write)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] == "tiny")
