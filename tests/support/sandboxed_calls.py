"""What tests ask a guarded process to do; it imports this module by name, as it does the readers."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from gan3d.data.formats.readers import Unreadable


def double(number: int) -> int:
    return 2 * number


def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "awake"


def stuck(_: int) -> None:
    np.linalg.svd(np.ones((9000, 9000)))  # deep in C, where no signal handler of Python runs


def greedy(mebibytes: int) -> int:
    return len(bytearray(mebibytes * 2**20))


def crash(_: int) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def crash_once(path: str) -> str:
    if Path(path).exists():
        return "second time"
    Path(path).touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def refuse(_: int) -> None:
    raise Unreadable("It is bad.", "Mend it.")


def mixed(kind: str, argument: int) -> object:
    return {"double": double, "sleep": sleep, "greedy": greedy, "crash": crash}[kind](argument)
