"""Colour of each sample by its own parameters: brightness, contrast, saturation, hue, gray, channels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gpuaug.functional._door import Pixels, beside, each, join, pixelwise, planar, split

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_hue_saturation_value",
    "adjust_saturation",
    "brightness_contrast",
    "drop_channels",
    "permute_channels",
    "rgb_to_grayscale",
]

RED, GREEN, BLUE = 0.2989, 0.587, 0.114
"""Weights of the gray value, as torchvision's (their sum is 0.9999)."""


def _luma(x: Pixels) -> Tensor:
    """Return the gray value (B, H, W)."""
    planes = split(x)
    if len(planes) == 1:
        return planes[0]
    return torch.add(torch.add(planes[0] * RED, planes[1], alpha=GREEN), planes[2], alpha=BLUE)


def need_rgb(x: Pixels, name: str) -> int:
    channels = len(x) if isinstance(x, list) else x.shape[1]
    if channels not in (1, 3):
        raise ValueError(
            f"{name}: images must have 1 or 3 channels (say channels=(0, 1, 2) for the RGB of more), got {channels}"
        )
    return channels


def rgb(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Mark a function that takes 1 or 3 channels."""
    function.needs_rgb = True  # type: ignore[attr-defined]
    return function


def _blend(value: Tensor, factor: Tensor, rest: Tensor) -> Tensor:
    """Return value * factor + rest, between black and white."""
    return (value * factor).add_(rest).clamp_(0, 1)


@pixelwise
@planar
def adjust_brightness(image: Tensor, factor: Tensor | float) -> Tensor:
    """Multiply each sample by its factor.

    Args:
        image: (B, C, H, W).
        factor: (B,) or a number, at least 0; 1 is neutral.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Source: torchvision.transforms.v2.functional.adjust_brightness, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import adjust_brightness
        >>> adjust_brightness(torch.full((1, 1, 1, 1), 100, dtype=torch.uint8), 1.5).item()
        150
    """
    return each(image, lambda value, f: (value * f).clamp_(0, 1), factor)  # type: ignore[no-any-return]


@pixelwise
@planar
@rgb
def adjust_contrast(image: Tensor, factor: Tensor | float) -> Tensor:
    """Blend each sample with the mean of its gray values.

    Args:
        image: (B, C, H, W), C 1 or 3.
        factor: (B,) or a number, at least 0; 1 is neutral, 0 gives the mean.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Raises:
        ValueError: for another number of channels.

    Source: torchvision.transforms.v2.functional.adjust_contrast, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import adjust_contrast
        >>> adjust_contrast(torch.tensor([[[[0.25, 0.75]]]]), 0.0).flatten().tolist()
        [0.5, 0.5]
    """
    need_rgb(image, "adjust_contrast")
    mean = _luma(image).mean(dim=(1, 2))
    f = factor.to(mean.dtype)  # type: ignore[union-attr]
    return each(image, _blend, f, mean * (1 - f))  # type: ignore[no-any-return]


@pixelwise
@planar
@rgb
def adjust_saturation(image: Tensor, factor: Tensor | float) -> Tensor:
    """Blend each pixel with its gray value.

    Args:
        image: (B, C, H, W), C 1 (unchanged) or 3.
        factor: (B,) or a number, at least 0; 1 is neutral, 0 gives gray.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Raises:
        ValueError: for another number of channels.

    Source: torchvision.transforms.v2.functional.adjust_saturation, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import adjust_saturation
        >>> adjust_saturation(torch.rand(2, 3, 4, 5), 0.5).shape
        torch.Size([2, 3, 4, 5])
    """
    need_rgb(image, "adjust_saturation")
    if len(split(image)) == 1:
        return image
    gray = _luma(image)
    return each(image, _blend, factor, gray * (1 - beside(factor, gray)))  # type: ignore[arg-type,no-any-return]


def hsv_of(red: Tensor, green: Tensor, blue: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return six times the hue, in -3..3, the value and the chroma.

    Where g >= b, six times the hue is 1 + (g + b - r - min) / chroma in all three sectors, and its mirror image
    where g < b: no branches.
    """
    value = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    chroma = value - low
    size = (green + blue - red - low) / chroma.clamp(min=1e-12) + 1
    return torch.copysign(size, green - blue), value, chroma


def rgb_of(hue: Tensor, value: Tensor, chroma: Tensor) -> list[Tensor]:
    """Return red, green and blue of six times the hue (any turn), value and chroma."""
    hue = hue - 6 * torch.round(hue * (1 / 6))
    shares = (hue.abs() - 1, 2 - (hue + 1).abs(), 2 - (hue - 1).abs())
    return [value - chroma * share.clamp_(0, 1) for share in shares]


@pixelwise
@planar
@rgb
def adjust_hue(image: Tensor, shift: Tensor | float) -> Tensor:
    """Turn the hue of each sample.

    Args:
        image: (B, C, H, W), C 1 (unchanged) or 3.
        shift: (B,) or a number, in turns, -0.5 to 0.5; 0 is neutral.

    Shape:
        (B, C, H, W) to the same; value and chroma kept.

    Raises:
        ValueError: for another number of channels.

    Source: torchvision.transforms.v2.functional.adjust_hue, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import adjust_hue
        >>> adjust_hue(torch.rand(2, 3, 4, 5), torch.tensor([0.1, -0.1])).shape
        torch.Size([2, 3, 4, 5])
    """
    need_rgb(image, "adjust_hue")
    if len(split(image)) == 1:
        return image
    hue, value, chroma = hsv_of(*split(image))
    turned = hue + beside(shift, hue) * 6  # type: ignore[arg-type]
    return join(rgb_of(turned, value, chroma), image)  # type: ignore[no-any-return]


@pixelwise
@planar
@rgb
def adjust_hue_saturation_value(
    image: Tensor, hue_shift: Tensor | float, sat_shift: Tensor | float, val_shift: Tensor | float
) -> Tensor:
    """Shift hue, saturation and value of each sample.

    Args:
        image: (B, C, H, W), C 1 (only the value shifts) or 3.
        hue_shift: (B,) or a number, in degrees on OpenCV's scale of 180; 0 is neutral.
        sat_shift: (B,) or a number, on a scale of 255; 0 is neutral.
        val_shift: (B,) or a number, on a scale of 255; 0 is neutral.

    Shape:
        (B, C, H, W) to the same; saturation and value are clamped.

    Raises:
        ValueError: for another number of channels.

    Source: albumentations.HueSaturationValue, without its rounding of hue, saturation and value to whole numbers.

    Example:
        >>> import torch
        >>> from gpuaug.functional import adjust_hue_saturation_value
        >>> adjust_hue_saturation_value(torch.rand(2, 3, 4, 5), 10, 20, -5).shape
        torch.Size([2, 3, 4, 5])
    """
    need_rgb(image, "adjust_hue_saturation_value")
    first = split(image)[0]
    up = beside(val_shift, first) / 255  # type: ignore[arg-type]
    if len(split(image)) == 1:
        return join([(first + up).clamp(0, 1)], image)  # type: ignore[no-any-return]
    hue, value, chroma = hsv_of(*(plane.clamp(0, 1) for plane in split(image)))
    saturation = chroma / torch.where(value == 0, torch.ones_like(value), value)
    saturation = (saturation + beside(sat_shift, first) / 255).clamp(0, 1)  # type: ignore[arg-type]
    value = (value + up).clamp(0, 1)
    turned = hue + beside(hue_shift, first) * (6 / 180)  # type: ignore[arg-type]
    return join(rgb_of(turned, value, value * saturation), image)  # type: ignore[no-any-return]


@pixelwise
@planar
@rgb
def rgb_to_grayscale(image: Tensor, num_output_channels: int = 1) -> Tensor:
    """Turn images gray.

    Args:
        image: (B, C, H, W), C 1 or 3.
        num_output_channels: 1 or 3; 0 keeps the number.

    Shape:
        (B, C, H, W) to (B, num_output_channels, H, W).

    Raises:
        ValueError: for another number of channels.

    Source: torchvision.transforms.v2.functional.rgb_to_grayscale, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import rgb_to_grayscale
        >>> rgb_to_grayscale(torch.rand(2, 3, 4, 5)).shape
        torch.Size([2, 1, 4, 5])
    """
    channels = need_rgb(image, "rgb_to_grayscale")
    gray, count = _luma(image), num_output_channels or channels
    if isinstance(image, list):
        return [gray] * count
    return gray[:, None] if count == 1 else gray[:, None].expand(-1, count, -1, -1)


@pixelwise
@planar
def brightness_contrast(
    image: Tensor, brightness: Tensor | float, contrast: Tensor | float, brightness_by_max: bool = True
) -> Tensor:
    """Scale and shift the values of each sample: x (1 + contrast) + brightness.

    Args:
        image: (B, C, H, W).
        brightness: (B,) or a number, a fraction of white (or of the sample's mean); 0 is neutral.
        contrast: (B,) or a number, what is added to the factor 1; 0 is neutral.
        brightness_by_max: whether brightness is a fraction of white, else of the sample's mean.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Source: albumentations.RandomBrightnessContrast.

    Example:
        >>> import torch
        >>> from gpuaug.functional import brightness_contrast
        >>> brightness_contrast(torch.full((1, 1, 1, 1), 0.5), 0.25, 0.0).item()
        0.75
    """
    shift = brightness
    if not brightness_by_max:
        planes = split(image)
        shift = shift * sum(plane.mean(dim=(1, 2)) for plane in planes) / len(planes)
    return each(image, _blend, 1 + contrast, shift)  # type: ignore[no-any-return]


@pixelwise
def permute_channels(image: Tensor, order: Tensor) -> Tensor:
    """Put the channels of each sample into its own order.

    Args:
        image: (B, C, H, W).
        order: (B, C) int64: output channel c shows input channel order[b, c].

    Shape:
        (B, C, H, W) to the same; bit-exact.

    Source: torchvision.transforms.v2.functional.permute_channels.

    Example:
        >>> import torch
        >>> from gpuaug.functional import permute_channels
        >>> permute_channels(torch.tensor([[[[0.1]], [[0.2]]]]), torch.tensor([[1, 0]])).flatten()[0].item() > 0.15
        True
    """
    return torch.gather(image, 1, order[:, :, None, None].expand_as(image))


@pixelwise
@planar
def drop_channels(image: Tensor, dropped: Tensor, fill: float = 0.0) -> Tensor:
    """Replace some channels of each sample by a value.

    Args:
        image: (B, C, H, W).
        dropped: (B, C) bool.
        fill: value in the image's unit: 0..255 for uint8.

    Shape:
        (B, C, H, W) to the same.

    Source: albumentations.ChannelDropout.

    Example:
        >>> import torch
        >>> from gpuaug.functional import drop_channels
        >>> drop_channels(torch.ones(1, 2, 1, 1), torch.tensor([[True, False]])).flatten().tolist()
        [0.0, 1.0]
    """
    return each(image, lambda value, drop: value.masked_fill(drop, fill), dropped)  # type: ignore[no-any-return]
