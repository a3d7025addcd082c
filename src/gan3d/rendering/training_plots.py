"""Plots of a training run: losses, and the discriminator's accuracy and scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from gan3d.outputs import new_file
from gan3d.rendering.plots import smooth
from gan3d.rendering.voxels import class_color

LOSSES = {"loss_g": "generator", "loss_d": "discriminator", "penalty": "gradient penalty"}
ACCURACIES = {"accuracy_real": "real shapes", "accuracy_fake": "generated shapes"}
SCORES = {"score_real": "real shapes", "score_fake": "generated shapes"}

Rows = Sequence[Mapping[str, Any]]


def loss_curves(rows: Rows, path: str | Path, title: str = "") -> Path:
    """Plot the losses over images seen into a PNG.

    Args:
        rows: one per logged step, in order: `images`, and any of `loss_g`, `loss_d`, `penalty`, `alpha`. Values that
            are missing or None are skipped, values that are not finite leave a gap. Where alpha is below 1, the
            background is shaded.
        path: of the PNG.
        title: above the plot.
    """
    return _plot(rows, path, title, [(LOSSES, "loss")])


def accuracy_curves(rows: Rows, path: str | Path, title: str = "") -> Path:
    """Plot the discriminator's accuracy and, if logged, its scores over images seen into a PNG.

    Args:
        rows: like those of `loss_curves`, with any of `accuracy_real`, `accuracy_fake`, `score_real`, `score_fake`.
        path: of the PNG.
        title: above the plot.
    """
    panels = [(ACCURACIES, "discriminator accuracy"), (SCORES, "discriminator score")]
    return _plot(rows, path, title, [panel for panel in panels if panel[0] is ACCURACIES or _has(rows, panel[0])])


def training_curves(rows: Rows, folder: str | Path, title: str = "") -> list[Path]:
    """Write `loss.png` and `accuracy.png` into a folder, see `loss_curves` and `accuracy_curves`."""
    folder = Path(folder)
    return [loss_curves(rows, folder / "loss.png", title), accuracy_curves(rows, folder / "accuracy.png", title)]


def _plot(rows: Rows, path: str | Path, title: str, panels: Sequence[tuple[Mapping[str, str], str]]) -> Path:
    """Stack panels over one axis of images; needs no display and no global state of pyplot."""
    path = Path(path)
    figure = Figure(figsize=(8, 0.6 + 3.2 * len(panels)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axis, (names, label) in zip(axes, panels, strict=True):
        _panel(axis, rows, names, label)
    axes[0].set_title(title, loc="left", fontsize=12)
    axes[-1].set_xlabel("images seen")
    with new_file(path) as temporary:
        figure.savefig(temporary, format="png")
    return path


def _panel(axis: Axes, rows: Rows, names: Mapping[str, str], label: str) -> None:
    for number, (key, name) in enumerate(names.items()):
        logged = [row for row in rows if row.get(key) is not None]  # a lazy penalty is not computed at every step
        images, values = _column(logged, "images"), _column(logged, key)
        if not np.isfinite(values).any():
            continue
        color = tuple(part / 255 for part in class_color(number))
        axis.plot(images, values, color=color, alpha=0.28, linewidth=0.8)
        axis.plot(images, smooth(values), color=color, linewidth=1.9, label=name)
    if names is ACCURACIES:
        axis.set_ylim(-0.03, 1.03)
        axis.axhline(0.5, color="0.6", linewidth=0.8, linestyle=":")
    for number, (start, stop) in enumerate(fading(rows)):
        axis.axvspan(start, stop, color="0.5", alpha=0.1, linewidth=0, label=None if number else "fade-in")
    axis.set_ylabel(label)
    axis.grid(color="0.92", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    else:
        axis.text(0.5, 0.5, "nothing logged", transform=axis.transAxes, ha="center", color="0.5")


def fading(rows: Rows) -> list[tuple[float, float]]:
    """The ranges of images in which alpha was below 1."""
    alpha, images = _column(rows, "alpha"), _column(rows, "images")
    ranges: list[tuple[float, float]] = []
    open_since = None
    for now, value in zip(images, alpha, strict=True):
        if value < 1 and open_since is None:
            open_since = float(now)
        elif not value < 1 and open_since is not None:
            ranges.append((open_since, float(now)))
            open_since = None
    return ranges if open_since is None else [*ranges, (open_since, float(images[-1]))]


def _column(rows: Rows, key: str) -> np.ndarray:
    """One float per row; NaN where the value is missing."""
    values = [row.get(key) for row in rows]
    return np.array([np.nan if value is None or not np.isfinite(value) else value for value in values], float)


def _has(rows: Rows, names: Mapping[str, str]) -> bool:
    return any(np.isfinite(_column(rows, key)).any() for key in names)
