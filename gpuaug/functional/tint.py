"""Tints: any matrix of colours, any curve, scales and shifts by channel, gains in HSV."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.functional._door import CHUNK, Pixels, beside, each, join, pixelwise, planar, split, store
from gpuaug.functional.color import hsv_of, need_rgb, rgb, rgb_of

__all__ = ["adjust_tone_curve", "color_matrix", "look_up", "scale_hsv", "scale_shift"]


def mixed(image: Pixels, matrix: Tensor) -> list[Tensor]:
    """Return planes (B, H, W) after an affine map (B, D, C + 1) of channels."""
    return mixed_planes(split(image), matrix)


def mixed_planes(planes: list[Tensor], matrix: Tensor) -> list[Tensor]:
    """Return the same of planes."""
    rows = matrix.to(planes[0].dtype)
    out = []
    for row in rows.unbind(1):
        total = torch.addcmul(row[:, -1, None, None], planes[0], row[:, 0, None, None])
        for c, plane in enumerate(planes[1:], start=1):
            total = torch.addcmul(total, plane, row[:, c, None, None])
        out.append(total)
    return out


@pixelwise
@planar
def color_matrix(image: Tensor, matrix: Tensor, clip: bool = True) -> Tensor:
    """Replace the channels of each pixel by an affine map of them, one for each sample.

    Args:
        image: (B, C, H, W).
        matrix: (B, C, C + 1): row c holds the weights of the channels in output channel c, then what is added, on the
            scale black = 0, white = 1; the identity and zeros are neutral.
        clip: whether values are clamped to black and white.

    Shape:
        (B, C, H, W) to the same.

    Raises:
        ValueError: for a matrix of another shape.

    Source: kornia.enhance.linear_transform, pixel by pixel; albumentations' linear_transformation_rgb.

    Example:
        >>> import torch
        >>> from gpuaug.functional import color_matrix
        >>> swap = torch.tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.25]]])
        >>> color_matrix(torch.tensor([[[[0.5]], [[0.25]]]]), swap).flatten().tolist()
        [0.25, 0.75]
    """
    planes = split(image)
    if matrix.dim() != 3 or matrix.shape[1:] != (len(planes), len(planes) + 1):
        raise ValueError(
            f"color_matrix: matrix must have shape (B, {len(planes)}, {len(planes) + 1}), as the images have"
            f" {len(planes)} channels, got {tuple(matrix.shape)}"
        )
    out = mixed(image, matrix)
    return join([plane.clamp(0, 1) for plane in out] if clip else out, image)  # type: ignore[no-any-return]


def mix_one(image: Tensor, matrix: Tensor, clip: bool = True) -> Tensor:
    """Map the colours of one sample (1, C, H, W) by a matrix (1, C, C + 1) whose numbers may be read: on the CPU."""
    out = torch.empty_like(image)
    write_mixed(out, image, 1.0, matrix, clip)
    return out


def write_mixed(out: Tensor, image: Tensor, unit: float, matrix: Tensor, clip: bool = True) -> None:
    """Write the mapped colours of samples in units of their own, where white is `unit`."""
    whole = bool((matrix == matrix[:1]).all())
    pairs = [(out, image)] if whole else zip(out.split(1), image.split(1), strict=True)
    for (into, values), rows in zip(pairs, matrix.tolist(), strict=False):
        first, *others = values.to(out.dtype).unbind(1)
        for there, (weight, *weights, more) in zip(into.unbind(1), rows, strict=True):
            torch.mul(first, weight / unit, out=there)
            for plane, other in zip(others, weights, strict=True):
                there.add_(plane, alpha=other / unit)
            if more:
                there.add_(more)
    if clip:
        out.clamp_(0, 1)


def mix_levels(out: Tensor, image: Tensor, matrix: Tensor, clip: bool = True) -> None:
    """Write the rounded colours of samples of 8 bits into others."""
    for into, levels, rows in zip(*(t.split(CHUNK) for t in (out, image, matrix)), strict=True):
        values = torch.empty_like(levels, dtype=torch.float32)
        write_mixed(values, levels, 1.0, torch.cat((rows[..., :-1], rows[..., -1:] * 255), dim=-1), clip=False)
        store(into, values.clamp_(0, 255).round_())


@pixelwise
def look_up(image: Tensor, table: Tensor) -> Tensor:
    """Replace each value by that of a table, a straight line between its entries.

    Args:
        image: (B, C, H, W); values beyond black and white are taken as these.
        table: (B, K), or (B, C, K): what K values from black to white, evenly spaced, become, on the scale black = 0,
            white = 1. With 256 entries the levels of uint8 are met exactly.

    Shape:
        (B, C, H, W) to the same.

    Raises:
        ValueError: for a table of another shape, or of fewer than two entries.

    Source: OpenCV's LUT, with values in between.

    Example:
        >>> import torch
        >>> from gpuaug.functional import look_up
        >>> look_up(torch.tensor([[[[0.25, 1.0]]]]), torch.tensor([[0.0, 0.5, 0.75]])).flatten().tolist()
        [0.25, 0.75]
    """
    b, c, h, w = image.shape
    entries = table.shape[-1] if table.dim() else 0
    if tuple(table.shape[:-1]) not in ((b,), (b, c)) or entries < 2:
        raise ValueError(f"look_up: table must have shape ({b}, K) or ({b}, {c}, K), K >= 2, got {tuple(table.shape)}")
    values = (table if table.dim() == 3 else table[:, None]).to(image.dtype).expand(b, c, -1)
    last = entries - 1
    place = image.flatten(2).clamp(0, 1) * last
    below = torch.nan_to_num(place.detach()).to(torch.int64).clamp(max=last - 1)
    low, high = values.gather(2, below), values.gather(2, below + 1)
    return torch.lerp(low, high, place - below).view(b, c, h, w)


@pixelwise
@planar
def scale_shift(image: Tensor, scale: Tensor | float, shift: Tensor | float) -> Tensor:
    """Multiply the values of each sample, or of each of its channels, and add to them.

    Args:
        image: (B, C, H, W).
        scale: (B,), (B, C) or a number; 1 is neutral.
        shift: likewise, on the scale black = 0, white = 1; 0 is neutral.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Source: albumentations' RGBShift, monai.transforms.ScaleIntensity and ShiftIntensity.

    Example:
        >>> import torch
        >>> from gpuaug.functional import scale_shift
        >>> scale_shift(torch.full((1, 2, 1, 1), 0.25), torch.tensor([[1.0, 2.0]]), 0.25).flatten().tolist()
        [0.5, 0.75]
    """
    return each(  # type: ignore[no-any-return]
        image, lambda value, factor, rest: torch.addcmul(rest, value, factor).clamp_(0, 1), scale, shift
    )


def _beside(numbers: Tensor, out: Tensor) -> Tensor | float:
    """Return what samples (B,) or (B, C) have, to be broadcast: a number where it is one for all."""
    found = numbers.flatten().tolist()
    if len(set(found)) == 1:
        return float(found[0])
    return numbers.to(out.dtype).view(numbers.shape[0], -1, 1, 1)


def _scaled(out: Tensor, image: Tensor, scale: Tensor | float, shift: Tensor | float) -> Tensor:
    """Write image * scale + shift, in as few passes as the numbers allow."""
    if image.dtype != out.dtype:
        out.copy_(image)
        image = out
    if isinstance(scale, float) and isinstance(shift, float) and shift != 0 and scale != 1:
        return torch.add(out.new_full((), shift), image, alpha=scale, out=out)
    if isinstance(scale, float) and scale == 1:
        return torch.add(image, shift, out=out)
    torch.mul(image, scale, out=out)
    return out if isinstance(shift, float) and shift == 0 else out.add_(shift)


def scale_one(image: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Do so for samples (B, C, H, W) whose numbers may be read: on the CPU."""
    out = torch.empty_like(image)
    scale_into(out, image, 1.0, scale, shift)
    return out


