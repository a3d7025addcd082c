"""A process that reads untrusted files: it takes calls from a pipe, one at a time, under a memory limit.

Started by `gan3d.data.sandbox.pool` as `python -m gan3d.data.sandbox.worker DESCRIPTOR MEBIBYTES`.
"""

import ctypes
import signal
import sys
from multiprocessing.connection import Connection

import numpy  # noqa: F401 - imported before the limit applies
from scipy import ndimage  # noqa: F401


def limit_memory(mebibytes: int) -> None:
    """Limit the memory by which this process may grow, on systems that support it."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as stream:  # noqa: PTH123
            current = int(stream.read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = current + mebibytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))
    except (ImportError, OSError, ValueError):
        return


def end_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends (Linux)."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (OSError, AttributeError):
        return


def main(descriptor: int, mebibytes: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    end_with_parent()
    limit_memory(mebibytes)
    pipe = Connection(descriptor)
    pipe.send("ready")
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = ("value", function(*arguments))
        except MemoryError:
            pipe.send(("memory", None))
            return  # modules may be half imported: a fresh process is safer
        except Exception as error:  # raised again in the parent
            answer = ("error", error)
        pipe.send(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
