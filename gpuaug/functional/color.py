"""Colour of each sample by its own parameters: brightness, contrast, saturation, hue, gray, channels."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.functional._door import column, pixelwise, planes

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


def _luma(x: Tensor) -> Tensor:
    """Return the gray value (B, H, W)."""
    if x.shape[1] == 1:
        return x[:, 0]
    return x[:, 0] * RED + x[:, 1] * GREEN + x[:, 2] * BLUE


def _need_rgb(x: Tensor, name: str) -> None:
    if x.shape[1] not in (1, 3):
        raise ValueError(
            f"{name}: images must have 1 or 3 channels (say channels=(0, 1, 2) for the RGB of more), got {x.shape[1]}"
        )


@pixelwise
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
    return (image * column(factor, image)).clamp(0, 1)  # type: ignore[arg-type]


@pixelwise
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
    _need_rgb(image, "adjust_contrast")
    mean = _luma(image).mean(dim=(1, 2)).view(-1, 1, 1, 1)
    f = column(factor, image)  # type: ignore[arg-type]
    return (image * f + mean * (1 - f)).clamp(0, 1)


@pixelwise
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
    _need_rgb(image, "adjust_saturation")
    if image.shape[1] == 1:
        return image
    f = column(factor, image)  # type: ignore[arg-type]
    return (image * f + _luma(image)[:, None] * (1 - f)).clamp(0, 1)


def _hue_distance(high: Tensor, low: Tensor, r: Tensor, g: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return six times the hue, in (-1, 5], and the chroma."""
    chroma = high - low
    inverse = 1 / torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    hue = torch.where(
        high == r, (g - b) * inverse, torch.where(high == g, (b - r) * inverse + 2, (r - g) * inverse + 4)
    )
    return hue, chroma


def _from_hue(hue: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """Return RGB (B, 3, H, W) from six times the hue, value and chroma, without branches."""
    channels = []
    for n in (5.0, 3.0, 1.0):
        k = torch.remainder(hue + n, 6)
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, dim=1)


@pixelwise
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
    _need_rgb(image, "adjust_hue")
    if image.shape[1] == 1:
        return image
    r, g, b = image.unbind(dim=1)
    high = torch.maximum(torch.maximum(r, g), b)
    low = torch.minimum(torch.minimum(r, g), b)
    hue, chroma = _hue_distance(high, low, r, g, b)
    return _from_hue(hue + planes(shift, image) * 6, high, chroma)  # type: ignore[arg-type]


@pixelwise
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
    _need_rgb(image, "adjust_hue_saturation_value")
    up = planes(val_shift, image) / 255  # type: ignore[arg-type]
    if image.shape[1] == 1:
        return (image + up[:, None]).clamp(0, 1)
    image = image.clamp(0, 1)
    r, g, b = image.unbind(dim=1)
    high = torch.maximum(torch.maximum(r, g), b)
    low = torch.minimum(torch.minimum(r, g), b)
    hue, chroma = _hue_distance(high, low, r, g, b)
    saturation = chroma / torch.where(high == 0, torch.ones_like(high), high)
    saturation = (saturation + planes(sat_shift, image) / 255).clamp(0, 1)  # type: ignore[arg-type]
    value = (high + up).clamp(0, 1)
    return _from_hue(hue + planes(hue_shift, image) * (6 / 180), value, value * saturation)  # type: ignore[arg-type]


@pixelwise
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
    _need_rgb(image, "rgb_to_grayscale")
    gray = _luma(image)[:, None]
    count = num_output_channels or image.shape[1]
    return gray if count == 1 else gray.expand(-1, count, -1, -1)


@pixelwise
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
    shift = column(brightness, image)  # type: ignore[arg-type]
    if not brightness_by_max:
        shift = shift * image.mean(dim=(1, 2, 3), keepdim=True)
    return (image * (1 + column(contrast, image)) + shift).clamp(0, 1)  # type: ignore[arg-type]


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
def drop_channels(image: Tensor, dropped: Tensor, fill: float = 0.0) -> Tensor:
    """Replace some channels of each sample by a value.

    Args:
        image: (B, C, H, W).
        dropped: (B, C) bool.
        fill: on the scale black = 0, white = 1.

    Shape:
        (B, C, H, W) to the same.

    Source: albumentations.ChannelDropout.

    Example:
        >>> import torch
        >>> from gpuaug.functional import drop_channels
        >>> drop_channels(torch.ones(1, 2, 1, 1), torch.tensor([[True, False]])).flatten().tolist()
        [0.0, 1.0]
    """
    return image.masked_fill(dropped[:, :, None, None], fill)