def scale_into(out: Tensor, image: Tensor, unit: float, scale: Tensor, shift: Tensor) -> None:
    """Write the values of samples in units of their own, where white is `unit`."""
    factor = _beside(scale, out)
    _scaled(out, image, factor if unit == 1 else factor / unit, _beside(shift, out)).clamp_(0, 1)


def scale_levels_into(out: Tensor, image: Tensor, scale: Tensor, shift: Tensor) -> None:
    """Write the rounded values of samples of 8 bits into others; what is only added is added in 8 bits."""
    if not bool((scale == 1).all()):
        for into, levels, by, more in zip(*(t.split(CHUNK) for t in (out, image, scale, shift)), strict=True):
            values = torch.empty_like(levels, dtype=torch.float32)
            _scaled(values, levels, _beside(by, values), _beside(more * 255, values))
            store(into, values.clamp_(0, 255).round_())
        return
    for into, levels, more in zip(out, image, (shift * 255).tolist(), strict=True):
        rows = zip(levels, into, more, strict=True) if isinstance(more, list) else [(levels, into, more)]
        for plane, there, level in rows:
            whole = max(min(round(level), 255), -255)
            if whole >= 0:
                torch.clamp(plane, max=255 - whole, out=there).add_(whole)
            else:
                torch.clamp(plane, min=-whole, out=there).sub_(-whole)


