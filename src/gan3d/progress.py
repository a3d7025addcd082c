"""A progress bar for anything that counts to a total."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

INTERVAL = 0.5 if sys.stderr.isatty() else 15.0  # seconds between two states of a bar; a log file takes few


@contextmanager
def bar(what: str, unit: str = "shape") -> Iterator[Callable[[int, int], None]]:
    """A function (done, total) that moves a bar on standard error."""
    with tqdm(desc=what, unit=unit, leave=True, mininterval=INTERVAL, maxinterval=INTERVAL, file=sys.stderr) as line:

        def move(done: int, total: int) -> None:
            line.total = total
            line.update(done - line.n)

        yield move
