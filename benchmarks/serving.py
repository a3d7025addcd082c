"""Speed of the servers, and a soak test of `gan3d serve`.

    python benchmarks/serving.py [--out benchmarks/results/serving.json] [--only speed|soak] [--requests 10000]
                                 [--before FOLDER] [--bentoml PYTHON] [--rounds 3] [--seconds 4]

Untrained generators of 16³, 32³ and 64³, as wide as those of params.yaml, are registered in a temporary store. They are
served by `gan3d serve` with both engines, `mlflow models serve` and, where named, an earlier checkout of gan3d and
BentoML (with its adaptive batching, around the same registered model). All run at once, and are asked one after the
other, in rounds: a busy machine slows all of them. The clients share its cores. Numbers are medians over the rounds.

- first: seconds from the start of the process to the first shape, alone on the machine;
- one shape per request, as packed bits, with 1, 4 and 16 clients on kept connections: requests per second, and the 50th
  and 99th percentile of milliseconds, and milliseconds of the server's CPU time per request;
- shapes_per_second: one client, 64 shapes per request, as nested lists and as packed bits;
- beside: milliseconds of a request of one shape while 8 requests of 1,024 grids wait, median and largest;
- healthz_ms: median of `/healthz` on a kept connection.
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
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from gan3d.training.growth import grow

WIDTHS = {16: (64, 32, 16), 32: (64, 32, 16, 8), 64: (64, 32, 16, 8, 4)}
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
    """A client with one persistent connection, and little work per request: it shares the server's cores."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection: socket.socket | None = None

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of a request; a lost connection is reopened by the next one."""
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        return self._ask(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def get(self, path: str) -> tuple[int, bytes]:
        return self._ask(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())

    def _ask(self, request: bytes) -> tuple[int, bytes]:
        if self.connection is None:
            self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=300)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.connection.sendall(request)
            response = http.client.HTTPResponse(self.connection)
            response.begin()
            content = response.read()
            if response.will_close:
                self.close()
            return response.status, content
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ConnectionError(str(error)) from error

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


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
        architecture = Architecture(64, ("chair", "table"), widths, (0.3, 0.2, 0.15, 0.1, 0.08)[: len(widths)])
        model = grow(None, architecture, seed=0)[2]
        drawn = Sampler(model).occupancy(draw_latents(0, 64, 64), np.zeros(64))
        model = replace(model, threshold=float(np.quantile(drawn, 0.9)))  # a tenth is occupied, as in furniture
        model_file.save(root / f"r{resolution}", model)
        data = {"source": "none", "counts": {}, "test_split": "none"}
        number = log_candidate(client, MODEL, root / f"r{resolution}", Facts(data, [], []))
        client.set_registered_model_alias(MODEL, f"r{resolution}", str(number))


@dataclass(frozen=True)
class Contender:
    """A server: how it is started, and how it is asked.

    Attributes:
        command: with {uri} of the model, and {port}.
        path: of its route.
        body: of a request, from (count, seed, output).
        environment: added to this process's.
        own: whether it is `gan3d serve`.
    """

    command: tuple[str, ...]
    path: str
    body: Callable[[int, int, str], bytes]
    environment: dict[str, str] = field(default_factory=dict)
    own: bool = False


def gan3d_body(count: int, seed: int, output: str = "bits", **more: Any) -> bytes:
    return json.dumps({"class": "chair", "count": count, "seed": seed, "output": output} | more).encode()


def mlflow_body(count: int, seed: int, output: str) -> bytes:
    record = {"class": "chair", "count": count, "seed": seed}
    return json.dumps({"dataframe_records": [record], "params": {"output": output}}).encode()


def bentoml_body(count: int, seed: int, output: str) -> bytes:
    return json.dumps({"rows": [{"class": "chair", "count": count, "seed": seed}]}).encode()


MODEL = "benchmark"  # name of the registered model
GAN3D = (sys.executable, "-m", "gan3d", "serve", "--model", "{uri}", "--port", "{port}")
MLFLOW = (sys.executable, "-m", "mlflow", "models", "serve", "-m", "{uri}", "--env-manager", "local")
MLFLOW += ("--host", "127.0.0.1", "--port", "{port}")
BENTOML = """
import bentoml, mlflow, os, pandas
from typing import Any

@bentoml.service(traffic={"timeout": 120})
class Shapes:
    def __init__(self) -> None:
        self.model = mlflow.pyfunc.load_model(os.environ["MODEL"])

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=10000)
    def shapes(self, rows: list[dict[str, Any]]) -> list[str]:
        return self.model.predict(pandas.DataFrame(rows), params={"output": "bits"})["data"].tolist()
