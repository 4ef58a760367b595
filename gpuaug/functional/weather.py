"""Weather on each sample: rain, snow, the sun and its flare, as closed forms of the position."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gpuaug.functional._door import beside, each, join, pixelwise, planar, row, split
from gpuaug.functional.color import rgb
from gpuaug.functional.light import laid
from gpuaug.functional.shadow import entries, places

__all__ = ["rain", "snow_bleach", "snow_texture", "sun_flare", "sun_halo"]


@pixelwise
@planar
def rain(
    image: Tensor,
    drops: Tensor,
    frame: Tensor,
    width: float = 1.0,
    blur: float = 7.0,
    color: tuple[float, ...] = (200 / 255,),
    brightness: float = 0.7,
) -> Tensor:
    """Let it rain on each sample: parallel streaks are added, and then the whole is darkened.

    The sheared plane is cut into cells, each of which holds at most one streak; a streak is as a line of that width
    after a box blur.

    Args:
        image: (B, C, H, W).
        drops: (B, L, R, Q, 2), for L layers of R x Q cells: where in its cell a streak begins, across and down, 0 to
            1; a negative number where there is none.
        frame: (B, 4): width and height of a cell in pixels, the shear (columns for each row), the length of streaks.
            Cells must be at least width + blur wide and length + blur high; their first row lies above the image.
        width: of streaks, in pixels.
        blur: side of the box that streaks are blurred with, in pixels.
        color: what is added, one number or one for each channel, on the scale black = 0, white = 1.
        brightness: what all is multiplied by in the end; 1 is neutral.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Source: the look of albumentations.RandomRain.

    Example:
        >>> import torch
        >>> from gpuaug.functional import rain
        >>> drops, frame = torch.full((1, 1, 10, 4, 2), 0.5), torch.tensor([[9.0, 12.0, 0.2, 3.0]])
        >>> rain(torch.zeros(2, 3, 8, 10)[:1], drops, frame).shape
        torch.Size([1, 3, 8, 10])
    """
    plane = split(image)[0]
    h = plane.shape[1]
    x, y = places(plane)
    cell_w, cell_h, shear, length = entries(frame, plane)
    layers, rows, across = drops.shape[1:4]
    # Where rain falls to the right the sheared plane begins left of the image.
    x, y = x - shear * y + (shear * (h - 1)).clamp(min=0), y + cell_h
    column, level = torch.floor(x / cell_w), torch.floor(y / cell_h)
    other = column + torch.where(x - column * cell_w < 0.5 * cell_w, -1.0, 1.0)
    reach, total = 0.5 * (width + blur), torch.zeros_like(plane)
    table = drops.to(plane.dtype).flatten(1, 3)
    for q in (column, other):
        for r in (level, level - 1):
            there = (q >= 0) & (q < across) & (r >= 0) & (r < rows)
            at = (r.clamp(0, rows - 1) * across + q.clamp(0, across - 1)).to(torch.int64).expand(plane.shape).flatten(1)
            for layer in range(layers):
                begin = [table[:, :, n].gather(1, at + layer * rows * across).view(plane.shape) for n in (0, 1)]
                from_side = reach - (x - (q + begin[0]) * cell_w).abs()
                from_top = y - (r + begin[1]) * cell_h
                side = from_side.clamp(0, min(width, blur)) / blur
                ends = torch.minimum(from_top, length + blur - from_top).clamp(0, blur)
                streak = side * torch.minimum(ends, length) / blur
                total = total + torch.where(there & (begin[0] >= 0), streak, 0.0)
    total = total.clamp(max=1)

    def wet(value: Tensor, streaks: Tensor, added: Tensor) -> Tensor:
        return (value + streaks * added).clamp(0, 1) * brightness

    return each(image, wet, total, row(image, color))  # type: ignore[no-any-return]


@pixelwise
@planar
@rgb
def snow_bleach(image: Tensor, threshold: Tensor | float, coefficient: float = 2.5) -> Tensor:
    """Brighten what is dark in each sample: lightness below a threshold is multiplied, hue and saturation stay.

    Args:
        image: (B, C, H, W), C 1 or 3.
        threshold: (B,) or a number, of the lightness (the mean of the largest and the least channel) from 0 to 1.
        coefficient: by which it is multiplied.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Raises:
        ValueError: for another number of channels.

    Source: albumentations.RandomSnow, method "bleach", without its rounding of HLS to 8 bits.

    Example:
        >>> import torch
        >>> from gpuaug.functional import snow_bleach
        >>> snow_bleach(torch.tensor([[[[0.125, 0.75]]]]), 0.5, 2.0).flatten().tolist()
        [0.25, 0.75]
    """
    planes = [plane.clamp(0, 1) for plane in _colors(image, "snow_bleach")]
    high, low = planes[0], planes[0]
    for plane in planes[1:]:
        high, low = torch.maximum(high, plane), torch.minimum(low, plane)
    light = 0.5 * (high + low)
    brighter = (light * coefficient).clamp(max=1)
    chroma = (1 - (2 * brighter - 1).abs()) / (1 - (2 * light - 1).abs()).clamp(min=1e-6)
    dark = light < beside(threshold, light)  # type: ignore[arg-type]
    return join(  # type: ignore[no-any-return]
        [torch.where(dark, brighter + (plane - light) * chroma, plane).clamp(0, 1) for plane in planes], image
    )


def _colors(image: Any, name: str) -> list[Tensor]:
    planes = split(image)
    if len(planes) not in (1, 3):
        raise ValueError(f"{name}: image must have 1 or 3 channels, got {len(planes)}")
    return planes


SNOW_TINT = (0.9, 0.95, 1.0)
SPARKLE = 2.3263479
"""What one in a hundred standard normal numbers exceeds."""


@pixelwise
@planar
@rgb
def snow_texture(
    image: Tensor, amount: Tensor | float, texture: Tensor, noise: Tensor, coefficient: float = 2.5
) -> Tensor:
    """Let snow lie on each sample: it is brightened, whitened by a texture that thins downwards, and sparkles.

    Args:
        image: (B, C, H, W), C 1 or 3.
        amount: (B,) or a number from 0, which is neutral but for the sparkles, to 1.
        texture: (B, h, w), about 0.5; a map laid over the image, read bilinearly.
        noise: (B, 1, H, W) standard normal values: where they exceed 2.33, a hundredth, pixels are white.
        coefficient: what the gain is, beyond 1, at an amount of 1.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Raises:
        ValueError: for another number of channels.

    Source: the steps of albumentations.RandomSnow, method "texture", in RGB.

    Example:
        >>> import torch
        >>> from gpuaug.functional import snow_texture
        >>> half = torch.full((1, 2, 2), 0.5)
        >>> snow_texture(torch.full((1, 1, 1, 1), 0.1), 0.2, half, torch.zeros(1, 1, 1, 1)).item() > 0.2
        True
    """
    planes = [plane.clamp(0, 1) for plane in _colors(image, "snow_texture")]
    value = planes[0]
    for plane in planes[1:]:
        value = torch.maximum(value, plane)
    much = beside(amount, value)  # type: ignore[arg-type]
    gain = torch.minimum(1 + coefficient * much, 1 / value.clamp(min=1e-6))
    h = value.shape[1]
    fall = 1 - 0.8 * places(value)[1] / max(h - 1, 1)
    lying = laid(texture, value) * fall * much
    sparkles = noise[:, 0] > SPARKLE
    tint = SNOW_TINT if len(planes) == 3 else (sum(SNOW_TINT) / 3,)
    done = []
    for plane, cool in zip(planes, tint, strict=True):
        white = (plane * gain + lying).clamp(0, 1)
        done.append(torch.where(sparkles, 1.0, white + 0.15 * much * (cool - white)))
    return join(done, image)  # type: ignore[no-any-return]


@pixelwise
@planar
def sun_flare(
    image: Tensor,
    circles: Tensor,
    colors: Tensor,
    center: Tensor,
    through: Tensor,
    radius: float,
    color: tuple[float, ...] = (1.0,),
) -> Tensor:
    """Blend circles, one after another, and then a sun that fades outwards, over each sample.

    Args:
        image: (B, C, H, W).
        circles: (B, M, 4): x, y, radius in pixels, and opacity, 0 where there is none.
        colors: (B, M, C), on the scale black = 0, white = 1.
        center: (B, 2), x and y of the sun.
        through: (B, n): how much of the image shows through the sun at distances from 1 to `radius`, read linearly.
        radius: of the sun in pixels, above 1.
        color: of the sun, one number or one for each channel, on the scale black = 0, white = 1.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Source: albumentations.RandomSunFlare, method "overlay".

    Example:
        >>> import torch
        >>> from gpuaug.functional import sun_flare
        >>> none, sun = (torch.zeros(1, 0, n) for n in (4, 1)), torch.tensor([[0.0, 0.0]])
        >>> sun_flare(torch.zeros(1, 1, 1, 3), *none, sun, torch.tensor([[0.0, 1.0]]), 2.0).flatten().tolist()
        [1.0, 1.0, 0.0]
    """
    plane = split(image)[0]
    x, y = places(plane)
    shown: Any = image
    for circle, shade in zip(circles.unbind(1), colors.unbind(1), strict=True):
        cx, cy, r, opacity = entries(circle, plane)
        share = torch.where((x - cx) ** 2 + (y - cy) ** 2 <= r * r, opacity, 0.0)
        shown = each(shown, lambda value, c, m: value + (c - value) * m, shade, share)
    cx, cy = entries(center, plane)
    steps = through.shape[1] - 1
    at = ((((x - cx) ** 2 + (y - cy) ** 2).sqrt() - 1) * (steps / (radius - 1))).clamp(0, steps)
    first = torch.floor(at).clamp(max=max(steps - 1, 0))
    table, index = through.to(plane.dtype), first.to(torch.int64).flatten(1)
    low, high = (table.gather(1, i.clamp(max=steps)).view(plane.shape) for i in (index, index + 1))
    clear = low + (high - low) * (at - first)
    return each(  # type: ignore[no-any-return]
        shown, lambda value, m, c: (c + (value - c) * m).clamp(0, 1), clear, row(image, color)
    )


HALO = 15.0
"""Standard deviation in pixels by which a physical flare is soft, as in Albumentations."""
_SPREADS = ((HALO**2 + 9) ** 0.5, HALO, (HALO**2 + 25) ** 0.5)
"""Of red, green and blue: lenses bring them to different places."""
_SPIKES = ((1.0, 0.0), (0.5**0.5, 0.5**0.5), (0.0, 1.0), (-(0.5**0.5), 0.5**0.5))


@pixelwise
@planar
def sun_halo(
    image: Tensor, center: Tensor, fade: Tensor | float, radius: float, color: tuple[float, ...] = (1.0,)
) -> Tensor:
    """Add a soft sun with four spikes to each sample, as light is added: it screens the image.

    Args:
        image: (B, C, H, W).
        center: (B, 2), x and y of the sun.
        fade: (B,) or a number: at what distance in pixels its light is gone.
        radius: of the sun in pixels.
        color: of the sun, one number or one for each channel, on the scale black = 0, white = 1.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Source: albumentations.RandomSunFlare, method "physics_based": the disc and the spikes after its blur of 15 pixels,
    as closed forms.

    Example:
        >>> import torch
        >>> from gpuaug.functional import sun_halo
        >>> sun_halo(torch.zeros(1, 3, 8, 10), torch.tensor([[2.0, 3.0]]), 7.0, 4.0).shape
        torch.Size([1, 3, 8, 10])
    """
    plane = split(image)[0]
    x, y = places(plane)
    cx, cy = entries(center, plane)
    dx, dy = x - cx, y - cy
    distance = (dx * dx + dy * dy).sqrt()
    near = (1 - distance / beside(fade, plane)).clamp(0, 1)  # type: ignore[arg-type]
    channels = len(split(image))
    lights = row(image, color).expand(1, channels, 1, 1).unbind(1)
    done = []
    for c, (value, light) in enumerate(zip(split(image), lights, strict=True)):
        spread = _SPREADS[c if channels == 3 else 1]
        disc = 0.5 - 0.5 * torch.erf((distance - radius) / (2**0.5 * spread))
        spikes: Any = 0.0
        for sx, sy in _SPIKES:
            side, along = dx * sy - dy * sx, dx * sx + dy * sy
            ray = torch.exp(side * side * (-0.5 / spread**2)) * (2 / (spread * math.sqrt(2 * math.pi)))
            spikes = spikes + ray * (0.5 + 0.5 * torch.erf(along / (2**0.5 * spread)))
        glow = ((disc + (1 - disc) * spikes).clamp(max=1) * near) * light
        done.append((1 - (1 - value) * (1 - glow)).clamp(0, 1))
    return join(done, image)  # type: ignore[no-any-return]
