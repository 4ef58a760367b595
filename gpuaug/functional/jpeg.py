"""JPEG compression of each sample, as the reference codec computes it: in whole numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.functional._constants import Constants
from gpuaug.functional._door import pixelwise
from gpuaug.geometry.matrix import matrix_dtype

__all__ = ["jpeg"]

FACTORS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}
"""Rows and columns of pixels that share a chroma value, by the name of a subsampling."""

# An eight-point cosine transform in 13 binary places ("slow integer" of the reference codec): its rows are what that
# codec's butterflies amount to, whose even and odd parts are rounded apart (10703 beside 10704).
_HALVES = (
    (8192, 8192, 8192, 8192),
    (11363, 9633, 6437, 2260),
    (10703, 4433, -4433, -10703),
    (9633, -2259, -11362, -6436),
    (8192, -8192, -8192, 8192),
    (6437, -11362, 2261, 9633),
    (4433, -10704, 10704, -4433),
    (2260, -6436, 9633, -11363),
)
BASIS = Constants(
    [[*half, *(v if k % 2 == 0 else -v for v in reversed(half))] for k, half in enumerate(_HALVES)], torch.float64
)
# Annex K of the JPEG standard: steps of luma and of chroma, rows of rising vertical frequency.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99, 99, 99, 99, 99, 99, 99, 99),) * 4,
)
_STEPS = Constants((_LUMA, _CHROMA), torch.float32)


@pixelwise
def jpeg(image: Tensor, quality: Tensor | float, subsampling: str = "4:2:0") -> Tensor:
    """Write and read each sample as a JPEG file of its own quality, without the file.

    Args:
        image: (B, C, H, W), C 1 or 3.
        quality: (B,) or a number: 1, the coarsest, to 100; rounded to whole numbers.
        subsampling: "4:2:0" (chroma at half the width and height), "4:2:2" (at half the width) or "4:4:4".

    Shape:
        (B, C, H, W) to the same; floats become multiples of 1/255, as a file of 8 bits holds them.

    Raises:
        ValueError: for another number of channels, or another subsampling.

    Source: libjpeg-turbo with its "islow" transforms and smooth upsampling, to the last bit of 8; so Pillow,
    OpenCV and torchvision.transforms.v2.functional.jpeg. Gradients pass straight through what is rounded.

    Example:
        >>> import torch
        >>> from gpuaug.functional import jpeg
        >>> jpeg(torch.rand(2, 3, 9, 21), torch.tensor([10.0, 90.0])).shape
        torch.Size([2, 3, 9, 21])
    """
    if image.shape[1] not in (1, 3):
        raise ValueError(f"jpeg: image must have 1 or 3 channels, got {image.shape[1]}")
    if subsampling not in FACTORS:
        raise ValueError(f"jpeg: subsampling must be one of {', '.join(FACTORS)}, got {subsampling!r}")
    steps = tables(quality)  # type: ignore[arg-type]
    levels = _whole(image.clamp(0, 1).mul_(255).add_(0.5))
    if image.shape[1] == 1:
        return _coded(levels - 128, steps[:, :1]).add_(128).clamp(0, 255) / 255
    h, w = image.shape[2:]
    down, across = FACTORS[subsampling]
    red, green, blue = levels.split(1, dim=1)
    # Fixed point of 16 binary places: every sum is below 2**24 of them, so that float32 holds it.
    luma = _mixed((red, 19595), (green, 38470), (blue, 7471), (None, 32768))
    cb = _mixed((red, -11059), (green, -21709), (blue, 32768), (None, 32767))
    cr = _mixed((red, 32768), (green, -27439), (blue, -5329), (None, 32767))
    chroma = _halved(torch.cat((cb, cr), dim=1), down, across)
    y = _coded(luma.sub_(128), steps[:, :1]).add_(128).clamp(0, 255)
    seen = _coded(chroma, steps[:, 1:])[:, :, : -(-h // down), : -(-w // across)].clamp(-128, 127)
    cb, cr = _doubled(seen, down, across)[:, :, :h, :w].split(1, dim=1)
    red = _mixed((cr, 91881), (None, 32768)).add_(y)
    green = _mixed((cb, -22554), (cr, -46802), (None, 32768)).add_(y)
    blue = _mixed((cb, 116130), (None, 32768)).add_(y)
    return torch.cat((red, green, blue), dim=1).clamp_(0, 255).div_(255)


def _mixed(*parts: tuple[Tensor | None, int]) -> Tensor:
    """Return the whole number below a sum of planes and a constant, each times as many 65536ths."""
    total: Any = None
    for plane, factor in parts:
        share = factor / 65536
        if plane is None:
            total.add_(share)
        else:
            total = plane * share if total is None else total.add_(plane, alpha=share)
    return _whole(total)


def tables(quality: Tensor) -> Tensor:
    """Return the steps (B, 2, 8, 8), of luma and chroma, for qualities (B,)."""
    q = torch.round(quality.to(torch.float32)).clamp(1, 100)
    percent = torch.where(q < 50, torch.floor(5000 / q), 200 - 2 * q).view(-1, 1, 1, 1)
    return torch.floor((_STEPS.on(quality.device) * percent + 50) / 100).clamp(1, 255)


def _whole(value: Tensor) -> Tensor:
    """Return the whole number below, in place of the value; its gradient is that of the value."""
    return torch.floor(value).detach() + (value - value.detach()) if value.requires_grad else value.floor_()


def _repeated(plane: Tensor, h: int, w: int) -> Tensor:
    """Return planes with their last row and column repeated up to a size."""
    if w > plane.shape[3]:
        plane = torch.cat((plane, plane[..., -1:].expand(-1, -1, -1, w - plane.shape[3])), dim=3)
    if h > plane.shape[2]:
        plane = torch.cat((plane, plane[:, :, -1:].expand(-1, -1, h - plane.shape[2], -1)), dim=2)
    return plane


def _up(n: int, unit: int) -> int:
    return -(-n // unit) * unit


def _halved(chroma: Tensor, down: int, across: int) -> Tensor:
    """Return means of neighbours, rounded up and down in turn from column to column."""
    if across == 1:
        return chroma
    h, w = chroma.shape[2:]
    wide = _repeated(chroma, _up(h, down), 8 * across * -(-w // (8 * across)))
    if down == 2:
        wide = wide[:, :, ::2] + wide[:, :, 1::2]
    turn = torch.arange(wide.shape[3] // 2, device=chroma.device, dtype=torch.float32) % 2
    return _whole((wide[..., ::2] + wide[..., 1::2]).add_(turn + (down - 1)).mul_(0.5 / down))


def _doubled(chroma: Tensor, down: int, across: int) -> Tensor:
    """Return planes at twice the size, each value three parts of the nearest one and one part of the next."""
    if across == 1:
        return chroma
    if chroma.shape[3] <= 2:  # too small for the codec to smooth
        return chroma.repeat_interleave(down, dim=2).repeat_interleave(2, dim=3)
    b, c, h, w = chroma.shape
    left = torch.cat((chroma[..., :1], chroma[..., :-1]), dim=3).add_(chroma, alpha=3)
    right = torch.cat((chroma[..., 1:], chroma[..., -1:]), dim=3).add_(chroma, alpha=3)
    line = torch.stack((left, right), dim=-1).view(b, c, h, 2 * w)
    # Half a unit is rounded up on the one side of a value, and down on the other.
    odd = torch.arange(2 * w, device=chroma.device, dtype=torch.float32) % 2
    if down == 1:
        return _whole(line.add_(odd + 1).mul_(1 / 4))
    above = torch.cat((line[:, :, :1], line[:, :, :-1]), dim=2)
    below = torch.cat((line[:, :, 1:], line[:, :, -1:]), dim=2)
    line = line * 3 + (8 - odd)
    pair = [_whole(beside.add_(line).mul_(1 / 16)) for beside in (above, below)]
    return torch.stack(pair, dim=3).view(b, c, 2 * h, 2 * w)


def _coded(plane: Tensor, steps: Tensor) -> Tensor:
    """Return planes (B, C, h, w) about 0 as they come out of the file: quantised cosine transforms of 8 x 8 blocks.

    Sums reach 2**29: they are exact in float64, and off by a last bit where there is only float32.
    """
    b, c, h, w = plane.shape
    wide = matrix_dtype(plane.device)
    basis, q = BASIS.on(plane.device).to(wide), steps.to(wide).view(b, 1, 1, 8, 1, 8)
    x = _repeated(plane, _up(h, 8), _up(w, 8)).to(wide)
    high, long = x.shape[2:]
    by_row, by_column, blocks = (high, long // 8, 8), (high // 8, 8, long), (high // 8, 8, long // 8, 8)
    x = _whole((x.view(b, c, *by_row) @ (basis.T.contiguous() / 2**11)).add_(0.5))
    x = _whole((basis / 2**15 @ x.view(b, c, *by_column)).add_(0.5))  # 8 times the coefficients
    # Halves are rounded away from zero; what lies next to them is farther off than this.
    x = x.view(b, c, *blocks) * ((1 + 2.0**-20) / (8 * q))
    x = (torch.round(x).detach() + (x - x.detach()) if x.requires_grad else x.round_()) * q
    x = _whole((basis.T / 2**11 @ x.view(b, c, *by_column)).add_(0.5))
    x = _whole((x.view(b, c, *by_row) @ (basis / 2**18)).add_(0.5))
    return x.view(b, c, high, long)[:, :, :h, :w].to(plane.dtype)
