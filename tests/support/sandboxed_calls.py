"""Functions that tests call in the sandbox, which imports this module by name."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np

from gan3d.data.formats.extensions import suffix
from gan3d.data.formats.readers import UnreadableFile, read
from gan3d.data.pipeline.convert import ConversionSettings, convert_batch
from gan3d.data.sources.archives import Location
from gan3d.data.sources.walk import SourceItem, try_inspect

SETTINGS = ConversionSettings(16)


def double(number: int) -> int:
    return 2 * number


def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "awake"


def stuck(_: int) -> None:
    np.linalg.svd(np.ones((9000, 9000)))  # in C code, where no Python signal handler runs


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


def die_while_answering(number: int) -> bytes:
    """Simulate a process that the system kills while it sends its answer."""
    if number % 10 == 5:
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGKILL)).start()
        time.sleep(0.005)
    return bytes(40_000_000 if number % 10 == 5 else 10)


def reject(_: int) -> None:
    raise UnreadableFile("It is bad.", "Fix it.")


def count_faces(content: bytes, name: str) -> int | str:
    try:
        return len(read(content, name).faces)
    except UnreadableFile as error:
        return error.reason


def read_file(path: Path) -> list:
    """Read one file as the prepare stage does."""
    location = Location(path, None, path.parent)
    if suffix(path.name) not in (".npz", ".h5"):
        return convert_batch([SourceItem(path.name, "x", None, path.name, path.name, location)], SETTINGS)
    arrays = try_inspect(location, path.name)
    if not isinstance(arrays, list):
        return [(arrays.reason, arrays.advice)]
    items = [
        SourceItem(f"{path.name}[{row}]", "x", None, "", path.name, location, row, array.key)
        for array in arrays
        for row in range(min(array.count, 5))
    ]
    return convert_batch(items, SETTINGS) if items else []


def mixed(kind: str, argument: int) -> object:
    return {"double": double, "sleep": sleep, "greedy": greedy, "crash": crash}[kind](argument)
