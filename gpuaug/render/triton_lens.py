"""The operator behind filters that read an image in several places for each pixel, and how each of them calls it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.functional.lens import coarse_size, mean_taps
from gpuaug.render.launch import block, on_device, register, tiling
from gpuaug.render.program import Choice

__all__ = ["aberrate", "coarsen", "mask", "scatter", "zoom"]

_MODES = {"nearest": 0, "bilinear": 1, "area": 2}


def _run(
    x: Tensor,
    scale: float,
    between: Tensor | None,
    on: Tensor | None,
    numbers: Tensor,
    keys: Tensor | None,
    size: list[int],
    kind: int,
    last: bool,
    settings: list[float],
) -> Tensor:
    from gpuaug.render.kernels.lens import lens_kernel

    out = _fake(x, scale, between, on, numbers, keys, size, kind, last, settings)
    if not out.numel():
        return out
    batch, channels, h, w = out.shape
    high, wide = (x if between is None else between).shape[2:]
    gate = torch.ones(batch, dtype=torch.bool, device=x.device) if on is None else on.contiguous()
    tile = block((h, w), 8, 64)
    tiles = tiling((h, w), tile)
    with on_device(out):
        lens_kernel[(batch * channels * tiles,)](
            x,
            *x.stride(),
            1.0 / scale,
            out if between is None else between,
            gate,
            numbers,
            numbers.shape[1],
            gate if keys is None else keys.contiguous(),
            out,
            channels,
            high,
            wide,
            h,
            w,
            tiles,
            KIND=kind,
            LAST=last,
            A=int(settings[0]),
            B=settings[1] if kind == 1 else int(settings[1]),
            BH=tile[0],
            BW=tile[1],
            num_warps=4,
        )
    return out


def _fake(
    x: Tensor,
    scale: float,
    between: Tensor | None,
    on: Tensor | None,
    numbers: Tensor,
    keys: Tensor | None,
    size: list[int],
    kind: int,
    last: bool,
    settings: list[float],
) -> Tensor:
    return x.new_empty((x.shape[0], x.shape[1], size[0], size[1]), dtype=torch.float32)


_lens = register(
    "lens(Tensor x, float scale, Tensor? between, Tensor? on, Tensor numbers, Tensor? keys, SymInt[] size, int kind,"
    " bool last, float[] settings) -> Tensor",
    _run,
    _fake,
)


def _packed(*numbers: Tensor) -> Tensor:
    """Return numbers (B,) or (B, n) side by side."""
    columns = [t[:, None] if t.dim() == 1 else t for t in numbers]
    return torch.cat([t.to(torch.float32) for t in columns], dim=1).contiguous()


def _once(x: Tensor, scale: float, choice: Choice, kind: int, numbers: Tensor, *settings: float, **more: Any) -> Tensor:
    given = [*settings, 0.0, 0.0][:2]
    out: Tensor = _lens(x, scale, None, choice.on, numbers, more.get("keys"), list(x.shape[2:]), kind, True, given)
    return out


def mask(x: Tensor, scale: float, choice: Choice) -> Tensor:
    """Sharpen by an unsharp mask: `functional.unsharp.mask_unsharp`."""
    taps, alpha = choice.operands
    numbers = _packed(taps[:, 1:].flip(1), taps, alpha)
    settings = [float(taps.shape[1] - 1), float(choice.static["threshold"])]
    size = list(x.shape[2:])
    rest = _lens(x, scale, None, choice.on, numbers, None, size, 0, False, settings)
    out: Tensor = _lens(x, scale, rest, choice.on, numbers, None, size, 1, True, settings)
    return out


def zoom(x: Tensor, scale: float, choice: Choice) -> Tensor:
    """Average readings that are zoomed: `functional.lens.zoomed`."""
    return _once(x, scale, choice, 2, _packed(*choice.operands), choice.static["most"])


def aberrate(x: Tensor, scale: float, choice: Choice) -> Tensor:
    """Bend red and blue apart: `functional.lens.aberrated`."""
    return _once(x, scale, choice, 3, _packed(*choice.operands))


def scatter(x: Tensor, scale: float, choice: Choice) -> Tensor:
    """Show pixels that lie a few drawn steps away: `ops.scatter`."""
    (key,) = choice.operands
    delta, turns = choice.static["max_delta"], choice.static["iterations"]
    return _once(x, scale, choice, 4, _packed(torch.zeros_like(key)), delta, turns, keys=key)


def coarsen(x: Tensor, scale: float, choice: Choice) -> Tensor:
    """Go to a coarser grid and back: `functional.lens.coarse`."""
    (share,) = choice.operands
    h, w = x.shape[2:]
    numbers = _packed(*(coarse_size(n, share.to(torch.float32)) for n in (h, w)))
    taps = float(max(mean_taps(n, choice.static["lowest"]) for n in (h, w)))
    settings = [[float(_MODES[choice.static[way]]), taps] for way in ("down", "up")]
    # Of the largest grid that a strength may lead to: the image's own; samples use a corner of it.
    there = _lens(x, scale, None, choice.on, numbers, None, [h, w], 5, False, settings[0])
    out: Tensor = _lens(x, scale, there, choice.on, numbers, None, [h, w], 6, True, settings[1])
    return out
