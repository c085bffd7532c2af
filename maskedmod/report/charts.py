"""Line charts as inline SVG: colours come from the page's CSS variables, so that dark mode needs nothing more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 14, 56


@dataclass
class Line:
    """One curve: ``colour`` names a CSS variable without its dashes; ``kind``: line, faint, dashed or dots."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str = "c1"
    kind: str = "line"


def chart(lines: Sequence[Line], label: str, x_label: str = "step", floor: float | None = None, settle: float = 0.0) -> str:
    """SVG of the curves with axes and a legend above; empty text when there is nothing to show. The y axis is logarithmic
    where positive values span more than a factor of 20. ``floor``: a value that the axis starts at. ``settle``: share of the
    x axis whose values do not stretch the y axis (the first steps of a loss); curves are cut off there."""
    lines = [_finite(line) for line in lines]
    lines = [line for line in lines if line.y]
    if not lines:
        return ""
    xs = [x for line in lines for x in line.x]
    x0, x1 = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1
    settled = x0 + settle * (x1 - x0)
    late = [y for line in lines for x, y in zip(line.x, line.y, strict=True) if x >= settled]
    low, high, log = _range(late or [y for line in lines for y in line.y], floor)
    clip = "clip-" + "".join(letter if letter.isalnum() else "-" for letter in label)

    def at(x: float, y: float) -> tuple[float, float]:
        share = (math.log(max(y, low) / low) / math.log(high / low)) if log else (y - low) / (high - low)
        return LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)} over {escape(x_label)}">']
    inside = f'<rect x="0" y="{TOP - 4}" width="{WIDTH}" height="{HEIGHT - TOP - BOTTOM + 8}"/>'
    parts.append(f'<defs><clipPath id="{clip}">{inside}</clipPath></defs>')
    for tick in _log_ticks(low, high) if log else _ticks(low, high):
        y = at(x0, tick)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    for tick in _ticks(x0, x1):
        x = at(tick, low)[0]
        anchor = "end" if x > WIDTH - 40 else "middle"  # a label at the right edge would be cut off
        parts.append(f'<text x="{min(x, WIDTH - 2):.1f}" y="{HEIGHT - BOTTOM + 24}" text-anchor="{anchor}">{number(tick)}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(x_label)}</text>')
    drawn = "".join(_curve(line, [at(x, y) for x, y in zip(line.x, line.y, strict=True)]) for line in lines)
    parts.append(f'<g clip-path="url(#{clip})">{drawn}</g></svg>')
    legend = "".join(_key(line) for line in lines) if len(lines) > 1 else ""
    scale = " (logarithmic)" if log else ""
    return f'<figure class="chart"><figcaption><b>{escape(label)}</b>{scale} {legend}</figcaption>{"".join(parts)}</figure>'


def smooth(y: Sequence[float], over: int) -> list[float]:
    """Exponential mean over about ``over`` values, without the pull of the start."""
    keep, total, weight, out = 1 - 1 / max(1, over), 0.0, 0.0, []
    for value in y:
        total, weight = total * keep + value, weight * keep + 1
        out.append(total / weight)
    return out


def thin(x: Sequence[float], y: Sequence[float], most: int = 500) -> tuple[list[float], list[float]]:
    """At most ``most`` points: means of runs of neighbours."""
    size = -(-len(x) // most)
    if size <= 1:
        return list(x), list(y)
    starts = range(0, len(x), size)

    def mean(values: Sequence[float]) -> list[float]:
        return [sum(values[i : i + size]) / len(values[i : i + size]) for i in starts]

    return mean(x), mean(y)


def number(value: float) -> str:
    """Short for axes and tables: 0.25, 1,200, 35k, 2e-5."""
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    if size >= 1e4:
        return f"{value / 1e3:.3g}k"
    if size >= 100 or value == round(value):
        return f"{value:,.0f}"
    if size < 0.01:
        digits, power = f"{value:.2e}".split("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value:.3g}"


def _key(line: Line) -> str:
    return f'<span class="key"><i class="{line.kind}" style="--k:var(--{line.colour})"></i>{escape(line.name)}</span>'


def _curve(line: Line, points: Sequence[tuple[float, float]]) -> str:
    colour = f'style="--k:var(--{line.colour})"'
    dots = "".join(f'<circle class="dot" {colour} cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points)
    if len(points) == 1:
        return dots
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    curve = f'<path class="{"line" if line.kind == "dots" else line.kind}" {colour} d="{path}"/>'
    return curve + (dots if line.kind == "dots" and len(points) <= 60 else "")


def _finite(line: Line) -> Line:
    pairs = [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
    return Line(line.name, [x for x, _ in pairs], [y for _, y in pairs], line.colour, line.kind)


def _range(ys: Sequence[float], floor: float | None) -> tuple[float, float, bool]:
    low, high = min(ys), max(ys)
    if floor is not None:
        low = min(low, floor)
    if low > 0 and high / low > 20:
        return low / 1.1, high * 1.1, True
    span = (high - low) or abs(high) or 1.0
    return (low if low == floor else low - 0.05 * span), high + 0.05 * span, False


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    raw = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= raw)
    first = math.ceil(low / step)
    return [round(i * step, 12) for i in range(first, math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    many = [k * 10.0**p for p in powers for k in (1, 2, 5) if low <= k * 10.0**p <= high]
    few = [tick for tick in many if f"{tick:e}".startswith("1.0")]
    return few if len(few) >= 3 else many
