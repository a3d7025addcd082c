"""A process that reads untrusted files: it takes calls from a pipe, one at a time, under a limit of memory.

Started by `gan3d.data.sandbox.pool` as `python -m gan3d.data.sandbox.worker DESCRIPTOR MEBIBYTES`.
"""

import ctypes
import signal
import sys
from multiprocessing.connection import Connection

import numpy  # noqa: F401 - before the limit is set
from scipy import ndimage  # noqa: F401


def limit_memory(mebibytes: int) -> None:
    """Let this process grow by so much; where the system cannot, nothing happens."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as stream:  # noqa: PTH123
            present = int(stream.read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = present + mebibytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))
    except (ImportError, OSError, ValueError):
        return


def end_with_parent() -> None:
    """Ask the kernel to end this process when the one that started it ends, whatever it is doing (Linux)."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (OSError, AttributeError):
        return


def main(descriptor: int, mebibytes: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
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
            return  # what it was importing or holding may be in pieces
        except Exception as error:  # an error of a function is its answer
            answer = ("error", error)
        pipe.send(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
