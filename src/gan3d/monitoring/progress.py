"""A progress bar for anything that counts to a total."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

INTERVAL = 0.5 if sys.stderr.isatty() else 15.0  # seconds between two states of a bar; a log file takes few


@contextmanager
def progress_bar(what: str, unit: str = "shape") -> Iterator[Callable[[int, int], None]]:
    """A function (done, total) that moves a bar on standard error; the first call shows it."""
    lines: list[tqdm] = []

    def move(done: int, total: int) -> None:
        if not lines:
            lines.append(tqdm(desc=what, unit=unit, mininterval=INTERVAL, maxinterval=INTERVAL, file=sys.stderr))
        lines[0].total = total
        lines[0].update(done - lines[0].n)

    try:
        yield move
    finally:
        for line in lines:
            line.close()
