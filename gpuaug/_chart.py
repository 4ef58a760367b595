"""Charts as pictures, without a plotting library: curves, and tables with bars and coloured cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gpuaug._draw import PAPER, Colour, caption, colour, stroke

__all__ = ["chart", "table"]

Points = Sequence[tuple[float, float]]
_GRID: Colour = (225, 225, 225)
_AXIS: Colour = (90, 90, 90)
_ROW = 18
"""Height of a line of text with its margin."""


def _wide(text: str) -> int:
    return 8 * len(text) + 2


def write(picture: Tensor, text: str, left: float, top: float) -> None:
    """Write black text with its upper left corner there, cut where the picture ends."""
    x, y = max(0, round(left)), max(0, round(top))
    strip = caption(text, _wide(text))
    place = picture[:, y : y + strip.shape[1], x : x + strip.shape[2]]
    ink = strip[:, : place.shape[1], : place.shape[2]]
    place.copy_(torch.minimum(place, ink))


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers from a range, about as many as asked for."""
    span = high - low
    if not span > 0:
        return [low]
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    found: list[float] = []
    while (first + len(found)) * step <= high + 1e-9 * span:
        found.append((first + len(found)) * step)
    return found


def _range(values: Sequence[float], given: tuple[float, float] | None) -> tuple[float, float]:
    if given is not None:
        return float(given[0]), float(given[1])
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or max(abs(low) * 0.1, 0.5)
    return low - margin, high + margin


def chart(
    series: Mapping[str, Points],
    *,
    size: tuple[int, int] = (260, 420),
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> Tensor:
    """Draw curves through points, one for each name, with their names beside them.

    Args:
        series: points (x, y) by name; one point alone is a dot, and points that are not finite are left out.
        size: (height, width) of the picture.
        title: written above.
        x_label: written below.
        y_label: written above the axis.
        x_range: (left, right); None is that of the points.
        y_range: (bottom, top); likewise.

    Shape:
        -> uint8 (3, H, W).

    Raises:
        ValueError: where there is no point.

    Example:
        >>> chart({"a": [(0, 1), (1, 3)], "b": [(0, 2), (1, 2)]}, size=(200, 300)).shape
        torch.Size([3, 200, 300])
    """
    lines = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)] for name, points in series.items()
    }
    everything = [point for points in lines.values() for point in points]
    if not everything:
        raise ValueError("chart: series must hold at least one finite point, got none")
    height, width = size
    x_low, x_high = _range([x for x, _ in everything], x_range)
    y_low, y_high = _range([y for _, y in everything], y_range)
    y_ticks, x_ticks = ticks(y_low, y_high), ticks(x_low, x_high)
    left = 10 + max(_wide(f"{y:g}"[:7]) for y in y_ticks)
    right = width - 12 - max(_wide(name) for name in lines) - 14
    top, bottom = 8 + _ROW * (bool(title) + bool(y_label)), height - 8 - _ROW * (1 + bool(x_label))
    picture = torch.full((3, height, width), PAPER, dtype=torch.uint8)

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low or 1)
        up = (y - y_low) / (y_high - y_low or 1)
        return left + across * (right - left), bottom - up * (bottom - top)

    for y in y_ticks:
        _, row = at(x_low, y)
        stroke(picture, (left, row), (right, row), 0.5, _GRID)
        text = f"{y:g}"[:7]
        write(picture, text, left - _wide(text) - 3, row - 7)
    for x in x_ticks:
        column, _ = at(x, y_low)
        stroke(picture, (column, bottom), (column, bottom + 3), 0.5, _AXIS)
        write(picture, f"{x:g}", column - _wide(f"{x:g}") / 2, bottom + 4)
    stroke(picture, (left, bottom), (right, bottom), 0.6, _AXIS)
    stroke(picture, (left, top), (left, bottom), 0.6, _AXIS)
    for number, (name, points) in enumerate(lines.items()):
        ink = colour(number)
        places = [at(x, y) for x, y in points]
        for a, b in itertools.pairwise(places):
            stroke(picture, a, b, 1.1, ink)
        for place in places:
            stroke(picture, place, place, 2.6, ink)
        row = top + 7 + number * _ROW
        stroke(picture, (right + 10, row), (right + 18, row), 2.0, ink)
        write(picture, name, right + 24, row - 7)
    head = 6
    for text in (title, y_label):
        if text:
            write(picture, text, 6, head)
            head += _ROW
    if x_label:
        write(picture, x_label, (left + right - _wide(x_label)) / 2, height - 6 - 14)
    return picture


def _cell(value: float, most: float) -> Colour:
    """Return a colour from white (0) over orange to dark red (most); blue below 0, gray for what is not there."""
    if not math.isfinite(value):
        return (200, 200, 200)
    share = max(-1.0, min(1.0, value / most)) if most > 0 else 0.0
    if share < 0:
        return (round(255 + 185 * share), round(255 + 105 * share), 255)
    return (round(255 - 85 * share), round(255 - 215 * share), round(255 - 235 * min(1.0, 1.3 * share)))


def table(
    rows: Sequence[tuple[str, float, float]],
    cells: Sequence[Sequence[float]],
    columns: Sequence[str],
    *,
    title: str = "",
    most: float = 1.0,
    bar: int = 160,
) -> Tensor:
    """Draw a table: for each row its name, a bar of 0 to 1 with its spread, and a coloured cell for each column.

    Args:
        rows: (name, value, spread).
        cells: numbers by row and column; `most` is the darkest.
        columns: their names, cut to their first letters.
        title: written above.
        most: the number with the darkest colour.
        bar: length of a bar of 1, in pixels.

    Shape:
        -> uint8 (3, H, W).
    """
    names = max(_wide(name) for name, _, _ in rows)
    letters = max((len(str(name)) for name in columns), default=0)
    side = max(20, _wide("9" * min(letters, 4)) + 4)
    start, cell = 8 + names, 8 + names + bar + 74
    width = max(cell + side * len(columns) + 8, _wide(title) + 12)
    top = 8 + _ROW * (1 + bool(title))
    picture = torch.full((3, top + _ROW * len(rows) + 8, width), PAPER, dtype=torch.uint8)
    write(picture, title, 6, 6)
    for k, name in enumerate(columns):
        text = str(name)[:4]
        write(picture, text, cell + k * side + (side - _wide(text)) / 2, top - _ROW)
    for i, ((name, value, spread), values) in enumerate(zip(rows, cells, strict=True)):
        row = top + i * _ROW
        middle = row + _ROW / 2
        write(picture, name, 6, row + 2)
        stroke(picture, (start + bar, row), (start + bar, row + _ROW), 0.5, _GRID)
        stop = start + round(bar * max(0.0, min(1.0, value)))
        picture[:, row + 3 : row + _ROW - 3, start:stop] = torch.tensor(colour(0), dtype=torch.uint8)[:, None, None]
        if spread > 0:
            stroke(picture, (stop - bar * spread, middle), (stop + bar * spread, middle), 1.0, (0, 0, 0))
        write(picture, f"{100 * value:.1f}%", start + bar + 8, row + 2)
        for k, number in enumerate(values):
            left = cell + k * side
            ink = torch.tensor(_cell(number, most), dtype=torch.uint8)[:, None, None]
            picture[:, row + 1 : row + _ROW - 1, left + 1 : left + side - 1] = ink
    return picture
