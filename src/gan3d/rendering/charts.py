"""Charts as inline SVG: values with intervals beside those of real shapes, and histograms.

matplotlib's SVG of the same charts is five times as large and a hundred times as slow (docs/architecture.md).
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# variables of the stylesheet, so that charts follow light and dark
GENERATED, REAL, GRID, INK, FAINT = (f"var(--{name})" for name in ("generated", "real", "line", "ink", "faint"))
FONT = 'font-family="system-ui, sans-serif" font-size="12.5"'


@dataclass(frozen=True)
class Mark:
    """One row of `intervals`: a value and half its interval, and those of real shapes; None is not drawn."""

    name: str
    value: float | None
    error: float | None
    real: float | None = None
    real_error: float | None = None


def intervals(marks: Sequence[Mark], low: float, high: float, ideal: float | None = None, label: str = "") -> str:
    """Values with intervals, one row each, with those of real shapes below, in blue.

    Args:
        marks: the rows.
        low: start of the axis.
        high: end of the axis.
        ideal: best value, marked by a line.
        label: of the axis.
    """
    left, width, row, top = 150, 560, 30, 8
    bottom = top + row * len(marks)

    def x(value: float) -> float:
        return left + width * (min(max(value, low), high) - low) / (high - low)

    parts = _ticks(low, high, x, top, bottom)
    if ideal is not None:
        parts.append(f'<line x1="{x(ideal):.1f}" x2="{x(ideal):.1f}" y1="{top}" y2="{bottom}" stroke="{FAINT}"/>')
    for i, mark in enumerate(marks):
        y = top + row * (i + 0.5)
        parts.append(f'<text x="{left - 12}" y="{y + 4:.1f}" text-anchor="end">{html.escape(mark.name)}</text>')
        for value, error, color, shift in (
            (mark.real, mark.real_error, REAL, 5),
            (mark.value, mark.error, GENERATED, -5),
        ):
            if value is not None:
                parts.append(_dot(x, value, error or 0.0, y + shift, color))
    parts.append(f'<text x="{left + width}" y="{bottom + 38}" text-anchor="end" fill="{FAINT}">{label}</text>')
    parts.append(_legend(left, bottom + 38, (("generated", GENERATED), ("real training shapes", REAL))))
    return svg(left + width + 24, bottom + 46, parts, f"{label} with 95 % intervals of {len(marks)} classes")


def histogram(
    generated: np.ndarray,
    real: np.ndarray,
    title: str,
    bins: int = 24,
    high: float | None = None,
    percent: bool = False,
) -> str:
    """Two overlaid histograms of non-negative numbers, as shares of each set, with dashed medians.

    Args:
        generated: values of generated shapes.
        real: values of real shapes.
        title: above the chart.
        bins: number of bins.
        high: end of the axis, by default the 98th percentile of both sets; greater values fall into the last bin.
        percent: label the axis in percent.
    """
    left, width, height, top = 14, 264, 110, 26
    values = np.concatenate([generated, real])
    if high is None:
        high = float(np.quantile(values, 0.98)) * 1.05 if len(values) else 1.0
    edges = np.linspace(0.0, high if high > 0 else 1.0, bins + 1)
    shares = [
        np.histogram(np.minimum(shapes, edges[-1]), edges)[0] / max(len(shapes), 1) for shapes in (real, generated)
    ]
    tallest = max(float(np.max(shares)), 1e-9)

    def x(value: float) -> float:
        return left + width * (value - edges[0]) / (edges[-1] - edges[0])

    bottom = top + height
    parts = [f'<text x="{left}" y="15" font-weight="600">{html.escape(title)}</text>']
    parts += _ticks(float(edges[0]), float(edges[-1]), x, top, bottom, percent)
    for share, color in zip(shares, (REAL, GENERATED), strict=True):
        points = [(x(edges[0]), float(bottom))]
        for start, end, value in zip(edges[:-1], edges[1:], share, strict=True):
            y = bottom - height * value / tallest
            points += [(x(start), y), (x(end), y)]
        points.append((x(edges[-1]), float(bottom)))
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline points="{path}" fill="{color}" fill-opacity="0.22" stroke="{color}"/>')
    for shapes, color in ((real, REAL), (generated, GENERATED)):
        if len(shapes):
            at = x(min(float(np.median(shapes)), edges[-1]))
            parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{bottom}" stroke="{color}"{_DASHED}/>')
    parts.append(_legend(left, bottom + 36, (("generated", GENERATED), ("real, held out", REAL))))
    return svg(left + width + 26, bottom + 44, parts, f"histograms of {title}")


_DASHED = ' stroke-dasharray="3 3"'


def _dot(x, value: float, error: float, y: float, color: str) -> str:  # type: ignore[no-untyped-def]
    bar = f'<line x1="{x(value - error):.1f}" x2="{x(value + error):.1f}" y1="{y}" y2="{y}" stroke-width="2"'
    return f'{bar} stroke="{color}"/><circle cx="{x(value):.1f}" cy="{y}" r="4" fill="{color}"/>'


def _ticks(low: float, high: float, x, top: float, bottom: float, percent: bool = False, count: int = 4) -> list[str]:  # type: ignore[no-untyped-def]
    """Light vertical lines at round numbers, labelled below."""
    parts = []
    values, digits = round_numbers(low, high, count)
    for value in values:
        at = f"{x(value):.1f}"
        text = f"{abs(value):.{max(0, digits - 2)}%}" if percent else f"{value + 0.0:.{digits}f}"
        parts.append(f'<line x1="{at}" x2="{at}" y1="{top}" y2="{bottom}" stroke="{GRID}"/>')
        parts.append(f'<text x="{at}" y="{bottom + 16}" text-anchor="middle" fill="{FAINT}">{text}</text>')
    return parts


def round_numbers(low: float, high: float, count: int = 4) -> tuple[np.ndarray, int]:
    """About `count` round numbers between two others, and the decimal places that they need."""
    rough = (high - low) / count
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough)
    digits = max(0, int(np.ceil(-np.log10(step))) + (1 if round(step / power, 1) == 2.5 else 0))
    return np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step, digits


def _legend(left: float, y: float, entries: Sequence[tuple[str, str]]) -> str:
    parts, at = [], left
    for name, color in entries:
        parts.append(
            f'<circle cx="{at + 4}" cy="{y - 4}" r="4" fill="{color}"/><text x="{at + 13}" y="{y}">{name}</text>'
        )
        at += 34 + 6.6 * len(name)
    return "".join(parts)


def svg(width: float, height: float, parts: Sequence[str], name: str) -> str:
    """A picture of these parts; `name` is what a screen reader says."""
    head = f'<svg width="{width:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'{head} {FONT} fill="{INK}" role="img" aria-label="{html.escape(name)}">{"".join(parts)}</svg>'
