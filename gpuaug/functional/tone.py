"""Tone of each sample: gamma, invert, solarize, posterize, autocontrast, equalize, normalise."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from gpuaug.functional._door import each, pixelwise, planar, store, translate

__all__ = [
    "adjust_gamma",
    "autocontrast",
    "equalize",
    "invert",
    "normalize",
    "normalize_by_image",
    "posterize",
    "solarize",
    "solarize_add",
]

EPSILON = 1e-4
"""What keeps the division of `normalize_by_image` finite, as in Albumentations."""


@pixelwise
@planar
def adjust_gamma(image: Tensor, gamma: Tensor | float, gain: float = 1.0) -> Tensor:
    """Raise the values of each sample to its power.

    Args:
        image: (B, C, H, W).
        gamma: (B,) or a number, positive; 1 is neutral.
        gain: factor of the result; 1 is neutral.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Source: torchvision.transforms.v2.functional.adjust_gamma, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import adjust_gamma
        >>> adjust_gamma(torch.full((1, 1, 1, 1), 0.5), 2.0).item()
        0.25
    """

    def power(value: Tensor, exponent: Tensor) -> Tensor:
        # Black has no logarithm: it is kept apart, with a gradient of zero instead of NaN.
        lit = value > 0
        raised = torch.where(lit, value, torch.ones_like(value)).pow(exponent) * gain
        return torch.where(lit, raised, torch.zeros_like(value)).clamp(0, 1)

    return each(image, power, gamma)  # type: ignore[no-any-return]


def write_gamma(out: Tensor, image: Tensor, unit: float, gamma: Tensor, gain: float = 1.0) -> None:
    """Write what `adjust_gamma` gives on the CPU, where a logarithm and an exponential are far cheaper than a power."""
    if image.dtype != out.dtype:
        out.copy_(image)
        image = out
    torch.clamp(image, 0, unit if gain == 1 else None, out=out)
    # A power of two would do as well, but torch's is not the same wherever a value stands.
    (out if unit == 1 else out.div_(unit)).log_().mul_(float(gamma)).exp_()
    if gain != 1:
        out.mul_(gain).clamp_(0, 1)


def gamma_one(image: Tensor, gamma: Tensor, gain: float = 1.0) -> Tensor:
    """Return what `adjust_gamma` gives of one sample (1, C, H, W)."""
    out = torch.empty_like(image)
    write_gamma(out, image, 1.0, gamma, gain)
    return out


@pixelwise
@planar
def invert(image: Tensor) -> Tensor:
    """Exchange black and white.

    Args:
        image: (B, C, H, W).

    Shape:
        (B, C, H, W) to the same.

    Source: torchvision.transforms.v2.functional.invert.

    Example:
        >>> import torch
        >>> from gpuaug.functional import invert
        >>> invert(torch.full((1, 1, 1, 1), 55, dtype=torch.uint8)).item()
        200
    """
    return each(image, lambda value: 1 - value)  # type: ignore[no-any-return]


@pixelwise
@planar
def solarize(image: Tensor, threshold: Tensor | float) -> Tensor:
    """Invert the values of each sample at or above its threshold.

    Args:
        image: (B, C, H, W).
        threshold: (B,) or a number, in the image's unit: 0..255 for uint8.

    Shape:
        (B, C, H, W) to the same.

    Source: torchvision.transforms.v2.functional.solarize.

    Example:
        >>> import torch
        >>> from gpuaug.functional import solarize
        >>> solarize(torch.tensor([[[[0.25, 0.75]]]]), 0.5).flatten().tolist()
        [0.25, 0.25]
    """
    # Half a millionth below, so that a uint8 threshold meets its own level whatever the rounding of x / 255.
    return each(  # type: ignore[no-any-return]
        image, lambda value, t: torch.where(value >= t - 5e-7, 1 - value, value), threshold
    )


def solarize_one(image: Tensor, threshold: Tensor) -> Tensor:
    """Solarize one sample (1, C, H, W) on the CPU, where comparing and choosing are slow and arithmetic is not."""
    above = (image - (float(threshold) - 5e-7)).floor_().add_(1).clamp_(0, 1)
    inverted = 1 - image
    return torch.lerp(image, inverted, above, out=inverted)


@pixelwise
@planar
def solarize_add(image: Tensor, addition: Tensor | float) -> Tensor:
    """Add to the dark values of each sample: those below the middle of the scale.

    Args:
        image: (B, C, H, W).
        addition: (B,) or a number, in the image's unit: 0..255 for uint8; 0 is neutral.

    Shape:
        (B, C, H, W) to the same; clamped to white.

    Source: timm's SolarizeAdd, with its threshold of 128.

    Example:
        >>> import torch
        >>> from gpuaug.functional import solarize_add
        >>> solarize_add(torch.tensor([[[[0.25, 0.75]]]]), 0.5).flatten().tolist()
        [0.75, 0.75]
    """
    return each(  # type: ignore[no-any-return]
        image, lambda value, a: torch.where(value < 0.5, (value + a).clamp(max=1), value), addition
    )


@pixelwise
@planar
def posterize(image: Tensor, bits: Tensor | float, levels: int | None = None) -> Tensor:
    """Keep some bits of the values of each sample.

    Args:
        image: (B, C, H, W).
        bits: (B,) or a number, 0 to 8.
        levels: 255 where the values are those of a uint8 image, which keep their upper bits; None for floats, which
            are cut into 2 ** bits steps.

    Shape:
        (B, C, H, W) to the same.

    Source: torchvision.transforms.v2.functional.posterize.

    Example:
        >>> import torch
        >>> from gpuaug.functional import posterize
        >>> posterize(torch.full((1, 1, 1, 1), 100, dtype=torch.uint8), 2).item()
        64
    """

    def cut(value: Tensor, kept: Tensor) -> Tensor:
        if levels is not None:
            step = torch.exp2(torch.round(8 - kept))
            return torch.floor(torch.round(value * levels) / step) * step / levels
        steps = torch.exp2(torch.round(kept))
        return torch.minimum(torch.floor(value * steps), steps - 1).clamp(min=0) / steps

    return each(image, cut, bits)  # type: ignore[no-any-return]


def posterize_one(image: Tensor, bits: Tensor, levels: int | None = None) -> Tensor:
    """Keep some bits of one sample (1, C, H, W) on the CPU."""
    kept = round(float(bits))
    if levels is None:
        steps = 2.0**kept
        return (image * steps).floor_().clamp_(0, steps - 1).mul_(1 / steps)
    step = 2.0 ** (8 - kept)
    return (image * levels).round_().mul_(1 / step).floor_().mul_(step / levels)


@pixelwise
def autocontrast(image: Tensor) -> Tensor:
    """Stretch the values of each channel of each sample to black and white.

    Args:
        image: (B, C, H, W); a constant channel stays.

    Shape:
        (B, C, H, W) to the same.

    Source: torchvision.transforms.v2.functional.autocontrast, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import autocontrast
        >>> autocontrast(torch.tensor([[[[0.25, 0.5]]]])).flatten().tolist()
        [0.0, 1.0]
    """
    low, high = image.amin(dim=(2, 3), keepdim=True), image.amax(dim=(2, 3), keepdim=True)
    flat = high == low
    span = torch.where(flat, torch.ones_like(high), high - low)
    return torch.where(flat, image, (image - low) / span).clamp(0, 1)


def autocontrast_one(image: Tensor) -> Tensor:
    """Stretch the values of one sample (1, C, H, W) on the CPU: a constant channel is 0 to 1 already."""
    low, high = image.amin(dim=(2, 3), keepdim=True), image.amax(dim=(2, 3), keepdim=True)
    flat = high == low
    return (image - torch.where(flat, 0, low)).div_(torch.where(flat, 1, high - low)).clamp_(0, 1)


@pixelwise
def equalize(image: Tensor) -> Tensor:
    """Equalize the histogram of each channel of each sample.

    Args:
        image: (B, C, H, W); floats are cut to 256 levels, as in torchvision.

    Shape:
        (B, C, H, W) to the same.

    Source: torchvision.transforms.v2.functional.equalize, exactly for uint8.

    Example:
        >>> import torch
        >>> from gpuaug.functional import equalize
        >>> equalize(torch.tensor([10, 20], dtype=torch.uint8).repeat(300).view(1, 1, 20, 30)).unique().tolist()
        [0, 255]
    """
    b, c, h, w = image.shape
    level = torch.floor(torch.nan_to_num(image.detach()).clamp(0, 1) * 255.999).to(torch.int64).reshape(b * c, h * w)
    histogram = torch.zeros((b * c, 256), dtype=torch.int64, device=image.device)
    histogram.scatter_add_(1, level, torch.ones_like(level))
    total = histogram.cumsum(dim=1)
    # The count of the brightest level that occurs: what is left of N before it is reached.
    brightest = level.amax(dim=1, keepdim=True)
    step = torch.div(h * w - histogram.gather(1, brightest), 255, rounding_mode="floor")
    divisor = step.clamp(min=1)
    table = torch.div(total + torch.div(step, 2, rounding_mode="floor"), divisor, rounding_mode="floor")
    table = torch.cat((torch.zeros_like(step), table[:, :-1]), dim=1).clamp(0, 255)
    equal = table.gather(1, level)
    out = torch.where(step == 0, level, equal).to(image.dtype) / 255
    return out.view(b, c, h, w)


def equal_levels(image: Tensor) -> Tensor:
    """Return what equalizing makes of each level, (C, 256) whole numbers, for one sample (1, C, H, W) of levels."""
    c, h, w = image.shape[1:]
    # Small arrays: NumPy handles them in a fraction of torch's time.
    histogram = np.stack([torch.bincount(channel, minlength=256).numpy() for channel in image.reshape(c, h * w)])
    brightest = 255 - np.argmax(histogram[:, ::-1] != 0, axis=1)
    step = (h * w - histogram[np.arange(c), brightest][:, None]) // 255
    table = (histogram.cumsum(axis=1) + step // 2) // np.maximum(step, 1)
    table = np.concatenate((np.zeros_like(step), table[:, :-1]), axis=1).clip(0, 255)
    return torch.from_numpy(np.where(step == 0, np.arange(256), table))


def write_equalized(out: Tensor, image: Tensor, unit: float) -> None:
    """Write what `equalize` gives of one sample (1, C, H, W), in bytes on the way, channel by channel."""
    level = torch.empty(image.shape, dtype=torch.uint8)
    values = image.to(out.dtype) if unit == 1 else image.to(out.dtype) / unit
    store(level, values.clamp(0, 1).nan_to_num_().mul_(255.999))
    for plane, row in zip(level[0], equal_levels(level).to(torch.uint8), strict=True):
        translate(plane, plane, row)
    out.copy_(level).div_(255)


def equalize_one(image: Tensor) -> Tensor:
    """Return what `equalize` gives of one sample (1, C, H, W) on the CPU."""
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    write_equalized(out, image, 1.0)
    return out


@pixelwise
@planar
def normalize(image: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Subtract a mean and divide by a standard deviation.

    Args:
        image: (B, C, H, W).
        mean: (C,) or (B, C), on the scale black = 0, white = 1.
        std: likewise, positive.

    Shape:
        (B, C, H, W) to the same; uint8 gives float32.

    Source: torchvision.transforms.v2.functional.normalize, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import normalize
        >>> normalize(torch.ones(1, 1, 1, 1), torch.tensor([[0.5]]), torch.tensor([[0.25]])).item()
        2.0
    """
    inverse = 1 / std
    shift = -mean * inverse
    rows = (inverse[None], shift[None]) if inverse.dim() == 1 else (inverse, shift)
    return each(image, lambda value, factor, rest: (value * factor).add_(rest), *rows)  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=64)
