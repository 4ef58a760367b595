"""Colour of one sample (1, C, H, W) on the CPU: the same results with numbers of the host, in few passes."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.functional._door import CHUNK, put, store
from gpuaug.functional.color import BLUE, GREEN, RED, need_rgb

__all__ = ["brightness_one", "contrast_one", "hsv_one", "hue_one", "level_gray", "saturation_one", "write_gray"]

_SECTOR = ((0.0, 1.0, -1.0), (1.0, -1.0, -1.0), (-1.0, 2.0, 2.0))
"""Of red, green and blue: what is added to the hue, the sign of its distance from 0, and what is added to that."""


def write_gray(out: Tensor, image: Tensor, unit: float, num_output_channels: int = 1) -> None:
    """Write gray values of samples (B, C, H, W) in units of their own, where white is `unit`, into each channel."""
    if need_rgb(image, "rgb_to_grayscale") == 1:
        put(out, image.expand_as(out), unit)
        return
    red, green, blue = image.to(out.dtype).unbind(1)
    gray = torch.mul(red, RED / unit, out=out[:, 0]).add_(green, alpha=GREEN / unit).add_(blue, alpha=BLUE / unit)
    out[:, 1:].copy_(gray[:, None].expand(-1, out.shape[1] - 1, -1, -1))


def level_gray(out: Tensor, image: Tensor, num_output_channels: int = 1) -> None:
    """Write gray levels of samples of 8 bits: rounded in one channel, copied to the others."""
    if need_rgb(image, "rgb_to_grayscale") == 1:
        out.copy_(image.expand_as(out))
        return
    for into, levels in zip(out.split(CHUNK), image.split(CHUNK), strict=True):
        gray = torch.empty_like(levels[:, :1], dtype=torch.float32)
        write_gray(gray, levels, 1.0)
        store(into[:, :1], gray.round_())
        into[:, 1:].copy_(into[:, :1].expand(-1, into.shape[1] - 1, -1, -1))


def brightness_one(image: Tensor, factor: Tensor) -> Tensor:
    """Multiply by a factor."""
    return image.mul(float(factor)).clamp_(0, 1)


def contrast_one(image: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean of the gray values."""
    f = float(factor)
    mean = image.contiguous().mean((0, 2, 3))  # the order of a sum is that of memory
    if need_rgb(image, "adjust_contrast") == 3:
        red, green, blue = mean.tolist()
        mean = mean.new_full((), RED * red + GREEN * green + BLUE * blue)
    return torch.add(mean.mul_(1 - f), image, alpha=f).clamp_(0, 1)


def saturation_one(image: Tensor, factor: Tensor) -> Tensor:
    """Blend with the gray values."""
    if need_rgb(image, "adjust_saturation") == 1:
        return image
    f = float(factor)
    red, green, blue = image.split(1, dim=1)
    gray = red.mul(RED * (1 - f)).add_(green, alpha=GREEN * (1 - f)).add_(blue, alpha=BLUE * (1 - f))
    return torch.add(gray, image, alpha=f).clamp_(0, 1)


def hue_one(image: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by turns."""
    if need_rgb(image, "adjust_hue") == 1:
        return image
    hue, value, chroma = _hsv(image)
    return _rgb(hue.add_(6 * float(shift)), value, chroma)


def hsv_one(image: Tensor, hue_shift: Tensor, sat_shift: Tensor, val_shift: Tensor) -> Tensor:
    """Shift hue (of 180), saturation and value (of 255)."""
    up = float(val_shift) / 255
    if need_rgb(image, "adjust_hue_saturation_value") == 1:
        return image.add(up).clamp_(0, 1)
    hue, value, chroma = _hsv(image.clamp(0, 1))
    saturation = chroma.div_(torch.where(value == 0, 1.0, value)).add_(float(sat_shift) / 255).clamp_(0, 1)
    value.add_(up).clamp_(0, 1)
    return _rgb(hue.add_(float(hue_shift) * (6 / 180)), value, saturation.mul_(value))


def _hsv(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `color.hsv_of` does, each (1, 1, H, W)."""
    red, green, blue = image.split(1, dim=1)
    value, low = torch.maximum(red, green), torch.minimum(red, green)
    torch.maximum(value, blue, out=value)
    torch.minimum(low, blue, out=low)
    hue = (green + blue).sub_(red).sub_(low)
    chroma = torch.sub(value, low, out=low)
    hue.div_(chroma.clamp(min=1e-12)).add_(1)
    return hue.copysign_(green - blue), value, chroma


def _rgb(hue: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """Return an image of what `color.rgb_of` takes; the hue is overwritten."""
    hue.sub_((hue * (1 / 6)).round_(), alpha=6)
    along, sign, start = torch.tensor(_SECTOR, dtype=hue.dtype).view(3, 3, 1, 1)
    share = (hue + along).abs_().mul_(sign).add_(start).clamp_(0, 1).mul_(chroma)
    return torch.sub(value, share, out=share)