"""


def contenders(before: Path | None, bentoml: Path | None) -> dict[str, Contender]:
    """The servers by name."""
    own = {"path": "/shapes", "body": gan3d_body, "own": True}
    found = {"gan3d serve": Contender((*GAN3D, "--engine", "keras", "--cache", "0"), **own)}
    found["gan3d serve --engine onnx"] = Contender((*GAN3D, "--engine", "onnx", "--cache", "0"), **own)
    if before is not None:
        found["gan3d serve, before"] = Contender(
            GAN3D, **own, environment={"PYTHONPATH": str(before.resolve() / "src")}
        )
    found["mlflow models serve"] = Contender(MLFLOW, "/invocations", mlflow_body)
    if bentoml is not None:
        command = (str(bentoml), "-m", "bentoml", "serve", "service:Shapes", "--port", "{port}")
        found["BentoML"] = Contender(command, "/shapes", bentoml_body)
    return found


@contextmanager
def server(contender: Contender, root: Path, resolution: int) -> Iterator[tuple[psutil.Process, int, float]]:
    """Start a server; yields its process, its port and the seconds until it answered."""
    port, uri = free_port(), f"models:/{MODEL}@r{resolution}"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{root / 'mlruns' / 'mlflow.db'}", "MODEL": uri}
    environment |= contender.environment
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [part.format(uri=uri, port=port) for part in contender.command]
    start = time.perf_counter()
    with (
        (root / f"server-{port}.log").open("w+") as log,
        subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            while True:
                try:
                    status, _ = Client(port).post(contender.path, contender.body(1, 0, "bits"))
                    if status == 200:
                        break
                    assert status == 503, Path(log.name).read_text()  # while it loads
                except OSError:
                    assert process.poll() is None, Path(log.name).read_text()
                time.sleep(0.02)
            yield psutil.Process(process.pid), port, time.perf_counter() - start
        finally:
            process.terminate()


def one_shape(
    contender: Contender, process: psutil.Process, port: int, clients: int, seconds: float, seeds: Iterator[int]
) -> dict[str, float]:
    """Requests of one shape from several clients; on a busy machine, their CPU time says more than the clock."""
    times: list[float] = []
    before = cpu_seconds(process)
    begin = time.perf_counter()

    def ask() -> None:
        client = Client(port)
        while time.perf_counter() - begin < seconds:
            body = contender.body(1, next(seeds), "bits")
            start = time.perf_counter()
            assert client.post(contender.path, body)[0] == 200
            times.append((time.perf_counter() - start) * 1000)

    together([ask] * clients)
    took = time.perf_counter() - begin
    cuts = statistics.quantiles(times, n=100)
    cpu = 1000 * (cpu_seconds(process) - before) / len(times)
    return {"per_second": len(times) / took, "p50_ms": cuts[49], "p99_ms": cuts[98], "cpu_ms": cpu}


def cpu_seconds(process: psutil.Process) -> float:
    """Of a process and its children."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def many_shapes(contender: Contender, port: int, output: str, seconds: float, seeds: Iterator[int]) -> float:
    """Shapes per second of one client with 64 per request."""
    client, done, start = Client(port), 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        assert client.post(contender.path, contender.body(64, next(seeds), output))[0] == 200
        done += 64
    return done / (time.perf_counter() - start)


def beside_large(contender: Contender, port: int, seeds: Iterator[int]) -> dict[str, float]:
    """Milliseconds of requests of one shape while 8 of 1,024 grids wait."""
    waiting = [lambda: Client(port).post(contender.path, contender.body(1024, next(seeds), "bits"))] * 8
    threads = [threading.Thread(target=job) for job in waiting]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    times: list[float] = []
    while any(thread.is_alive() for thread in threads) and len(times) < 20:
        start = time.perf_counter()
        assert Client(port).post(contender.path, contender.body(1, next(seeds), "bits"))[0] == 200
        times.append((time.perf_counter() - start) * 1000)
    for thread in threads:
        thread.join()
    return {"median_ms": statistics.median(times), "largest_ms": max(times)}


