"""The training step on one or several GPUs with JAX: time, operations, share of the device's peak rates.

    KERAS_BACKEND=jax PYTHONPATH=src python -m benchmarks.gpu --out DIR [--seconds 150] [--only 'r16;r32'] [--tiny]

It needs only NumPy, SciPy, Keras and JAX. Networks and recipes are read from benchmarks/gpu.json, which
`--write-recipe` creates from recipes/gpu.yaml where the whole package is installed.

Each case is a process of its own. All compile at the same time; then each measures alone, the most important first, and
DIR/gpu.json is rewritten after each. Cases that are not measured within `--seconds` are skipped.
"""

import argparse
import datetime
import json
import os
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

RECIPE = Path(__file__).with_name("gpu.json")
CHANNELS_FIRST = "--xla_gpu_force_conv_nhwc=false"  # XLA's default
COMPILE_SHARE = 0.55  # of the seconds; then compiled cases no longer wait for the others

Result = dict[str, Any]


def case(name: str, resolution: int, **given: Any) -> Result:
    return {"name": name, "resolution": resolution, "precision": "bfloat16", "form": "packed", "devices": 1} | given


def cases(devices: int) -> list[Result]:
    """The most important first: the default, then other forms of the convolutions, then another precision."""
    found = [case("device", 0)]
    found += [case(f"r{side}", side) for side in (16, 32, 64)]
    if devices > 1:
        found.append(case(f"r64 on {devices}", 64, devices=devices))
    found += [case(f"r{side} strided", side, form="strided") for side in (16, 32)]
    found += [case(f"r{side} strided, channels first", side, form="strided", flags=CHANNELS_FIRST) for side in (16, 32)]
    return [*found, case("r16 float32", 16, precision="float32")]


def write_recipe(path: Path) -> None:
    """Write networks and recipes of 16³, 32³ and 64³ from recipes/gpu.yaml; 64³ is extrapolated if it is missing."""
    import yaml

    from gan3d.config import recipes
    from gan3d.config.schema import Params
    from gan3d.networks.architecture import Architecture

    given = Params.model_validate(recipes.changed(yaml.safe_load(recipes.default_text()), "gpu", Path("recipes")))
    found = {}
    for side, occupancy in ((16, (0.3, 0.2, 0.14)), (32, (0.3, 0.2, 0.14, 0.1)), (64, (0.3, 0.2, 0.14, 0.1, 0.08))):
        stage = f"r{side}"
        known = stage if stage in given.train.stages else given.final
        widths = given.widths(known)
        if stage not in given.train.stages:
            widths = (*widths, widths[-1] // 2)
        architecture = Architecture(given.gan.latent, ("chair", "table"), widths, occupancy, given.train.precision)
        found[stage] = {"architecture": asdict(architecture), "recipe": asdict(given.recipe(known))}
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


class Child:
    """The process of one case."""

    def __init__(self, case: Result, recipe: Path, folder: Path, tiny: bool, messages: queue.Queue):
        self.case, self.name = case, case["name"]
        self.out = folder / f"{self.name.replace(' ', '-')}.json"
        self.log = self.out.with_suffix(".log")
        self.ready = self.over = False
        flags = [os.environ.get("XLA_FLAGS", ""), case.get("flags", "")]
        env = os.environ | {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        if env.get("JAX_PLATFORMS") == "cpu":
            flags = [f"--xla_force_host_platform_device_count={case['devices']}"]
        else:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(case["devices"])))
            env["CUDA_VISIBLE_DEVICES"] = ",".join(visible.split(",")[: case["devices"]])
        env["XLA_FLAGS"] = " ".join(filter(None, flags))
        command = [sys.executable, "-m", "benchmarks.gpu_case", json.dumps(case), str(recipe), str(self.out)]
        self.process = subprocess.Popen(
            [*command, "tiny" if tiny else "full"],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
        )
        threading.Thread(target=self._listen, args=(messages,), daemon=True).start()

    def _listen(self, messages: queue.Queue) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            messages.put((self, line.strip()))
        self.process.wait()
        messages.put((self, "over"))

    def start_measuring(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self) -> Result:
        """What it has written, or the end of its log."""
        if self.out.is_file():
            return json.loads(self.out.read_text(encoding="utf-8"))
        return self.case | {"failed": self.log.read_text(errors="replace")[-1500:]}


