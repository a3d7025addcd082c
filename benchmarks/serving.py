"""Speed of the servers, and a soak test of `gan3d serve`.

    python benchmarks/serving.py [--out benchmarks/results/serving.json] [--requests 10000] [--only speed|soak]

Untrained generators of 16³ and 32³, as wide as those of params.yaml, are registered in a temporary store and served by
`mlflow models serve` and `gan3d serve`, each as a process of its own, over loopback; the clients share its cores.

- first: seconds from the start of the process to the first shape;
- shapes_per_second: one client, 64 shapes per request, as nested lists and, if supported, as packed bits;
- p99: 99th (and 50th) percentile of the milliseconds per request of one shape, with four clients;
- soak: `gan3d serve` only; four clients, every kind of request, one in ten malformed. Memory growth is that of the
  resident set since each kind of request was answered once.

`--only` keeps the other part's numbers in the file.
"""

import argparse
import http.client
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from gan3d.training.growth import grow

WIDTHS = {16: (64, 32, 16), 32: (64, 32, 16, 8)}
JSON = {"Content-Type": "application/json"}
MALFORMED = [
    b"",
    b"{",
    b'["chair"]',
    b'{"class": "sofa"}',
    b'{"class": "chair", "count": "many"}',
    b'{"class": "chair", "count": 100000}',
    b'{"class": "chair", "seed": -1}',
    b'{"class": "chair", "latents": [[1, 2, 3]]}',
    b'{"class": "chair", "truncation": NaN}',
    b'{"class": "chair", "output": "fbx"}',
    b'{"class": "chair", "colour": "red"}',
    b'{"class": "chair", "latents": [' + b" " * 2**20 + b"]}",
]


class Client:
    """A client with one persistent connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of a request; a lost connection is reopened by the next one."""
        try:
            self.connection.request("POST", path, body, JSON)
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (ConnectionError, http.client.HTTPException):
            self.connection.close()
            raise


def register(root: Path) -> None:
    """Create a project with one registered version per resolution, under the aliases r16 and r32."""
    from gan3d import model_file
    from gan3d.networks.architecture import Architecture
    from gan3d.registry.log import Facts, log_candidate
    from gan3d.sampling.latents import draw_latents
    from gan3d.sampling.sampler import Sampler
    from gan3d.tracking.store import connect

    for name in ("params.yaml", "dvc.yaml"):
        (root / name).touch()
    client = connect(root / "mlruns")
    for resolution, widths in WIDTHS.items():
        architecture = Architecture(64, ("chair", "table"), widths, (0.3, 0.2, 0.15, 0.1)[: len(widths)])
        model = grow(None, architecture, seed=0)[2]
        drawn = Sampler(model).occupancy(draw_latents(0, 64, 64), np.zeros(64))
        model = replace(model, threshold=float(np.quantile(drawn, 0.9)))  # a tenth is occupied, as in furniture
        model_file.save(root / f"r{resolution}", model)
        data = {"source": "none", "counts": {}, "test_split": "none"}
        number = log_candidate(client, root / f"r{resolution}", Facts(data, [], []))
        client.set_registered_model_alias("gan3d", f"r{resolution}", str(number))


