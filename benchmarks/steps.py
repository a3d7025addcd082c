"""The training step on a CPU: fused and plain layers, TensorFlow, PyTorch and JAX, and the machine's limits.

    python -m benchmarks.steps [--stages r04,r08,r16] [--jax r04,r08] [--torch PYTHON] [--rounds 5] [--seconds 100]

Networks and recipe are those of params.yaml, fully faded in, on shapes of random boxes. Each implementation runs in a
process of its own with the same weights, shapes and latents. In each round they take turns, one cycle of the lazy
penalty each; ratios are medians over rounds, so that other load on the machine affects all of them. Before that, the
losses of the first steps are compared, to make sure that all compute the same. One step of a cycle has penalties, as in
training; it is also timed alone.

- fused: gan3d on TensorFlow; plain: the same with nearest upsampling, convolution and average pooling as layers;
- torch: `torch_case.py`, run by `--torch`, by the environment's TORCH_PYTHON, or by this Python if it has PyTorch;
- jax: gan3d on JAX, if it is installed, for the stages of `--jax` only, since its 3D convolutions are slow on a CPU.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np

from benchmarks import machine
from benchmarks.shapes import boxes
from gan3d.config.loading import load_params
from gan3d.config.schema import Params, resolution_of
from gan3d.monitoring.cost import estimate_cost, measure_conv_rate
from gan3d.networks.architecture import Architecture
from gan3d.networks.weights import get_weights
from gan3d.training import batches
from gan3d.training.growth import grow

OCCUPANCY = (0.3, 0.2, 0.14, 0.1, 0.08)
SHAPES = 256
TOLERANCE = 1e-3  # relative, of the first two steps' losses; later ones drift apart by rounding
MIN_ROUNDS = 3

Result = dict[str, Any]


class Implementation:
    """A process that runs cycles of steps on request."""

    def __init__(self, name: str, command: list[str], folder: Path, backend: str):
        self.name = name
        self.log = (folder / f"{name}.log").open("w+", encoding="utf-8")
        env = os.environ | {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=env, text=True
        )
        self.first = self.read()

    def read(self) -> Result:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError(f"{self.name} ended:\n{self.log.read()[-3000:]}")
        return json.loads(line)

    def request(self, word: str) -> Result:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.read()


def torch_python(given: str | None) -> str | None:
    """An interpreter that has PyTorch, or None."""
    if given:
        return given
    return sys.executable if importlib.util.find_spec("torch") else None


def write_case(settings: Params, stage: str, folder: Path, tiny: bool) -> Result:
    """Write what all implementations read; returns the cost of a step."""
    widths = settings.widths(stage)
    architecture = Architecture(settings.gan.latent, ("chair", "table"), widths, OCCUPANCY[: len(widths)])
    recipe = settings.recipe(stage)
    if tiny:
        architecture = replace(architecture, widths=(6, 5, 4)[: len(widths)], latent=8)
        recipe = replace(recipe, batch=4, penalty_every=2)
    generator, discriminator, _ = grow(None, architecture, settings.seed)
    labels = np.arange(SHAPES, dtype=np.int32) % 2
    given = batches.draw(
        boxes(architecture.resolution, SHAPES),
        np.arange(SHAPES),
        labels,
        np.ones(SHAPES, np.int32),
        architecture.latent,
        recipe.fade_in,
        recipe.penalty_every,
        recipe,
    )
    weights = {
        f"{model.name}/{name}": value
        for model in (generator, discriminator)
        for name, value in get_weights(model).items()
    }
    np.savez(folder / "weights.npz", **weights)
    np.savez(folder / "batches.npz", **given)
    case = {"architecture": asdict(architecture), "recipe": asdict(recipe)}
    (folder / "case.json").write_text(json.dumps(case), encoding="utf-8")
    costs = estimate_cost(generator, discriminator, recipe, 1.0)
    return {
        "widths": widths,
        "batch": recipe.batch,
        "penalty_every": recipe.penalty_every,
        "flops_a_step": costs.flops * recipe.batch,
        "convolution_rate": measure_conv_rate(architecture.widths[-1], architecture.resolution, 2.0),
    }


@contextmanager
def implementations(commands: dict[str, tuple[list[str], str]], folder: Path) -> Iterator[dict[str, Implementation]]:
    """Start all of them, one after the other."""
    found: dict[str, Implementation] = {}
    try:
        for name, (command, backend) in commands.items():
            found[name] = Implementation(name, [*command, *([] if name == "torch" else [name])], folder, backend)
        yield found
    finally:
        for one in found.values():
            one.process.kill()
            one.process.wait()


def disagreement(ours: list, theirs: list) -> float:
    """Largest relative difference of the losses of the first two steps; the second depends on the first update."""
    a, b = np.array(ours[:2]), np.array(theirs[:2])
    return float((np.abs(a - b) / np.abs(a)).max())


def measure(settings: Params, stage: str, given: argparse.Namespace) -> Result:
    """One stage: seconds per step of each implementation, and ratios to the first one."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        result = write_case(settings, stage, folder, given.tiny)
        own = [sys.executable, "-m", "benchmarks.step_case", str(folder)]
        commands: dict[str, tuple[list[str], str]] = {"fused": (own, "tensorflow"), "plain": (own, "tensorflow")}
        python = torch_python(given.torch)
        if python:
            script = Path(__file__).with_name("torch_case.py")
            commands["torch"] = ([python, str(script), str(folder)], "tensorflow")
        if stage in given.jax.split(",") and importlib.util.find_spec("jax"):
            commands["jax"] = (own, "jax")
        steps = result["penalty_every"]
        with implementations(commands, folder) as found:
            seconds: dict[str, list[float]] = {name: [] for name in found}
            start = time.monotonic()
            while len(seconds["fused"]) < MIN_ROUNDS or (
                len(seconds["fused"]) < given.rounds and time.monotonic() - start < given.seconds
            ):
                for name, one in found.items():
                    seconds[name].append(one.request("cycle")["seconds"] / steps)
            penalised: dict[str, list[float]] = {name: [] for name in found}
            for repeat in range(1 + MIN_ROUNDS):
                for name, one in found.items():
                    taken = one.request("penalised")["seconds"]
                    penalised[name] += [taken] if repeat else []  # the first includes compilation
            result["implementations"] = {
                name: {
                    "version": one.first["version"],
                    "seconds_a_step": statistics.median(seconds[name]),
                    "rounds": [round(s, 5) for s in seconds[name]],
                    "times_fused": statistics.median(
                        other / own for other, own in zip(seconds[name], seconds["fused"], strict=True)
                    ),
                    "penalised_times_fused": statistics.median(
                        other / own for other, own in zip(penalised[name], penalised["fused"], strict=True)
                    ),
                    "penalised_seconds": statistics.median(penalised[name]),
                    "loss_disagreement": disagreement(found["fused"].first["losses"], one.first["losses"]),
                    "peak_rss": one.request("end")["peak_rss"],
                }
                for name, one in found.items()
            }
    wrong = {name: row["loss_disagreement"] for name, row in result["implementations"].items()}
    result["same"] = all(value < TOLERANCE for value in wrong.values())
    result["flops_a_second"] = result["flops_a_step"] / result["implementations"]["fused"]["seconds_a_step"]
    return result


