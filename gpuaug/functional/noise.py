"""Noise of each sample, given as uniform or normal values: speckle, dead pixels, photons, sensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gpuaug.functional._door import each, join, pixelwise, planar, split
from gpuaug.functional.color import hsv_of, need_rgb, rgb, rgb_of

__all__ = ["iso_noise", "line_noise", "multiplicative_noise", "pixel_dropout", "salt_and_pepper", "shot_noise"]

FEW = 6.0
"""Expected counts below which the Poisson law is summed up, term by term."""
_TERMS = 24
"""As many terms as float32 tells from one another at that rate."""
_LAST = 1 - 2.0**-19
"""The last place that is told from one: what float32 sums up may stay below one by half as much."""


@pixelwise
@planar
def salt_and_pepper(image: Tensor, amount: Tensor | float, salt: Tensor | float, noise: Tensor) -> Tensor:
    """Make some pixels of each sample white, and others black.

    Args:
        image: (B, C, H, W).
        amount: (B,) or a number: share of the pixels that are replaced; 0 is neutral.
        salt: (B,) or a number: share of these that become white.
        noise: (B, 1, H, W) uniform in [0, 1); (B, C, H, W) where each channel has its own.

    Shape:
        (B, C, H, W) to the same.

    Source: albumentations.SaltAndPepper, where each pixel is drawn for itself instead of a number of them.

    Example:
        >>> import torch
        >>> from gpuaug.functional import salt_and_pepper
        >>> u = torch.tensor([0.1, 0.4, 0.9]).view(1, 1, 1, 3)
        >>> salt_and_pepper(torch.full((1, 1, 1, 3), 0.5), 0.6, 0.5, u).flatten().tolist()
        [1.0, 0.0, 0.5]
    """

    def put(value: Tensor, share: Tensor, white: Tensor, u: Tensor) -> Tensor:
        return torch.where(u < share, (u < share * white).to(value.dtype), value)

    return each(image, put, amount, salt, noise)  # type: ignore[no-any-return]


@pixelwise
@planar
def multiplicative_noise(image: Tensor, multiplier: Tensor) -> Tensor:
    """Multiply the values of each sample.

    Args:
        image: (B, C, H, W).
        multiplier: broadcastable to (B, C, H, W); 1 is neutral.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Source: albumentations.MultiplicativeNoise.

    Example:
        >>> import torch
        >>> from gpuaug.functional import multiplicative_noise
        >>> multiplicative_noise(torch.full((1, 1, 1, 1), 100, dtype=torch.uint8), torch.full((1, 1, 1, 1), 1.2)).item()
        120
    """
    return each(image, lambda value, factor: (value * factor).clamp(0, 1), multiplier)  # type: ignore[no-any-return]


@pixelwise
@planar
def pixel_dropout(image: Tensor, dropout_prob: Tensor | float, noise: Tensor, values: Tensor) -> Tensor:
    """Replace single pixels of each sample.

    Args:
        image: (B, C, H, W).
        dropout_prob: (B,) or a number: share of the pixels that are replaced; 0 is neutral.
        noise: (B, 1, H, W) uniform in [0, 1); (B, C, H, W) where each channel has its own.
        values: in the image's unit, broadcastable to (B, C, H, W).

    Shape:
        (B, C, H, W) to the same.

    Source: albumentations.PixelDropout.

    Example:
        >>> import torch
        >>> from gpuaug.functional import pixel_dropout
        >>> u = torch.tensor([0.1, 0.4]).view(1, 1, 1, 2)
        >>> pixel_dropout(torch.ones(1, 1, 1, 2), 0.3, u, torch.zeros(1, 1, 1, 1)).flatten().tolist()
        [0.0, 1.0]
    """

    def put(value: Tensor, share: Tensor, u: Tensor, new: Tensor) -> Tensor:
        return torch.where(u < share, new, value)

    return each(image, put, dropout_prob, noise, values)  # type: ignore[no-any-return]


def poisson(rate: Tensor, normal: Tensor) -> Tensor:
    """Return counts of given rates: the inverse of the Poisson law at the place that standard normal values have.

    Below a rate of `FEW` the law is summed up; above, the first four terms of its expansion about the normal law are
    cut to whole numbers, which is another count for one value in a thousand, and 1e-4 of a count on average.
    """
    rate, normal = rate.detach().contiguous(), normal.to(rate.dtype).contiguous()
    few = rate.clamp(max=FEW)
    place = (0.5 * (1 + torch.erf(normal * math.sqrt(0.5)))).clamp(max=_LAST)
    term = torch.exp(-few)
    below = term.clone()
    count = torch.zeros_like(rate)
    for k in range(1, _TERMS + 1):
        count = count + (place > below)
        term = term * (few * (1 / k))
        below = below + term
    many = rate.clamp(min=FEW)
    root, square = torch.sqrt(many), normal * normal
    expanded = many + root * normal + (1 / 3) + square * (1 / 6) - normal * ((1 / 36) + square * (1 / 72)) / root
    expanded = expanded + (square * (7 / 810) + square * square * (1 / 270) - (8 / 405)) / many
    return torch.where(rate < FEW, count, torch.floor(expanded).clamp_(min=0))


def _powered(value: Tensor, exponent: float) -> Tensor:
    """Return a power of values of at least 0, the same wherever they lie in memory, which `pow` is not."""
    lit = value > 0
    return torch.where(lit, torch.exp(torch.log(torch.where(lit, value, 1.0)) * exponent), 0.0)


@pixelwise
@planar
def shot_noise(image: Tensor, scale: Tensor | float, noise: Tensor) -> Tensor:
    """Let each value of a sample be a count of photons, linear light over `scale`.

    Args:
        image: (B, C, H, W).
        scale: (B,) or a number, the linear light of one photon; 0 is neutral.
        noise: (B, C, H, W) standard normal values, which the counts follow.

    Shape:
        (B, C, H, W) to the same; clamped to black and white. A count has no gradient.

    Source: albumentations.ShotNoise (gamma 2.2, Poisson), with the inverse of the law; see Hasinoff, "Photon, Poisson
    noise" (2014).

    Example:
        >>> import torch
        >>> from gpuaug.functional import shot_noise
        >>> shot_noise(torch.ones(1, 1, 1, 2), 0.5, torch.tensor([-2.0, 0.3]).view(1, 1, 1, 2)).flatten().tolist()
        [0.0, 1.0]
    """

    def counted(value: Tensor, one: Tensor, normal: Tensor) -> Tensor:
        light = _powered(value.detach().clamp(0, 1).contiguous(), 2.2)
        count = poisson(light / one.clamp(min=1e-12) + 1e-6, normal)
        return torch.where(one > 0, _powered((count * one).clamp(max=1), 1 / 2.2), value)

    return each(image, counted, scale, noise)  # type: ignore[no-any-return]


@pixelwise
@planar
@rgb
def iso_noise(image: Tensor, color_shift: Tensor | float, intensity: Tensor | float, noise: Tensor) -> Tensor:
    """Add the noise of a camera at high sensitivity: hues turn, and lightness rises by photons.

    Args:
        image: (B, C, H, W), C 1 (only lightness) or 3.
        color_shift: (B,) or a number: times `intensity` the standard deviation of the hue, in turns.
        intensity: (B,) or a number, at least 0: of both; 0 is neutral.
        noise: (B, 2, H, W) standard normal values, of hue and of lightness.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Raises:
        ValueError: for another number of channels.

    Source: albumentations.ISONoise, with the shift in turns as its documentation has it, not in degrees.

    Example:
        >>> import torch
        >>> from gpuaug.functional import iso_noise
        >>> iso_noise(torch.rand(2, 3, 4, 5), 0.05, 0.5, torch.randn(2, 2, 4, 5)).shape
        torch.Size([2, 3, 4, 5])
    """
    need_rgb(image, "iso_noise")
    planes = [plane.clamp(0, 1) for plane in split(image)]
    gray = len(planes) == 1
    if gray:
        light = planes[0]
    else:
        hue, value, chroma = hsv_of(*planes)
        light = value - 0.5 * chroma
    strength = intensity.to(light.dtype).view(-1, 1, 1)  # type: ignore[union-attr]
    flat = light.flatten(1)
    spread = torch.sqrt((flat - flat.mean(1, keepdim=True)).square().mean(1) + 1e-20).view(-1, 1, 1)
    count = poisson((spread * strength).expand_as(light), noise[:, 1])
    lit = (light + count * strength * (1 - light)).clamp(max=1)
    if gray:
        return join([lit], image)  # type: ignore[no-any-return]
    share = chroma / (1 - (2 * light - 1).abs()).clamp(min=1e-6)
    chroma = share.clamp(max=1) * (1 - (2 * lit - 1).abs())
    turn = color_shift.to(light.dtype).view(-1, 1, 1) * strength * noise[:, 0]  # type: ignore[union-attr]
    colors = rgb_of(hue + 6 * turn, lit + 0.5 * chroma, chroma)
    return join([plane.clamp(0, 1) for plane in colors], image)  # type: ignore[no-any-return]


@pixelwise
@planar
def line_noise(image: Tensor, sigma: Tensor | float, noise: Tensor) -> Tensor:
    """Shift whole rows or columns of each sample by normal values, as sensors do that read line by line.

    Args:
        image: (B, C, H, W).
        sigma: (B,) or a number: standard deviation on the scale black = 0, white = 1; 0 is neutral.
        noise: standard normal values, (B, 1 or C, H, 1) for rows, (B, 1 or C, 1, W) for columns.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Source: the fixed pattern and row noise of image sensors, EMVA standard 1288.

    Example:
        >>> import torch
        >>> from gpuaug.functional import line_noise
        >>> line_noise(torch.zeros(1, 1, 2, 1), 0.5, torch.tensor([1.0, -1.0]).view(1, 1, 2, 1)).flatten().tolist()
        [0.5, 0.0]
    """

    def shifted(value: Tensor, scale: Tensor, normal: Tensor) -> Tensor:
        return (value + scale * normal).clamp(0, 1)

    return each(image, shifted, sigma, noise)  # type: ignore[no-any-return]
