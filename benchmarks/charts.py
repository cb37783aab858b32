"""Draws figures that grow: a line for each, both axes logarithmic, readable on light and on dark."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from pathlib import Path
from typing import Final

WIDTH: Final = 760
HEIGHT: Final = 420
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 44, 52
APART: Final = 15  # between two labels, so that both can be read

# Told apart by most who see colours differently, on white and on black.
COLOURS: Final = "#3b82c4 #d9822b #3d9a50 #c2477f #8b6fd0 #b8860b #2a9d9d #d0493f #7f8790".split()
STYLE: Final = """
    text { font: 13px system-ui, sans-serif; fill: #333 }
    .title { font-weight: 600; font-size: 15px }
    .grid { stroke: #8884; stroke-width: 1 }
    .line { fill: none; stroke-width: 2.2 }
    @media (prefers-color-scheme: dark) { text { fill: #ddd } }
"""


Lines = Mapping[str, Sequence[tuple[float, float]]]


def draw(path: Path, title: str, lines: Lines, *, x: str) -> None:
    """Write a chart of `lines`, each some points (x, y), all above 0."""
    path.write_text("\n".join(_svg(title, lines, x)) + "\n", encoding="utf-8")


def _svg(title: str, lines: Lines, x_says: str) -> Iterator[str]:
    points = [point for line in lines.values() for point in line]
    xs, ys = _powers([x for x, _ in points]), _powers([y for _, y in points])
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT

    def across(x: float) -> float:
        return LEFT + (right - LEFT) * (log10(x) - xs[0]) / max(xs[-1] - xs[0], 1)

    def up(y: float) -> float:
        return bottom - (bottom - TOP) * (log10(y) - ys[0]) / max(ys[-1] - ys[0], 1)

    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    yield f"<title>{escape(title)}</title><style>{STYLE}</style>"
    yield f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>'
    for power in ys:
        height = up(10.0**power)
        yield f'<path class="grid" d="M{LEFT} {height:.1f}H{right}"/>'
        yield f'<text x="{LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{_spelt(power)}</text>'
    for power in xs:
        at = across(10.0**power)
        yield f'<path class="grid" d="M{at:.1f} {TOP}V{bottom}"/>'
        yield f'<text x="{at:.1f}" y="{bottom + 20}" text-anchor="middle">{_spelt(power)}</text>'
    yield f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_says)}</text>'
    colours = dict(zip(lines, COLOURS, strict=False))
    for name, line in lines.items():
        way = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line)
        yield f'<polyline class="line" stroke="{colours[name]}" points="{way}"/>'
        yield from (
            f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3.2" fill="{colours[name]}"/>' for x, y in line
        )
    for name, beside in _apart({name: up(line[-1][1]) for name, line in lines.items()}).items():
        yield f'<rect x="{right + 10}" y="{beside - 5:.1f}" width="10" height="10" fill="{colours[name]}"/>'
        yield f'<text x="{right + 26}" y="{beside + 4:.1f}">{escape(name)}</text>'
    yield "</svg>"


def _powers(values: Sequence[float]) -> range:
    return range(floor(log10(min(values)) + 1e-9), ceil(log10(max(values)) - 1e-9) + 1)


def _spelt(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:g}"


def _apart(wanted: Mapping[str, float]) -> dict[str, float]:
    """Return where each label goes: beside its line's end, or just below the label above it."""
    places: dict[str, float] = {}
    last = float(TOP - APART)
    for name, at in sorted(wanted.items(), key=lambda item: item[1]):
        last = max(at, last + APART)
        places[name] = last
    return places