def _shift_and_factor(
    mean: tuple[float, ...], std: tuple[float, ...], dtype: torch.dtype
) -> tuple[list[float], list[float]]:
    """Return what normalising adds and multiplies by for each channel, rounded as `normalize` rounds."""
    inverse = 1 / torch.tensor(std, dtype=dtype)
    return (-torch.tensor(mean, dtype=dtype) * inverse).tolist(), inverse.tolist()


def normalize_into(out: Tensor, image: Tensor, unit: float, mean: Tensor, std: Tensor) -> None:
    """Write normalised values of images in units of their own, where white is `unit`: one step for each channel."""
    if image.dtype != out.dtype:  # in the step itself torch would do so far more slowly
        out.copy_(image)
        image = out
    b, c = image.shape[:2]
    means, deviations = mean.expand(b, c).tolist(), std.expand(b, c).tolist()
    made = [_shift_and_factor(tuple(m), tuple(s), std.dtype) for m, s in zip(means, deviations, strict=True)]
    alike = all(one == made[0] for one in made)
    parts = [(image, out)] if alike else zip(image.split(1), out.split(1), strict=True)
    for (values, into), (shifts, factors) in zip(parts, made, strict=False):
        for plane, there, shift, factor in zip(values.unbind(1), into.unbind(1), shifts, factors, strict=True):
            torch.add(out.new_full((), shift), plane, alpha=factor / unit, out=there)


@pixelwise
def normalize_by_image(image: Tensor, mode: str = "image") -> Tensor:
    """Normalise each sample by its own mean and deviation, or extremes.

    Args:
        image: (B, C, H, W).
        mode: "image", "image_per_channel", "min_max" or "min_max_per_channel".

    Shape:
        (B, C, H, W) to the same; uint8 gives float32.

    Source: albumentations.Normalize.

    Example:
        >>> import torch
        >>> from gpuaug.functional import normalize_by_image
        >>> normalize_by_image(torch.rand(2, 3, 4, 5), mode="min_max").shape
        torch.Size([2, 3, 4, 5])
    """
    dims = (2, 3) if mode.endswith("per_channel") else (1, 2, 3)
    if mode.startswith("min_max"):
        low, high = image.amin(dim=dims, keepdim=True), image.amax(dim=dims, keepdim=True)
        return (image - low) / (high - low + EPSILON)
    mean = image.mean(dim=dims, keepdim=True)
    centred = image - mean
    deviation = torch.sqrt((centred * centred).mean(dim=dims, keepdim=True) + 1e-20)
    return centred / (deviation + EPSILON)
