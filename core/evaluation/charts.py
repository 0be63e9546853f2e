"""Small charts as SVG text: bars with intervals, and curves. Colors come from the page's style sheet.

Every label is escaped here. A chart is a picture beside its table, never the only place of a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 640
ROW = 26
LABEL = 230


@dataclass(frozen=True, slots=True)
class Bar:
    """A value from 0 to ``top`` with its interval."""

    label: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """Points with x and y from 0 to 1."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Horizontal bars on a scale from 0 to 1, or to the largest value when that is above 1."""
    top = max([1.0, *(row.high for row in rows)])
    span = WIDTH - LABEL - 70

    def at(value: float) -> float:
        return round(LABEL + span * max(0.0, value) / top, 1)

    parts = []
    for number, row in enumerate(rows):
        y = number * ROW + 4
        middle = y + (ROW - 8) / 2
        parts.append(
            f'<text class="label" x="{LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(_shortened(row.label))}</text>'
            f'<rect class="track" x="{LABEL}" y="{y}" width="{span}" height="{ROW - 8}"/>'
            f'<rect class="bar" x="{LABEL}" y="{y}" width="{round(at(row.value) - LABEL, 1)}" height="{ROW - 8}"/>'
            f'<path class="interval" d="M{at(row.low)} {middle}H{at(row.high)}M{at(row.low)} {middle - 4}v8M{at(row.high)} {middle - 4}v8"/>'
            f'<text class="value" x="{WIDTH - 4}" y="{middle + 4}" text-anchor="end">{row.value:.3f}</text>'
        )
    return _svg(title, len(rows) * ROW + 4, "".join(parts))


def lines(title: str, rows: Sequence[Line], x_label: str, y_label: str) -> str:
    """Curves in the unit square, with a legend; x runs from 0 to 1, y from 0 to the highest point."""
    left, right, upper, height = 56, 12, 12, 220
    legend = 20 * len(rows)
    top = max([0.1, *(y for row in rows for y in row.y)])
    across, down = WIDTH - left - right, height - upper

    def place(x: float, y: float) -> str:
        return f"{left + across * x:.1f},{upper + down * (1 - y / top):.1f}"

    parts = []
    for tick in range(5):
        share = tick / 4
        x, y = left + across * share, upper + down * (1 - share)
        parts.append(
            f'<path class="grid" d="M{left} {y:.1f}H{WIDTH - right}"/>'
            f'<text class="tick" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{top * share:.2f}</text>'
            f'<text class="tick" x="{x:.1f}" y="{height + 16}" text-anchor="middle">{share:.2f}</text>'
        )
    parts.append(
        f'<text class="label" x="{left + across / 2:.1f}" y="{height + 34}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text class="label" x="14" y="{upper + down / 2:.1f}" text-anchor="middle" transform="rotate(-90 14 {upper + down / 2:.1f})">{escape(y_label)}</text>'
    )
    for number, row in enumerate(rows):
        kind = f"line line{number % 4}"
        points = " ".join(place(x, y) for x, y in _thinned(row))
        y = height + 54 + 20 * number
        parts.append(
            f'<polyline class="{kind}" points="{points}"/>'
            f'<path class="{kind}" d="M{left} {y - 4}h24"/><text class="label" x="{left + 32}" y="{y}">{escape(row.label)}</text>'
        )
    return _svg(title, height + 46 + legend, "".join(parts))


def _thinned(row: Line, most: int = 200) -> list[tuple[float, float]]:
    """No more points than the eye can tell apart, the last one among them."""
    step = max(1, len(row.x) // most)
    points = list(zip(row.x, row.y, strict=True))
    return points[::step] if not points or points[::step][-1] == points[-1] else [*points[::step], points[-1]]


def _shortened(text: str, most: int = 36) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _svg(title: str, height: float, body: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )
