"""Calls in processes of their own, each with a limit of time and memory: whatever a file does, the run goes on."""

import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

from gan3d.errors import UserError

STARTING = 120.0  # seconds that a process may take to start
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Limits:
    """Of each call: seconds, and MiB by which a process may grow."""

    seconds: float = 60.0
    memory: int = 2048


@dataclass(frozen=True)
class WorkerFailure:
    """A call without an answer: it took too much time or memory, or its process died, twice."""

    reason: str
    advice: str


DIED = WorkerFailure("Reading it ended its process.", "Check that it is whole, or leave it out.")


@dataclass
class _Process:
    popen: subprocess.Popen
    pipe: Connection
    said: Any
    ready: bool = False
    call: int | None = None
    since: float = field(default_factory=time.monotonic)


class SandboxPool:
    """A pool of processes, started as calls need them; use it in a `with` block.

    A process that overruns its time is killed, and another takes its place. A call whose process died is made once
    more, since the machine may have been short of memory and the file without fault.
    """

    def __init__(self, workers: int, limits: Limits | None = None):
        self.workers, self.limits = workers, limits or Limits()
        self.processes: list[_Process] = []
        self.failed = 0  # starts in a row

    def __enter__(self) -> "SandboxPool":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.pipe.close()
            process.popen.kill()
        for process in self.processes:
            process.popen.wait()
            process.said.close()
        self.processes = []

    def call(self, function: Callable, *arguments: Any) -> Any:
        """The value of a function of a module, or a `WorkerFailure`; raises what the function raises."""
        return next(self.map(function, [arguments]))[1]

    def map(self, function: Callable, calls: Iterable[tuple]) -> Iterator[tuple[int, Any]]:
        """(number of the call, value or `WorkerFailure`), as they become ready; raises the first error of a function."""
        for process in [process for process in self.processes if process.call is not None]:
            self._end(process)  # of an earlier map that was left before its end
        source = enumerate(calls)
        waiting: deque[tuple[int, tuple]] = deque()
        under_way: dict[int, tuple] = {}
        died: set[int] = set()
        more = True
        while True:
            while more and len(waiting) < self.workers:
                following = next(source, None)
                more = following is not None
                if following is not None:
                    waiting.append(following)
            self._start(len(waiting) + len(under_way))
            for process in self.processes:
                if process.ready and process.call is None and waiting:
                    number, arguments = waiting.popleft()
                    under_way[number] = arguments
                    process.call, process.since = number, time.monotonic()
                    self._send(process, (function, arguments))
            if not under_way and not waiting and not more:
                return
            for number, answer in self._answers():
                arguments = under_way.pop(number)
                if answer is DIED and number not in died:
                    died.add(number)
                    waiting.appendleft((number, arguments))
                    continue
                yield number, answer

    def _start(self, wanted: int) -> None:
        while len(self.processes) < min(self.workers, wanted):
            ours, theirs = Pipe()
            said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
            popen = subprocess.Popen(
                [sys.executable, "-m", "gan3d.data.sandbox.worker", str(theirs.fileno()), str(self.limits.memory)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={**os.environ, **ONE_THREAD},
            )
            theirs.close()
            self.processes.append(_Process(popen, ours, said))

    @staticmethod
    def _send(process: _Process, message: tuple) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died, which `_answers` sees
            process.pipe.send(message)

    def _answers(self) -> list[tuple[int, Any]]:
        """What is ready after a while; DIED where the process did."""
        now = time.monotonic()
        allowed = [self.limits.seconds if process.ready else STARTING for process in self.processes]
        ends = [
            p.since + span for p, span in zip(self.processes, allowed, strict=True) if p.call is not None or not p.ready
        ]
        ready = wait([process.pipe for process in self.processes], max(0.0, min(ends, default=now) - now))
        answers = []
        for process, span in zip(list(self.processes), allowed, strict=True):
            if process.pipe in ready:
                answers += self._receive(process)
            elif (process.call is not None or not process.ready) and time.monotonic() - process.since >= span:
                answers += self._overrun(process, span)
        return answers

    def _receive(self, process: _Process) -> list[tuple[int, Any]]:
        try:
            message = process.pipe.recv()
        except (EOFError, OSError):
            call = process.call
            self._end(process)
            return [] if call is None else [(call, DIED)]
        if message == "ready":
            process.ready = True
            return []
        kind, value = message
        call, process.call = process.call, None
        if kind == "error":
            raise value
        if kind == "memory":
            self._end(process)
            value = WorkerFailure(
                f"It needs more than {self.limits.memory} MiB of memory.",
                "Raise data.memory_limit, or simplify the shape.",
            )
        return [(call, value)] if call is not None else []

    def _overrun(self, process: _Process, span: float) -> list[tuple[int, Any]]:
        call = process.call
        self._end(process)
        if call is None:
            return []
        return [
            (
                call,
                WorkerFailure(f"It took longer than {span:g} seconds.", "Raise data.timeout, or simplify the shape."),
            )
        ]

    def _end(self, process: _Process) -> None:
        """Kill a process and forget it; one that never came up tells why."""
        process.popen.kill()
        process.popen.wait()
        process.pipe.close()
        self.processes.remove(process)
        process.said.seek(0)
        said = process.said.read().decode("utf-8", "replace").strip()
        process.said.close()
        self.failed = 0 if process.ready else self.failed + 1
        if self.failed > 2:
            why = said.splitlines()[-1] if said else f"exit status {process.popen.returncode}"
            raise UserError(
                f"the processes that read files cannot be started ({why}): check the installation and memory."
            )