@pixelwise
@planar
def adjust_tone_curve(image: Tensor, low_y: Tensor | float, high_y: Tensor | float) -> Tensor:
    """Bend the tones of each sample along a Bezier curve from black to white.

    Args:
        image: (B, C, H, W); values beyond black and white are taken as these.
        low_y: (B,), (B, C) or a number, 0 to 1: height of the curve's first control point; 1/3 is neutral.
        high_y: likewise of the second; 2/3 is neutral.

    Shape:
        (B, C, H, W) to the same.

    Source: albumentations.RandomToneCurve, whose table of 256 entries it meets to half a level.

    Example:
        >>> import torch
        >>> from gpuaug.functional import adjust_tone_curve
        >>> adjust_tone_curve(torch.tensor([[[[0.0, 0.5, 1.0]]]]), 0.0, 0.0).flatten().tolist()
        [0.0, 0.125, 1.0]
    """

    def bent(value: Tensor, low: Tensor, high: Tensor) -> Tensor:
        # t + 3 t (1 - t) ((1 - t) (low - 1/3) + t (high - 2/3)): what is neutral is exactly so.
        t = value.clamp(0, 1)
        rest = 1 - t
        return (t + 3 * t * rest * (rest * (low - 1 / 3) + t * (high - 2 / 3))).clamp(0, 1)

    return each(image, bent, low_y, high_y)  # type: ignore[no-any-return]


@pixelwise
@planar
@rgb
def scale_hsv(image: Tensor, hue: Tensor | float, saturation: Tensor | float, value: Tensor | float) -> Tensor:
    """Turn the hue and multiply saturation and value of each sample.

    Args:
        image: (B, C, H, W), C 1 (only the value changes) or 3.
        hue: (B,) or a number, in turns; 0 is neutral.
        saturation: (B,) or a number, factor, at least 0; 1 is neutral.
        value: likewise.

    Shape:
        (B, C, H, W) to the same; saturation and value are clamped.

    Raises:
        ValueError: for another number of channels.

    Source: ultralytics' RandomHSV, without its rounding of hue, saturation and value to whole numbers.

    Example:
        >>> import torch
        >>> from gpuaug.functional import scale_hsv
        >>> scale_hsv(torch.tensor([0.5, 0.25, 0.25]).view(1, 3, 1, 1), 0.0, 2.0, 1.0).flatten().tolist()
        [0.5, 0.0, 0.0]
    """
    need_rgb(image, "scale_hsv")
    planes: Any = [plane.clamp(0, 1) for plane in split(image)]
    gain = beside(value, planes[0])  # type: ignore[arg-type]
    if len(planes) == 1:
        return join([(planes[0] * gain).clamp(0, 1)], image)  # type: ignore[no-any-return]
    angle, height, chroma = hsv_of(*planes)
    purity = chroma / torch.where(height == 0, torch.ones_like(height), height)
    purity = (purity * beside(saturation, height)).clamp(0, 1)  # type: ignore[arg-type]
    height = (height * gain).clamp(0, 1)
    turned = angle + beside(hue, height) * 6  # type: ignore[arg-type]
    return join(rgb_of(turned, height, height * purity), image)  # type: ignore[no-any-return]
