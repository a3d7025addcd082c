"""The machine that a result was measured on, and its peak rates."""

import datetime
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

SIDE, WORDS = 2048, 2**26


def facts() -> dict[str, Any]:
    """Processor, cores, memory, Python, date."""
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory = next((int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if "MemTotal" in line), None)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory": memory,
        "python": platform.python_version(),
    }


def matrix_rate(seconds: float = 3.0) -> float:
    """Peak FLOP/s of float32 products of 2048² matrices with NumPy."""
    a = np.ones((SIDE, SIDE), np.float32)
    return 2.0 * SIDE**3 / _best(lambda: a @ a, seconds)


def copy_rate(seconds: float = 2.0) -> float:
    """Peak bytes per second, read and written, of copies of 256 MiB."""
    a = np.ones(WORDS, np.float32)
    b = np.empty_like(a)
    return 8.0 * WORDS / _best(lambda: np.copyto(b, a), seconds)


def _best(work: Any, seconds: float) -> float:
    work()
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < seconds:
        before = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - before)
    return best


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
