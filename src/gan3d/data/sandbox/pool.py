"""Calls in separate processes, each with a limit on time and memory: a hostile file cannot stop the run."""

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

START_TIMEOUT = 120.0  # seconds that a process may take to start
MAX_FAILED_STARTS = 2  # in a row
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Limits:
    """Limits per call: seconds, and MiB by which its process may grow."""

    seconds: float = 60.0
    memory: int = 2048


@dataclass(frozen=True)
class WorkerFailure:
    """The result of a call that exceeded its time or memory, or whose process died twice."""

    reason: str
    advice: str


DIED = WorkerFailure("Reading it crashed the process.", "Check that it is complete, or leave it out.")


@dataclass
class _Process:
    popen: subprocess.Popen
    pipe: Connection
    output: Any  # file of its stdout and stderr
    ready: bool = False
    call: int | None = None
    since: float = field(default_factory=time.monotonic)  # start of the process or of its call


class SandboxPool:
    """A pool of processes, started as calls need them; use it in a `with` block.

    A process that exceeds its time is killed and replaced. A call whose process died is retried once, since the
    machine may have been short of memory through no fault of the file.
    """

    def __init__(self, workers: int, limits: Limits | None = None):
        self.workers, self.limits = workers, limits or Limits()
        self.processes: list[_Process] = []
        self.failed_starts = 0  # in a row

    def __enter__(self) -> "SandboxPool":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.pipe.close()
            process.popen.kill()
        for process in self.processes:
            process.popen.wait()
            process.output.close()
        self.processes = []

    def call(self, function: Callable, *arguments: Any) -> Any:
        """Call a module-level function; returns its value or a `WorkerFailure`, and raises what it raises."""
        return next(self.map(function, [arguments]))[1]

    def map(self, function: Callable, calls: Iterable[tuple]) -> Iterator[tuple[int, Any]]:
        """Call a module-level function for each tuple of arguments.

        Yields:
            (number of the call, value or `WorkerFailure`) in order of completion.

        Raises:
            Exception: the first that the function raises.
        """
        for process in [process for process in self.processes if process.call is not None]:
            self._kill(process)  # busy with an earlier map whose iterator was abandoned
        remaining = enumerate(calls)
        waiting: deque[tuple[int, tuple]] = deque()
        running: dict[int, tuple] = {}
        retried: set[int] = set()
        more = True
        while True:
            while more and len(waiting) < self.workers:
                following = next(remaining, None)
                more = following is not None
                if following is not None:
                    waiting.append(following)
            self._start(len(waiting) + len(running))
            for process in self.processes:
                if process.ready and process.call is None and waiting:
                    number, arguments = waiting.popleft()
                    running[number] = arguments
                    process.call, process.since = number, time.monotonic()
                    self._send(process, (function, arguments))
            if not running and not waiting and not more:
                return
            for number, answer in self._collect():
                arguments = running.pop(number)
                if answer is DIED and number not in retried:
                    retried.add(number)
                    waiting.appendleft((number, arguments))
                    continue
                yield number, answer

    def _start(self, wanted: int) -> None:
        while len(self.processes) < min(self.workers, wanted):
            ours, theirs = Pipe()
            output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
            popen = subprocess.Popen(
                [sys.executable, "-m", "gan3d.data.sandbox.worker", str(theirs.fileno()), str(self.limits.memory)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **ONE_THREAD},
            )
            theirs.close()
            self.processes.append(_Process(popen, ours, output))

    @staticmethod
    def _send(process: _Process, message: tuple) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the process has died, which `_collect` detects
            process.pipe.send(message)

    def _collect(self) -> list[tuple[int, Any]]:
        """Wait for the next answer or timeout; returns finished calls, with DIED for those whose process died."""
        now = time.monotonic()
        allowed = [self.limits.seconds if process.ready else START_TIMEOUT for process in self.processes]
        ends = [
            p.since + span for p, span in zip(self.processes, allowed, strict=True) if p.call is not None or not p.ready
        ]
        ready = wait([process.pipe for process in self.processes], max(0.0, min(ends, default=now) - now))
        answers = []
        for process, span in zip(list(self.processes), allowed, strict=True):
            if process.pipe in ready:
                answers += self._receive(process)
            elif (process.call is not None or not process.ready) and time.monotonic() - process.since >= span:
                answers += self._time_out(process, span)
        return answers

    def _receive(self, process: _Process) -> list[tuple[int, Any]]:
        try:
            message = process.pipe.recv()
        except (EOFError, OSError):
            call = process.call
            self._kill(process)
            return [] if call is None else [(call, DIED)]
        if message == "ready":
            process.ready = True
            return []
        kind, value = message
        call, process.call = process.call, None
        if kind == "error":
            raise value
        if kind == "memory":
            self._kill(process)
            value = WorkerFailure(
                f"It needs more than {self.limits.memory} MiB of memory.",
                "Raise data.memory_limit, or simplify the shape.",
            )
        return [(call, value)] if call is not None else []

    def _time_out(self, process: _Process, span: float) -> list[tuple[int, Any]]:
        call = process.call
        self._kill(process)
        if call is None:
            return []
        failure = WorkerFailure(f"It took longer than {span:g} seconds.", "Raise data.timeout, or simplify the shape.")
        return [(call, failure)]

    def _kill(self, process: _Process) -> None:
        """Kill a process and remove it; raise UserError with its output if processes repeatedly fail to start."""
        process.popen.kill()
        process.popen.wait()
        process.pipe.close()
        self.processes.remove(process)
        process.output.seek(0)
        output = process.output.read().decode("utf-8", "replace").strip()
        process.output.close()
        self.failed_starts = 0 if process.ready else self.failed_starts + 1
        if self.failed_starts > MAX_FAILED_STARTS:
            why = output.splitlines()[-1] if output else f"exit status {process.popen.returncode}"
            raise UserError(
                f"the processes that read files cannot be started ({why}): check the installation and memory."
            )