def healthz(port: int) -> float:
    """Median milliseconds of `/healthz`."""
    client, times = Client(port), []
    for _ in range(200):
        start = time.perf_counter()
        client.get("/healthz")
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def soak(process: psutil.Process, port: int, requests: int, move_alias: Callable[[bool], None]) -> dict[str, Any]:
    """Send every kind of request, one in ten malformed, from four clients; promote and roll back; stop at the end."""

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
            if i in (requests // 3, 2 * requests // 3):
                move_alias(i == requests // 3)
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
    seconds, grown = time.perf_counter() - start, memory() - before
    reloads = re.search(rb"gan3d_model_reloads_total\S* (\d+)", Client(port).get("/metrics")[1])
    return {
        "requests": sum(statuses.values()),
        **mixed,
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "errors_5xx": sum(count for status, count in statuses.items() if status >= 500),
        "seconds": round(seconds, 1),
        "reloads": int(reloads[1]) if reloads else 0,
        "memory_before_mib": round(before),
        "memory_growth_mib": round(grown, 1),
        "memory_curve_mib": curve,
        "after_sigterm": stop_under_load(process, port),
    }


def stop_under_load(process: psutil.Process, port: int) -> dict[str, int]:
    """Send SIGTERM while 40 requests wait; each is to be answered, with 200 or with 503 and Retry-After."""
    statuses: list[int] = []

    def ask(i: int) -> None:
        statuses.append(Client(port).post("/shapes", gan3d_body((1, 512)[i % 2], i))[0])

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(40)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    process.terminate()
    for thread in threads:
        thread.join()
    answered = sum(status in (200, 503) for status in statuses)
    return {"accepted": len(threads), "answered": answered, "exit": process.wait(60) or 0}


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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def speed(
    root: Path, found: dict[str, Contender], rounds: int, seconds: float, save: Callable[[dict[str, Any]], None]
) -> None:
    """Throughput and latency of all servers, then their first answers; `save` gets the results as they grow."""
    result: dict[str, Any] = {name: {} for name in found}
    seeds = iter(range(10**9))
    for resolution in WIDTHS:
        measured: dict[str, list[dict[str, Any]]] = {name: [] for name in found}
        with ExitStack() as running:
            starts = [server(one, root, resolution) for one in found.values()]
            with ThreadPoolExecutor(len(starts)) as starters:
                entered = list(starters.map(running.enter_context, starts))
            started = {name: (process, port) for name, (process, port, _) in zip(found, entered, strict=True)}
            for _ in range(rounds):
                for name, contender in found.items():
                    (process, port), row = started[name], {}
                    for clients in (1, 4, 16) if resolution == 16 else (16,):
                        row[f"{clients}_clients"] = one_shape(contender, process, port, clients, seconds, seeds)
                    if contender.own and resolution == 16:
                        row["shapes_per_second_grid"] = many_shapes(contender, port, "grid", seconds, seeds)
                        row["shapes_per_second_bits"] = many_shapes(contender, port, "bits", seconds, seeds)
                        row["healthz_ms"] = healthz(port)
                        row["beside"] = beside_large(contender, port, seeds)
                    measured[name].append(row)
        for name, rows in measured.items():
            result[name][f"r{resolution}"] = median_of(rows)
        save(result)
    for name, contender in found.items():
        with server(contender, root, 16) as (_, _, first):
            result[name]["first_s"] = round(first, 1)
    save(result)


def mover(root: Path) -> Callable[[bool], None]:
    """Registers the model of 16³ again; the function moves the alias to that version, or back."""
    from mlflow import MlflowClient

    from gan3d.registry.log import Facts, log_candidate

    client = MlflowClient()
    old = client.get_model_version_by_alias(MODEL, "r16").version
    new = log_candidate(
        client, MODEL, root / "r16", Facts({"source": "none", "counts": {}, "test_split": "none"}, [], [])
    )
    return lambda forward: client.set_registered_model_alias(MODEL, "r16", str(new if forward else old))


def median_of(rows: list[Any]) -> Any:
    """The medians of equally shaped results, rounded."""
    if isinstance(rows[0], dict):
        return {key: median_of([row[key] for row in rows]) for key in rows[0]}
    return float(f"{statistics.median(rows):.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/serving.json"))
    parser.add_argument("--requests", type=int, default=10_000, help="of the soak test")
    parser.add_argument("--only", choices=["speed", "soak"])
    parser.add_argument("--before", type=Path, help="another checkout of gan3d, to compare with")
    parser.add_argument("--bentoml", type=Path, help="the Python of an environment with BentoML and gan3d's packages")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement")
    given = parser.parse_args()
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    result: dict[str, Any] = json.loads(given.out.read_text()) if given.only and given.out.is_file() else {}
    result["conditions"] = {"cores": os.cpu_count(), "cpu": re.sub(r".*: ", "", model)}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        register(root)
        (root / "service.py").write_text(BENTOML, encoding="utf-8")
        load = round(os.getloadavg()[0], 1)

        def save(speeds: dict[str, Any]) -> None:
            result["speed"] = speeds | {"load": [load, round(os.getloadavg()[0], 1)]}
            given.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")

        if given.only != "soak":
            speed(root, contenders(given.before, given.bentoml), given.rounds, given.seconds, save)
        if given.only != "speed":
            contender = contenders(None, None)["gan3d serve"]
            contender = replace(contender, command=(*contender.command, "--poll", "1"))
            with server(contender, root, 16) as (process, port, _):
                result["soak"] = soak(process, port, given.requests, mover(root))
    given.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
