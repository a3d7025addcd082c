"""A progress bar for any count with a total."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

INTERVAL = 0.5 if sys.stderr.isatty() else 15.0  # seconds between two updates; few in a log file


@contextmanager
def progress_bar(title: str, unit: str = "shape") -> Iterator[Callable[[int, int], None]]:
    """Yield a function (done, total) that updates a bar on standard error; the first call shows it."""
    bars: list[tqdm] = []

    def update(done: int, total: int) -> None:
        if not bars:
            bars.append(tqdm(desc=title, unit=unit, mininterval=INTERVAL, maxinterval=INTERVAL, file=sys.stderr))
        bars[0].total = total
        bars[0].update(done - bars[0].n)

    try:
        yield update
    finally:
        for bar in bars:
            bar.close()