def table(found: Result) -> str:
    """The results as Markdown."""
    facts = found["machine"]
    versions = sorted(
        {row["version"] for stage in found["stages"].values() for row in stage["implementations"].values()}
    )
    head = ["", "widths", "ms a step", "plain", "torch", "jax", "GFLOP a step", "GFLOP/s", "of products", "peak MiB"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, stage in found["stages"].items():
        each = stage["implementations"]
        rate = stage["flops_a_second"]
        rows.append(
            [
                f"{resolution_of(name)}³",
                " ".join(map(str, stage["widths"])),
                f"{1000 * each['fused']['seconds_a_step']:.0f}",
                *(
                    f"× {each[other]['times_fused']:.2f} ({each[other]['penalised_times_fused']:.2f})"
                    if other in each
                    else ""
                    for other in ("plain", "torch", "jax")
                ),
                f"{stage['flops_a_step'] / 1e9:.1f}",
                f"{rate / 1e9:.1f}",
                f"{rate / facts['matrix_rate']:.0%}",
                f"{each['fused']['peak_rss'] / 2**20:.0f}",
            ]
        )
    lines = [f"| {' | '.join(row)} |" for row in rows]
    where = f"{facts['cores']} cores of {facts['cpu']}, Python {facts['python']}, {facts['date'][:10]}"
    most = f"{facts['matrix_rate'] / 1e9:.0f} GFLOP/s (float32 products), {facts['copy_rate'] / 1e9:.0f} GB/s (copies)"
    return "\n".join([f"{where}; {'; '.join(versions)}. At most: {most}.", "", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--stages", default="r04,r08,r16")
    parser.add_argument("--jax", default="r04,r08", help="stages to run with JAX")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=100, help="per stage, after which no round starts")
    parser.add_argument("--torch", default=os.environ.get("TORCH_PYTHON"), help="an interpreter that has PyTorch")
    parser.add_argument("--tiny", action="store_true", help="small networks, to try the script")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/steps.json"))
    given = parser.parse_args()
    settings = load_params(Path("params.yaml"))
    if torch_python(given.torch) is None:
        print("PyTorch is skipped: set TORCH_PYTHON to an interpreter that has it.", file=sys.stderr)
    if not importlib.util.find_spec("jax"):
        print("JAX is skipped: it is not installed.", file=sys.stderr)
    rates = {"matrix_rate": machine.matrix_rate(), "copy_rate": machine.copy_rate()}
    found: Result = {"machine": machine.facts() | rates, "stages": {}}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for stage in given.stages.split(","):
        found["stages"][stage] = measure(settings, stage, given)
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        if not found["stages"][stage]["same"]:
            print(
                f"warning: at {stage}, the losses of the implementations differ by more than {TOLERANCE}.",
                file=sys.stderr,
            )
    print(table(found))


if __name__ == "__main__":
    main()
