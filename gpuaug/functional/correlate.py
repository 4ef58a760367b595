"""Blurs and sharpeners that are small kernels of each sample by its own numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.functional import taps
from gpuaug.functional._door import pixelwise
from gpuaug.functional.blur import filter2d

__all__ = ["advanced_blur", "box_blur", "defocus", "emboss", "motion_blur", "sharpen"]


@pixelwise
def box_blur(image: Tensor, size: Tensor | float, largest: int = 7) -> Tensor:
    """Replace each pixel by the mean of a square around it, of a side for each sample.

    Args:
        image: (B, C, H, W).
        size: (B,) or a number: odd side in pixels; 1 is neutral.
        largest: odd bound of the sides, for the grid of taps.

    Shape:
        (B, C, H, W) to the same; the border is reflected.

    Source: cv2.blur, to 1e-6.

    Example:
        >>> import torch
        >>> from gpuaug.functional import box_blur
        >>> box_blur(torch.rand(2, 3, 8, 9), torch.tensor([3.0, 7.0])).shape
        torch.Size([2, 3, 8, 9])
    """
    return _filtered(image, taps.box_kernel(_each(size, image), largest))


@pixelwise
def motion_blur(
    image: Tensor,
    size: Tensor | float,
    angle: Tensor | float,
    direction: Tensor | float = 0.0,
    shift_x: Tensor | float = 0.0,
    shift_y: Tensor | float = 0.0,
    largest: int = 7,
) -> Tensor:
    """Smear each sample along a line of its own.

    Args:
        image: (B, C, H, W).
        size: (B,) or a number: odd side of the square that holds the line, in pixels; 1 is neutral.
        angle: (B,) or a number: degrees from the x axis towards the y axis, downwards.
        direction: (B,) or a number: -1 for a line that ends in the pixel, 0 for one about it, 1 for one from it on.
        shift_x: (B,) or a number from -1 to 1: shift of the line, in quarters of the side.
        shift_y: likewise, downwards.
        largest: odd bound of the sides, for the grid of taps.

    Shape:
        (B, C, H, W) to the same; the border is reflected.

    Source: the kernel of albumentations.MotionBlur with cv2.filter2D, to 1e-6.

    Example:
        >>> import torch
        >>> from gpuaug.functional import motion_blur
        >>> motion_blur(torch.rand(2, 3, 8, 9), torch.tensor([3.0, 7.0]), torch.tensor([0.0, 60.0])).shape
        torch.Size([2, 3, 8, 9])
    """
    given = [_each(v, image) for v in (size, angle, direction, shift_x, shift_y)]
    return _filtered(image, taps.motion_kernel(*given, largest=largest))


@pixelwise
def defocus(image: Tensor, radius: Tensor | float, alias_blur: Tensor | float = 0.1, largest: int = 10) -> Tensor:
    """Spread each pixel over a disk of a radius for each sample, as a lens out of focus does.

    Args:
        image: (B, C, H, W).
        radius: (B,) or a number: whole pixels; 0, with an `alias_blur` of 0, is neutral.
        alias_blur: (B,) or a number: standard deviation in pixels of the Gaussian that softens the rim.
        largest: bound of the radii, for the grid of taps.

    Shape:
        (B, C, H, W) to the same; the border is reflected.

    Source: the kernel of albumentations.Defocus with cv2.filter2D, to 1e-6.

    Example:
        >>> import torch
        >>> from gpuaug.functional import defocus
        >>> defocus(torch.rand(2, 3, 18, 19), torch.tensor([3.0, 5.0]), 0.3, largest=5).shape
        torch.Size([2, 3, 18, 19])
    """
    kernel = taps.defocus_kernel(_each(radius, image), _each(alias_blur, image), largest)
    return _filtered(image, kernel)


@pixelwise
def sharpen(image: Tensor, alpha: Tensor | float, lightness: Tensor | float = 1.0) -> Tensor:
    """Blend each sample with what sets its pixels apart from their neighbours.

    Args:
        image: (B, C, H, W).
        alpha: (B,) or a number from 0, which is neutral, to 1.
        lightness: (B,) or a number: how much of the pixel itself is left at alpha = 1; 1 keeps the brightness.

    Shape:
        (B, C, H, W) to the same; the border is reflected; clamped to black and white.

    Source: albumentations.Sharpen with method="kernel", to 1e-6.

    Example:
        >>> import torch
        >>> from gpuaug.functional import sharpen
        >>> sharpen(torch.rand(2, 3, 8, 9), torch.tensor([0.2, 0.5])).shape
        torch.Size([2, 3, 8, 9])
    """
    return _filtered(image, taps.sharpen_kernel(_each(alpha, image), _each(lightness, image)), clip=True)


@pixelwise
def emboss(image: Tensor, alpha: Tensor | float, strength: Tensor | float = 0.5) -> Tensor:
    """Blend each sample with a relief of itself, lit from the upper left.

    Args:
        image: (B, C, H, W).
        alpha: (B,) or a number from 0, which is neutral, to 1.
        strength: (B,) or a number: height of the relief, from 0.

    Shape:
        (B, C, H, W) to the same; the border is reflected; clamped to black and white.

    Source: albumentations.Emboss, to 1e-6.

    Example:
        >>> import torch
        >>> from gpuaug.functional import emboss
        >>> emboss(torch.rand(2, 3, 8, 9), torch.tensor([0.2, 0.5])).shape
        torch.Size([2, 3, 8, 9])
    """
    return _filtered(image, taps.emboss_kernel(_each(alpha, image), _each(strength, image)), clip=True)


@pixelwise
def advanced_blur(
    image: Tensor,
    size: Tensor | float,
    sigma_x: Tensor | float,
    sigma_y: Tensor | float,
    angle: Tensor | float = 0.0,
    beta: Tensor | float = 1.0,
    noise: Tensor | float = 1.0,
    largest: int = 7,
) -> Tensor:
    """Blur each sample with a turned generalised Gaussian of its own.

    Args:
        image: (B, C, H, W).
        size: (B,) or a number: odd side of the square of taps; 1 is neutral.
        sigma_x: (B,) or a number: standard deviation in pixels along one axis of the ellipse.
        sigma_y: likewise along the other.
        angle: (B,) or a number: degrees by which the axes are turned, from x towards y, downwards.
        beta: (B,) or a number: power of the squared distance; 1 is a Gaussian, less has tails, more is flat.
        noise: factors of the taps, (B, largest * largest), or a number.
        largest: odd bound of the sides, for the grid of taps.

    Shape:
        (B, C, H, W) to the same; the border is reflected.

    Source: the kernel of albumentations.AdvancedBlur with cv2.filter2D, to 1e-6.

    Example:
        >>> import torch
        >>> from gpuaug.functional import advanced_blur
        >>> advanced_blur(torch.rand(2, 3, 8, 9), 5, torch.tensor([0.5, 2.0]), 1.0, angle=30.0).shape
        torch.Size([2, 3, 8, 9])
    """
    given = [_each(v, image) for v in (size, sigma_x, sigma_y, angle, beta)]
    factors = _each(noise, image)
    factors = factors[:, None].expand(-1, largest * largest) if factors.dim() == 1 else factors
    return _filtered(image, taps.advanced_kernel(*given, noise=factors, largest=largest))


def _each(value: Tensor | float, image: Tensor) -> Tensor:
    """Return one number for each sample."""
    if isinstance(value, Tensor):
        return value.to(image.dtype)
    return torch.full((image.shape[0],), float(value), dtype=image.dtype, device=image.device)


def _filtered(image: Tensor, kernel: Tensor, clip: bool = False) -> Tensor:
    out: Tensor = filter2d.working(image, kernel, clip=clip)
    return out
