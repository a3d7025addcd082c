"""Plots of measured values as inline SVG: curves over images, points, bars; the page's stylesheet colours them.

A page of ten plots takes 100 kB; Plotly's script alone would take 4.8 MB, and a fifth of a second to start.
"""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gan3d.rendering.charts import FAINT, GRID, round_numbers, svg

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 30, 46
COLORS = 8  # that the stylesheet has
MAX_POINTS = 240  # of a curve: two per three pixels


@dataclass(frozen=True, eq=False)
class Series:
    """Values of one thing.

    Attributes:
        name: of the thing; also what a point says when it is pointed at.
        x: (N,).
        y: (N,); what is not finite is left out.
        color: number of its color.
        lines: join the points; otherwise each is a dot.
        faint: draw it thin, such as the single trials behind the best ones.
        names: of the points.
    """

    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    color: int = 0
    lines: bool = True
    faint: bool = False
    names: Sequence[str] = ()


def color_of(number: int) -> str:
    """The CSS color of a series."""
    return f"var(--series-{number % COLORS})"


def plot(
    series: Sequence[Series],
    title: str,
    x_label: str = "images",
    log_x: bool = False,
    low: float | None = None,
    high: float | None = None,
    ideal: float | None = None,
) -> str:
    """Series over each other.

    Args:
        title: above the plot, and its name for screen readers.
        x_label: below the axis.
        log_x: whether the horizontal axis is logarithmic.
        low: start of the vertical axis; by default of the values.
        high: its end.
        ideal: value to mark with a line.
    """
    drawn = [(each, *_finite(each, log_x)) for each in series]
    xs = np.concatenate([x for _, x, _ in drawn] or [np.zeros(0)])
    ys = np.concatenate([y for _, _, y in drawn] or [np.zeros(0)])
    head = f'<text x="{LEFT}" y="17" font-weight="600">{html.escape(title)}</text>'
    if not len(xs):
        empty = f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle" fill="{FAINT}">nothing logged</text>'
        return svg(WIDTH, HEIGHT, [head, empty], f"{title}: nothing logged")
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    to_x = _scale(*_range(xs, pad=0.0 if any(each.lines for each in series) else 0.04), LEFT, right)
    vertical = _range(ys if ideal is None else np.append(ys, ideal), pad=0.05)
    start, end = (vertical[0] if low is None else low, vertical[1] if high is None else high)
    to_y = _scale(start, end, bottom, TOP)
    listed = len(np.unique(xs)) <= 5 and not any(each.lines for each in series)  # such as batch sizes
    parts = [head, *_vertical_axis(start, end, to_y, right), *_horizontal_axis(xs, to_x, bottom, log_x, listed)]
    parts.append(f'<text x="{right}" y="{HEIGHT - 8}" text-anchor="end" fill="{FAINT}">{html.escape(x_label)}</text>')
    if ideal is not None:
        at = to_y(ideal)
        parts.append(
            f'<line x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" stroke="{FAINT}" stroke-dasharray="4 4"/>'
        )
    for each, x, y in drawn:
        parts.append(_curve(each, to_x, to_y, x, y) if each.lines else _dots(each, to_x, to_y, log_x))
    return svg(WIDTH, HEIGHT, parts, f"{title} over {x_label}: {', '.join(dict.fromkeys(s.name for s in series))}")


def bars(values: Sequence[tuple[str, float]], title: str) -> str:
    """Shares as horizontal bars, from 0 to the largest."""
    left, row = 120, 30
    height = TOP + row * len(values) + 10
    most = max([value for _, value in values], default=0.0) or 1.0
    parts = [f'<text x="14" y="17" font-weight="600">{html.escape(title)}</text>']
    for number, (name, value) in enumerate(values):
        y, width = TOP + row * number, (WIDTH - left - 60) * value / most
        parts.append(f'<text x="{left - 10}" y="{y + 18}" text-anchor="end">{html.escape(name)}</text>')
        parts.append(f'<rect x="{left}" y="{y + 5}" width="{width:.1f}" height="18" fill="{color_of(0)}"/>')
        parts.append(f'<text x="{left + width + 8:.1f}" y="{y + 18}">{value:.2f}</text>')
    spoken = ", ".join(f"{name} {value:.2f}" for name, value in values)
    return svg(WIDTH, height, parts, f"{title}: {spoken}")


