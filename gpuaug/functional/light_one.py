"""Light and weather on one sample (1, C, H, W) on the CPU: the same results with numbers of the host, in less time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gpuaug.functional._door import store
from gpuaug.functional.light import laid, order_of

__all__ = [
    "cast_shadows_one",
    "crease_one",
    "level_rain",
    "level_shade",
    "rain_one",
    "shade_by_map_one",
    "shade_one",
    "sun_flare_one",
    "write_rain",
    "write_shade",
    "write_shade_by_map",
]


def _powers(terms: list[float], at: Any) -> Any:
    """Return a polynomial of one variable: of few values, an array."""
    if len(terms) == 1:
        return np.full(at.shape, terms[0], at.dtype)
    total = at * terms[-1]
    for term in reversed(terms[1:-1]):
        total += term
        total *= at
    total += terms[0]
    return total


def _gain(
    image: Tensor, frame: Tensor, coefficients: Tensor, amount: Tensor, profile: str, work: torch.dtype
) -> Tensor:
    """Return the gain (H, W), or (H, 1); a sum of polynomials of u and v is made of a row and a column."""
    x, y, sx, sy = frame[0].tolist()
    terms: list[float] = coefficients[0].tolist()
    a, b = amount[0].tolist()
    h, w = image.shape[2:]
    order = order_of(len(terms))
    starts = [i * (order + 1) - i * (i - 1) // 2 for i in range(order + 1)]
    rows = [terms[start : start + order + 1 - i] for i, start in enumerate(starts)]
    # Small arrays: NumPy handles them in a fraction of torch's time.
    number: Any = np.float64 if work == torch.float64 else np.float32
    u = (np.arange(w, dtype=number) - number(x)) * number(sx)
    v = (np.arange(h, dtype=number)[:, None] - number(y)) * number(sy)
    mixed = any(value != 0 for row in rows[1:] for value in row[1:])
    if mixed:
        across = torch.from_numpy(u)
        q = torch.full((h, w), terms[-1], dtype=work)
        for row in reversed(rows[:-1]):
            q.mul_(across).add_(torch.from_numpy(_powers(row, v)))
    else:
        line, column = _powers([0.0, *(row[0] for row in rows[1:])], u), _powers(rows[0], v)
        if profile == "identity":
            line, column = line * number(b), column * number(b) + number(a)
        elif profile == "exp":
            line, column = np.exp(line) * number(b), np.exp(column)
        across, down = torch.from_numpy(line), torch.from_numpy(column)
        if profile == "identity":
            return across + down
        if profile == "exp":
            return (across * down).add_(a)
        # Bands along the rows: one number for each.
        q = down if profile == "sine" and not line.any() else across + down
    if profile in ("root", "exp_root"):
        q.clamp_(min=1e-12).sqrt_()
    if profile in ("exp", "exp_root"):
        q = (q if profile == "exp" else q.neg_()).exp_()
    elif profile == "sigmoid":
        q.sigmoid_()
    elif profile == "sine":
        q.sub_(q.floor()).mul_(2 * math.pi).sin_()
    return q.mul_(b).add_(a)


def _color(color: tuple[float, ...], work: torch.dtype) -> Tensor:
    return torch.tensor(color, dtype=work).view(-1, 1, 1)


def _through(
    out: Tensor, image: Tensor, gain: Tensor, color: tuple[float, ...] | None, unit: float, clip: bool
) -> None:
    """Write image * gain + (1 - gain) * color."""
    if image.dtype != out.dtype:  # in the product itself torch would do so far more slowly
        out.copy_(image)
        image = out
    if color is not None:
        haze = (1 - gain) * _color(color, gain.dtype)
        torch.addcmul(haze, image, gain.div_(unit) if unit != 1 else gain, out=out)
    else:
        torch.mul(image, gain.div_(unit) if unit != 1 else gain, out=out)
    if clip:
        out.clamp_(0, 1)


def write_shade(
    out: Tensor, image: Tensor, unit: float, frame: Tensor, coefficients: Tensor, amount: Tensor, *,
    profile: str, color: tuple[float, ...] | None, clip: bool,
) -> None:  # fmt: skip
    """Write what `shade` gives, of an image in units of its own, where white is `unit`."""
    gain = _gain(image, frame, coefficients, amount, profile, out.dtype)
    _through(out, image, gain, color, unit, clip)


def level_shade(
    out: Tensor, image: Tensor, frame: Tensor, coefficients: Tensor, amount: Tensor, *,
    profile: str, color: tuple[float, ...] | None, clip: bool,
) -> None:  # fmt: skip
    """Write what `shade` gives of an image of 8 bits, rounded."""
    values = torch.empty_like(image, dtype=torch.float32)
    gain = _gain(image, frame, coefficients, amount, profile, torch.float32)
    _through(values, image, gain, None if color is None else tuple(255 * one for one in color), 1.0, False)
    store(out, values.clamp_(0, 255).round_())


def shade_one(image: Tensor, *operands: Tensor, **static: Any) -> Tensor:
    """Return what `shade` gives."""
    out = torch.empty_like(image)
    write_shade(out, image, 1.0, *operands, **static)
    return out


def write_shade_by_map(
    out: Tensor, image: Tensor, unit: float, field: Tensor, *, mode: str, color: tuple[float, ...] | None
) -> None:
    """Write what `shade_by_map` gives, of an image in units of its own, where white is `unit`."""
    by = laid(field, out[:, 0])[0]
    if mode == "add":
        if image.dtype != out.dtype:
            out.copy_(image)
            image = out
        torch.add(by, image, alpha=1 / unit, out=out).clamp_(0, 1)
    elif mode == "gain":
        _through(out, image, by, None, unit, True)
    else:
        _through(out, image, by.neg_().add_(1), color or (1.0,), unit, True)


def shade_by_map_one(image: Tensor, field: Tensor, **static: Any) -> Tensor:
    """Return what `shade_by_map` gives."""
    out = torch.empty_like(image)
    write_shade_by_map(out, image, 1.0, field, **static)
    return out


def cast_shadows_one(image: Tensor, corners: Tensor, intensity: Tensor) -> Tensor:
    """Return what `cast_shadows` gives: each polygon within its own rectangle."""
    out = image.clone()
    h, w = image.shape[2:]
    for polygon, dark in zip(corners[0].tolist(), intensity[0].tolist(), strict=True):
        xs, ys = zip(*polygon, strict=True)
        x0, x1 = max(math.floor(min(xs)), 0), min(math.ceil(max(xs)) + 1, w)
        y0, y1 = max(math.floor(min(ys)), 0), min(math.ceil(max(ys)) + 1, h)
        if dark == 0 or x1 <= x0 or y1 <= y0:
            continue
        x = torch.arange(x0, x1, dtype=image.dtype)
        y = torch.arange(y0, y1, dtype=image.dtype)[:, None]
        inside = torch.zeros((y1 - y0, x1 - x0), dtype=torch.bool)
        for (ax, ay), (bx, by) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
            if ay == by:
                continue
            low, high = (ay, by) if ay < by else (by, ay)
            first, last = max(math.ceil(low), y0) - y0, min(math.ceil(high), y1) - y0
            if last <= first:
                continue
            reach = (y[first:last] - ay) * (bx - ax)
            left = ((x - ax) * (by - ay) < reach) if by > ay else ((x - ax) * (by - ay) >= reach)
            inside[first:last].logical_xor_(left)
        out[:, :, y0:y1, x0:x1].mul_(1 - inside.to(image.dtype) * dark)
    return out.clamp_(0, 1)


def crease_one(image: Tensor, lines: Tensor, strength: Tensor) -> Tensor:
    """Return what `crease` gives, of the creases that there are."""
    h, w = image.shape[2:]
    gain, worn = (torch.full((h, w), start, dtype=image.dtype) for start in (1.0, 0.0))
    x, y = torch.arange(w, dtype=image.dtype), torch.arange(h, dtype=image.dtype)[:, None]
    for (nx, ny, offset, width), (ridge, tilt, wear) in zip(lines[0].tolist(), strength[0].tolist(), strict=True):
        if ridge == tilt == wear == 0:
            continue
        t = (x * (nx / width)) + (y * ny - offset).div_(width)
        bell = torch.exp((t * t).mul_(-0.5))
        if wear != 0:
            worn.add_(bell.pow(8), alpha=wear)
        gain.add_(bell.mul_(t), alpha=ridge * math.exp(0.5))
        gain.add_(t.mul_(0.5).tanh_(), alpha=tilt)
    worn.clamp_(max=1)
    return torch.addcmul(worn, image * gain, 1 - worn).clamp_(0, 1)


def _streaks(drops: Tensor, frame: Tensor, h: int, w: int, width: float, blur: float, work: torch.dtype) -> Any:
    """Return how much of streaks there is (h, w), up to 1: each streak only where it falls."""
    cell_w, cell_h, shear, length = frame[0].tolist()
    spread, left = abs(shear) * (h - 1), max(shear * (h - 1), 0.0)
    rows, count = drops.shape[2], min(int((w + spread) / cell_w) + 2, drops.shape[3])  # farther right none is seen
    cells = drops[0, :, :, :count].to(work).numpy()  # thousands of numbers: NumPy takes a third of torch's time
    at = np.flatnonzero(cells[..., 0] >= 0)
    cell = cells.reshape(-1, 2)[at]
    top = (cell[:, 1] + (at // count % rows - 1).astype(cell.dtype)) * cell_h
    side = (cell[:, 0] + (at % count).astype(cell.dtype)) * cell_w - left
    # Of the drops that there are those remain that reach into the image, where they begin or where they end.
    long, half = length + blur, 0.5 * (width + blur)
    low, high = min(0.0, shear * long) - half, max(0.0, shear * long) + half
    begun = side + shear * top
    seen = np.flatnonzero((top < h) & (top > -long) & (begun + high > -1) & (begun + low < w))
    top, side = top[seen, None], side[seen, None]
    y = np.floor(top) + np.arange(math.ceil(long) + 2, dtype=cell.dtype)
    ends = np.minimum(y - top, top + long - y).clip(0, min(blur, length)) * (1 / (blur * blur))
    ends *= (y >= 0) & (y < h)
    # Where the streak's middle is in each row, and how far the columns that it covers are from it.
    middle, across = side + y * shear, math.ceil(width + blur)
    first = np.floor(middle - half) + 1
    away = (middle - first) - np.arange(across, dtype=cell.dtype)[:, None, None]
    share = (half - np.abs(away, out=away)).clip(0, min(width, blur)) * ends
    # A margin takes what falls beside the image.
    room = w + 2 * across
    start = (y.clip(0, h - 1) * room + (first.clip(-across, w) + across)).astype(np.intp)
    place = start + np.arange(across)[:, None, None]
    total = np.bincount(place.ravel(), share.ravel(), h * room).reshape(h, room)[:, across : across + w]
    streaks = total.astype(cell.dtype)
    return np.minimum(streaks, 1, out=streaks)


def write_rain(
    out: Tensor, image: Tensor, unit: float, drops: Tensor, frame: Tensor, *,
    width: float, blur: float, color: tuple[float, ...], brightness: float,
) -> None:  # fmt: skip
    """Write what `rain` gives, of an image in units of its own."""
    h, w = image.shape[2:]
    streaks = torch.from_numpy(_streaks(drops, frame, h, w, width, blur, out.dtype))
    added = streaks * (color[0] if len(color) == 1 else _color(color, out.dtype))
    torch.add(added, image.to(out.dtype), alpha=1 / unit, out=out).clamp_(0, 1)
    if brightness != 1:
        out.mul_(brightness)


def level_rain(
    out: Tensor, image: Tensor, drops: Tensor, frame: Tensor, *,
    width: float, blur: float, color: tuple[float, ...], brightness: float,
) -> None:  # fmt: skip
    """Write what `rain` gives of 8 bits as 8 bits."""
    if brightness != 1 or min(color) < 0:
        wet = torch.empty(image.shape)
        write_rain(wet, image, 255, drops, frame, width=width, blur=blur, color=color, brightness=brightness)
        store(out, wet.clamp_(0, 1).mul_(255).round_())
        return
    h, w = image.shape[2:]
    streaks = _streaks(drops, frame, h, w, width, blur, torch.float32)
    colors = np.array(color, dtype=streaks.dtype).reshape(-1, 1, 1)
    # Whole levels stay whole: only what is added to them is rounded.
    added = np.rint(np.minimum(streaks * (colors * 255), 255)).astype(np.uint8)
    levels = image.numpy()
    np.add(levels, np.minimum(added, 255 - levels), out=out.numpy())


def rain_one(image: Tensor, drops: Tensor, frame: Tensor, **static: Any) -> Tensor:
    """Return what `rain` gives."""
    out = torch.empty_like(image)
    write_rain(out, image, 1.0, drops, frame, **static)
    return out


def sun_flare_one(
    image: Tensor, circles: Tensor, colors: Tensor, center: Tensor, through: Tensor, *,
    radius: float, color: tuple[float, ...],
) -> Tensor:  # fmt: skip
    """Return what `sun_flare` gives: each circle within its own square."""
    out = image.clone()
    h, w = image.shape[2:]
    x, y = torch.arange(w, dtype=image.dtype), torch.arange(h, dtype=image.dtype)[:, None]
    for (cx, cy, r, opacity), shade in zip(circles[0].tolist(), colors[0], strict=True):
        x0, x1 = max(math.floor(cx - r), 0), min(math.ceil(cx + r) + 1, w)
        y0, y1 = max(math.floor(cy - r), 0), min(math.ceil(cy + r) + 1, h)
        if opacity == 0 or x1 <= x0 or y1 <= y0:
            continue
        share = ((x[x0:x1] - cx) ** 2 + (y[y0:y1] - cy) ** 2 <= r * r).to(image.dtype).mul_(opacity)
        part = out[0, :, y0:y1, x0:x1]
        part.add_((shade.to(image.dtype).view(-1, 1, 1) - part).mul_(share))
    cx, cy = center[0].tolist()
    steps = through.shape[1] - 1
    at = ((x - cx) ** 2 + (y - cy) ** 2).sqrt_().sub_(1).mul_(steps / (radius - 1)).clamp_(0, steps)
    first = at.to(torch.int64).clamp_(max=steps - 1).flatten()
    table = through[0].to(image.dtype)
    rise = table.diff()
    clear = table.take(first).addcmul_(rise.take(first), at.flatten() - first).view(h, w)
    sun = (1 - clear) * _color(color, image.dtype)
    return torch.addcmul(sun, out, clear).clamp_(0, 1)
