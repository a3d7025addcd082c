"""Ctrl-C in a training: the first one ends it after the chunk of steps, with a checkpoint; the second one at once."""

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)
REPLACED = (signal.SIG_DFL, signal.default_int_handler)  # handlers; whoever set another one stops the training itself


class Interruption:
    """Within its block, a signal sets `requested` instead of raising KeyboardInterrupt; a second one raises it.

    It does nothing outside the main thread, which alone receives signals.
    """

    def __init__(self) -> None:
        self.requested = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                if signal.getsignal(number) in REPLACED:
                    self.before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("\nstopping after a checkpoint; Ctrl-C again stops at once, without it", file=sys.stderr, flush=True)