def smooth(values: np.ndarray, share: float = 0.04) -> np.ndarray:
    """Centred moving average over a share of all points, (T,); gaps stay as they are and do not spread."""
    reach = int(len(values) * share / 2)
    known = np.isfinite(values)
    kernel = np.ones(2 * reach + 1)
    total = np.convolve(np.pad(np.where(known, values, 0.0), reach), kernel, "valid")
    count = np.convolve(np.pad(known.astype(float), reach), kernel, "valid")
    return np.where(known, total / np.maximum(count, 1), np.nan)


def _finite(series: Series, log_x: bool) -> tuple[np.ndarray, np.ndarray]:
    """Places of the points that can be drawn; on a logarithmic axis, their logarithms."""
    x, y = np.asarray(series.x, float), np.asarray(series.y, float)
    known = np.isfinite(x) & np.isfinite(y) & ((x > 0) | (not log_x))
    return (np.log10(x[known]) if log_x else x[known]), y[known]


def _range(values: np.ndarray, pad: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-12:
        low, high = low - (abs(low) * 0.1 or 1.0), high + (abs(high) * 0.1 or 1.0)
    return low - pad * (high - low), high + pad * (high - low)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (end - start) * (min(max(value, low), high) - low) / (high - low)


def _vertical_axis(low: float, high: float, to_y: Callable[[float], float], right: float) -> list[str]:
    parts, (values, digits) = [], round_numbers(low, high)
    for value in values:
        y = to_y(value)
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
        text = f"{value + 0.0:.{digits}f}"
        parts.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end" fill="{FAINT}">{text}</text>')
    return parts


def _horizontal_axis(
    xs: np.ndarray, to_x: Callable[[float], float], bottom: float, log: bool, listed: bool
) -> list[str]:
    low, high = _range(xs, 0.0)
    if listed:
        values = [(float(at), _short(10.0 ** float(at) if log else float(at))) for at in np.unique(xs)]
    elif log:
        powers = range(math.floor(low), math.ceil(high) + 1)
        candidates = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        values = [(math.log10(value), f"{value:g}") for value in candidates if low <= math.log10(value) <= high]
    else:
        values = [(float(value), _short(float(value) + 0.0)) for value in round_numbers(low, high, 5)[0]]
    return [
        f'<line x1="{to_x(at):.1f}" x2="{to_x(at):.1f}" y1="{bottom}" y2="{bottom + 4}" stroke="{FAINT}"/>'
        f'<text x="{to_x(at):.1f}" y="{bottom + 18}" text-anchor="middle" fill="{FAINT}">{text}</text>'
        for at, text in values
    ]


def _short(value: float) -> str:
    return f"{value / 1000:.4g}k" if abs(value) >= 1000 else f"{value:.4g}"


def _curve(
    series: Series, to_x: Callable[[float], float], to_y: Callable[[float], float], x: np.ndarray, y: np.ndarray
) -> str:
    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).round().astype(int))
    points = " ".join(f"{to_x(x[i]):.1f},{to_y(y[i]):.1f}" for i in chosen)
    style = 'stroke-width="1" stroke-opacity=".35"' if series.faint else 'stroke-width="2"'
    return (
        f'<polyline points="{points}" fill="none" stroke="{color_of(series.color)}" {style}>'
        f"<title>{html.escape(series.name)}</title></polyline>"
    )


def _dots(series: Series, to_x: Callable[[float], float], to_y: Callable[[float], float], log_x: bool) -> str:
    parts = []
    for i, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
        if not (math.isfinite(x) and math.isfinite(y)) or (log_x and x <= 0):
            continue
        at = math.log10(x) if log_x else x
        name = html.escape(series.names[i] if series.names else series.name)
        parts.append(
            f'<circle cx="{to_x(at):.1f}" cy="{to_y(y):.1f}" r="4" fill="{color_of(series.color)}"'
            f' fill-opacity="{0.45 if series.faint else 1}"><title>{name}</title></circle>'
        )
    return "".join(parts)