class Scheduler:
    """Lets the children measure one by one, and writes their results."""

    def __init__(self, children: list[Child], messages: queue.Queue, seconds: float, out: Path, start: float):
        self.children, self.messages, self.out = children, messages, out
        self.start, self.end = start, start + seconds
        self.compile_end = start + COMPILE_SHARE * seconds

    def receive(self, until: float) -> bool:
        """Handle one message; False if the time is over."""
        try:
            child, word = self.messages.get(timeout=max(0.0, min(until, self.end) - time.monotonic()))
        except queue.Empty:
            return False
        if word == "ready":
            child.ready = True
            print(f"{time.monotonic() - self.start:6.1f} s  {child.name} is compiled", flush=True)
        elif word == "over":
            child.over = True
        self.write()
        return True

    def write(self) -> None:
        """Write all results so far."""
        found = {child.name: child.result() for child in self.children if child.over or child.out.is_file()}
        device = found.pop("device", {})
        for result in found.values():
            share(result, device)
        facts = {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
        }
        unfinished = self.out.with_suffix(".tmp")
        unfinished.write_text(json.dumps(facts | {"device": device, "cases": found}, indent=1), encoding="utf-8")
        unfinished.replace(self.out)

    def run(self) -> None:
        while not all(child.ready or child.over for child in self.children) and self.receive(self.compile_end):
            pass
        waiting = list(self.children)
        while waiting and time.monotonic() < self.end:
            ready = [child for child in waiting if child.ready and not child.over]
            if not ready:
                waiting = [child for child in waiting if not child.over]
                if waiting and not self.receive(self.end):
                    break
                continue
            case = ready[0]
            waiting.remove(case)
            case.start_measuring()
            while not case.over and self.receive(self.end):
                pass
            others = [child.name for child in waiting if not child.ready and not child.over]
            print(f"{time.monotonic() - self.start:6.1f} s  {line(case.result())}", flush=True)
            if others:
                print(f"          meanwhile still compiling: {', '.join(others)}", flush=True)
        for child in self.children:
            if not child.over:
                child.process.kill()
        self.write()


def share(result: Result, device: Result) -> None:
    """Add the shares of the device's peak rates that a mean step reaches.

    Operations are those of the networks, without recomputation. Bytes are half of XLA's count for a penalised and a
    plain step: an upper bound for a mean step, since seven of eight steps are plain.
    """
    if "seconds_200_steps" not in result or "peak_flops" not in device:
        return
    each = result["seconds_200_steps"] / 200
    result["share_of_peak"] = result["planned_flops_a_step"] / each / device["peak_flops"] / result["devices"]
    traffic = result.get("traffic")
    if isinstance(traffic, dict) and traffic.get("bytes_penalised_and_plain"):
        result["share_of_bandwidth"] = traffic["bytes_penalised_and_plain"] / 2 / each / device["peak_bandwidth"]


def line(result: Result) -> str:
    if "seconds_200_steps" not in result:
        return f"{result['name']}: {result.get('failed', 'done')[-300:]}"
    return (
        f"{result['name']}: {result['seconds_200_steps']:.2f} s for 200 steps,"
        f" {result['images_per_second']:,.0f} images/s, {result['compile_seconds']:.0f} s to compile"
    )


def table(found: Result) -> str:
    """The results as Markdown."""
    device = found["device"]
    head = [
        "",
        "widths",
        "200 steps, s",
        "images/s",
        "TFLOP a step",
        "TFLOP/s",
        "of peak",
        "of bandwidth",
        "peak memory, GiB",
        "compile, s",
    ]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for result in found["cases"].values():
        if "seconds_200_steps" not in result:
            rows.append([result["name"], "failed", *[""] * (len(head) - 2)])
            continue
        flops = result["planned_flops_a_step"]
        rate = flops * 200 / result["seconds_200_steps"]
        rows.append(
            [
                result["name"],
                " ".join(map(str, result["widths"])),
                f"{result['seconds_200_steps']:.2f}",
                f"{result['images_per_second']:,.0f}",
                f"{flops / 1e12:.3g}",
                f"{rate / 1e12:.1f}",
                f"{result['share_of_peak']:.1%}" if "share_of_peak" in result else "",
                f"{result['share_of_bandwidth']:.1%}" if "share_of_bandwidth" in result else "",
                f"{result['peak_memory'] / 2**30:.1f}" if result["peak_memory"] else "",
                f"{result['compile_seconds']:.0f}",
            ]
        )
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    if "peak_flops" not in device:
        return text
    versions = f"{device['device']}, jax {device['jax']}, keras {device['keras']}; {found['date'][:10]}."
    products, copies = device["peak_flops"] / 1e12, device["peak_bandwidth"] / 1e12
    return f"{versions} At most: {products:.0f} TFLOP/s (bf16 products), {copies:.2f} TB/s (copies).\n\n{text}"


def main() -> None:
    start = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--seconds", type=float, default=150, help="in total")
    parser.add_argument("--only", help="names of cases, separated by semicolons")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--devices", type=int, help="number of GPUs; by default those in /dev")
    parser.add_argument("--tiny", action="store_true", help="networks of 4³ and 8³, to try the script on a CPU")
    parser.add_argument("--write-recipe", type=Path, metavar="FILE", help="only write the networks and recipes")
    given = parser.parse_args()
    if given.write_recipe:
        write_recipe(given.write_recipe)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    devices = given.devices or max(1, len(list(Path("/dev").glob("nvidia[0-9]*"))))
    chosen = [
        case
        for case in cases(devices)
        if not given.only or case["name"] == "device" or case["name"] in given.only.split(";")
    ]
    messages: queue.Queue = queue.Queue()
    with tempfile.TemporaryDirectory() as folder:
        children = [Child(case, given.recipe, Path(folder), given.tiny, messages) for case in chosen]
        scheduler = Scheduler(children, messages, given.seconds, given.out / "gpu.json", start)
        try:
            scheduler.run()
        finally:
            for child in children:
                child.process.kill()
    print(table(json.loads((given.out / "gpu.json").read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