@contextmanager
def server(command: list[str], root: Path, port: int, path: str, body: bytes) -> Iterator[tuple[psutil.Process, float]]:
    """Start a server; yields its process and the seconds until it answered."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{root / 'mlruns' / 'mlflow.db'}"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    start = time.perf_counter()
    with (
        (root / "server.log").open("w") as log,
        subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            while True:
                try:
                    status, _ = Client(port).post(path, body)
                    assert status == 200, (root / "server.log").read_text()
                    break
                except OSError:
                    assert process.poll() is None, (root / "server.log").read_text()
                    time.sleep(0.02)
            yield psutil.Process(process.pid), time.perf_counter() - start
        finally:
            process.terminate()


def gan3d_server(root: Path, resolution: int, port: int) -> Any:
    command = [sys.executable, "-m", "gan3d", "serve", "--model", f"models:/gan3d@r{resolution}", "--port", str(port)]
    return server(command, root, port, "/shapes", gan3d_body(1, 0))


def mlflow_server(root: Path, resolution: int, port: int) -> Any:
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/gan3d@r{resolution}"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    return server(command, root, port, "/invocations", mlflow_body(1, 0))


def gan3d_body(count: int, seed: int, **more: Any) -> bytes:
    return json.dumps({"class": "chair", "count": count, "seed": seed} | more).encode()


def mlflow_body(count: int, seed: int, **params: Any) -> bytes:
    return json.dumps(
        {"dataframe_records": [{"class": "chair", "count": count, "seed": seed}], "params": params}
    ).encode()


def throughput(port: int, path: str, body: Callable[[int], bytes], seconds: float = 8) -> float:
    """Shapes per second with 64 per request."""
    client, done = Client(port), 0
    client.post(path, body(0))
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        assert client.post(path, body(done + 1))[0] == 200
        done += 1
    return 64 * done / (time.perf_counter() - start)


def latency(port: int, path: str, body: Callable[[int], bytes], each: int = 250) -> dict[str, float]:
    """Milliseconds per request of one shape, with four clients."""
    times: list[float] = []

    def ask(number: int) -> None:
        client = Client(port)
        for i in range(each):
            start = time.perf_counter()
            assert client.post(path, body(number * each + i))[0] == 200
            times.append((time.perf_counter() - start) * 1000)

    together([lambda n=n: ask(n) for n in range(4)])
    cuts = statistics.quantiles(times, n=100)
    return {"p50_ms": round(cuts[49], 1), "p99_ms": round(cuts[98], 1), "requests": len(times)}


def soak(process: psutil.Process, port: int, requests: int) -> dict[str, Any]:
    """Send every kind of request, one in ten malformed, from four clients."""

    def memory() -> float:
        return process.memory_info().rss / 2**20

    def body(i: int) -> bytes:
        if i % 10 == 0:
            return MALFORMED[i // 10 % len(MALFORMED)]
        if i % 50 == 1:
            return gan3d_body(
                random.Random(i).randint(1, 4), i, output=("stl", "obj", "ply", "glb", "png")[i // 50 % 5]
            )
        return gan3d_body(random.Random(i).randint(1, 8), i, output=("grid", "bits")[i % 2])

    statuses: Counter[int] = Counter()
    mixed: Counter[str] = Counter()
    curve: list[int] = []
    lock = threading.Lock()
    numbers = iter(range(requests))

    def ask() -> None:
        client = Client(port)
        while True:
            with lock:
                i = next(numbers, None)
                if i is not None and i % max(1, requests // 20) == 0:
                    curve.append(round(memory()))
            if i is None:
                return
            status, _ = client.post("/shapes", body(i))
            with lock:
                statuses[status] += 1
                mixed["malformed" if i % 10 == 0 else "good"] += 1
                if (status != 200) != (i % 10 == 0):
                    mixed["wrong status"] += 1

    for output in ("grid", "bits", "stl", "obj", "ply", "glb", "png"):
        Client(port).post("/shapes", gan3d_body(4, 0, output=output))
    before, start = memory(), time.perf_counter()
    together([ask] * 4)
    return {
        "requests": sum(statuses.values()),
        **mixed,
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "errors_5xx": sum(count for status, count in statuses.items() if status >= 500),
        "seconds": round(time.perf_counter() - start, 1),
        "memory_before_mib": round(before),
        "memory_growth_mib": round(memory() - before, 1),
        "memory_curve_mib": curve,
    }


def together(jobs: list[Callable[[], None]]) -> None:
    """Run jobs in threads; raise the first error."""
    errors: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def speed(root: Path, resolution: int, own: bool) -> dict[str, Any]:
    """First answer, throughput and latency of `gan3d serve` or MLflow's server."""
    start, body = (gan3d_server, gan3d_body) if own else (mlflow_server, mlflow_body)
    port, path = free_port(), "/shapes" if own else "/invocations"
    with start(root, resolution, port) as (_, first):
        return {
            "first_s": round(first, 1),
            "shapes_per_second_grid": round(throughput(port, path, lambda i: body(64, i))),
            "shapes_per_second_bits": round(throughput(port, path, lambda i: body(64, i, output="bits"))),
            "one_shape": latency(port, path, lambda i: body(1, i)),
        }


def measure(root: Path, requests: int, only: str | None) -> Iterator[tuple[str, str, Any]]:
    """Server, resolution or "soak", and what was measured."""
    if only != "soak":
        for resolution in WIDTHS:
            for own, name in ((True, "gan3d serve"), (False, "mlflow models serve")):
                yield name, f"r{resolution}", speed(root, resolution, own)
    if only != "speed":
        port = free_port()
        with gan3d_server(root, 16, port) as (process, _):
            yield "gan3d serve", "soak", soak(process, port, requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/serving.json"))
    parser.add_argument("--requests", type=int, default=10_000, help="of the soak test")
    parser.add_argument("--only", choices=["speed", "soak"])
    given = parser.parse_args()
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    result: dict[str, Any] = {}
    if given.only and given.out.is_file():
        result = json.loads(given.out.read_text(encoding="utf-8"))
    result["conditions"] = {"cores": os.cpu_count(), "cpu": re.sub(r".*: ", "", model)}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        register(Path(scratch))
        for server, part, found in measure(Path(scratch), given.requests, given.only):
            load = round(os.getloadavg()[0], 1)
            result.setdefault(server, {})[part] = found | {"load": load}
            given.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
