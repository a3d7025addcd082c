"""A progress bar for any count with a total: a line on standard error, or an output of a notebook's cell."""

import html
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from tqdm import tqdm

INTERVAL = 0.5 if sys.stderr.isatty() else 15.0  # seconds between two updates; few in a log file


class Update(Protocol):
    """Moves a bar."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@contextmanager
def progress_bar(title: str, unit: str = "shape") -> Iterator[Update]:
    """Yield a function (done, total, note) that updates a bar; the first call shows it.

    In a notebook the bar is an ordinary output, so that no front end needs a widget for it.
    """
    if in_notebook():
        yield _cell_bar(title, unit)
        return
    bars: list[tqdm] = []

    def update(done: int, total: int, note: str = "") -> None:
        if not bars:
            bars.append(tqdm(desc=title, unit=unit, mininterval=INTERVAL, maxinterval=INTERVAL, file=sys.stderr))
        bars[0].total = total
        if note:
            bars[0].set_postfix_str(note, refresh=False)
        bars[0].update(done - bars[0].n)

    try:
        yield update
    finally:
        for bar in bars:
            bar.close()


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def _cell_bar(title: str, unit: str) -> Update:
    from IPython.display import HTML, display

    handle: Any = None

    def update(done: int, total: int, note: str = "") -> None:
        nonlocal handle
        text = html.escape(f"{title}: {done:,} of {total:,} {unit}{'; ' if note else ''}{note}")
        bar = f'<progress value="{min(done, total)}" max="{total}" style="width:40%"></progress> <small>{text}</small>'
        if handle is None:
            handle = display(HTML(bar), display_id=True)
        else:
            handle.update(HTML(bar))

    return update
