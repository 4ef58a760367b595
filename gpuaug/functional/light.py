"""Light on each sample: gains and colours that vary over the image, by a formula of the position or by a small map."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gpuaug.functional._door import each, pixelwise, planar, row, split

__all__ = ["contrast_by_map", "shade", "shade_by_map"]

PROFILES = ("identity", "root", "exp", "exp_root", "sigmoid", "sine")
"""What is made of the polynomial: itself, its root, its exponential, that of minus its root, its logistic function, the
sine of so many turns."""
MODES = ("gain", "add", "toward")


@pixelwise
@planar
def shade(
    image: Tensor,
    frame: Tensor,
    coefficients: Tensor,
    amount: Tensor,
    profile: str = "identity",
    color: tuple[float, ...] | None = None,
    clip: bool = True,
) -> Tensor:
    """Multiply each sample by a gain that is a formula of the position, or blend it with a colour by it.

    With u = (column - x) * scale_x, v = (row - y) * scale_y and a polynomial q of u and v the gain is
    a + b * profile(q); a pixel becomes gain * value + (1 - gain) * colour.

    Args:
        image: (B, C, H, W).
        frame: (B, 4): x, y, scale_x, scale_y; columns and rows are counted from 0.
        coefficients: (B, (n + 1) (n + 2) / 2) of the powers u^i v^j with i + j <= n, j running fastest.
        amount: (B, 2): a and b.
        profile: "identity" for q, "root" for sqrt(q), "exp" for e^q, "exp_root" for e^-sqrt(q), "sigmoid" for
            1 / (1 + e^-q), "sine" for sin(2 pi q); a root is taken of 0 where q is negative.
        color: one number, or one for each channel, on the scale black = 0, white = 1; None is black.
        clip: whether the result is clamped to black and white.

    Shape:
        (B, C, H, W) to the same.

    Source: albumentations.Illumination, torchio.RandomBiasField and the law of Koschmieder are of this form.

    Example:
        >>> import torch
        >>> from gpuaug.functional import shade
        >>> frame, slope = torch.tensor([[0.0, 0.0, 0.5, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]])
        >>> shade(torch.ones(1, 1, 1, 3), frame, slope, torch.tensor([[1.0, -1.0]])).flatten().tolist()
        [1.0, 0.5, 0.0]
    """
    gain = formula(frame, coefficients, amount, profile, split(image)[0])
    if color is None:
        return each(image, lambda value, g: _kept(value * g, clip), gain)  # type: ignore[no-any-return]
    return each(  # type: ignore[no-any-return]
        image, lambda value, g, c: _kept(c + (value - c) * g, clip), gain, row(image, color)
    )


def _kept(value: Tensor, clip: bool) -> Tensor:
    return value.clamp(0, 1) if clip else value


def order_of(terms: int) -> int:
    """Return the order of a polynomial of two variables from its number of terms."""
    order = 0
    while (order + 1) * (order + 2) // 2 < terms:
        order += 1
    if (order + 1) * (order + 2) // 2 != terms:
        raise ValueError(f"shade: coefficients must be 1, 3, 6, 10, ... for each sample, got {terms}")
    return order


def formula(frame: Tensor, coefficients: Tensor, amount: Tensor, profile: str, plane: Tensor) -> Tensor:
    """Return a + b * profile(q) at the pixels (B, H, W) of a plane."""
    if profile not in PROFILES:
        raise ValueError(f"shade: profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    x, y, sx, sy = (n.to(plane.dtype).view(-1, 1, 1) for n in frame.unbind(1))
    h, w = plane.shape[1:]
    u = (torch.arange(w, device=plane.device, dtype=plane.dtype) - x) * sx
    v = (torch.arange(h, device=plane.device, dtype=plane.dtype)[:, None] - y) * sy
    terms = [c.to(plane.dtype).view(-1, 1, 1) for c in coefficients.unbind(1)]
    q: Any = None
    order = order_of(len(terms))
    for i in range(order, -1, -1):  # Horner's rule, in u with polynomials of v as coefficients
        start = i * (order + 1) - i * (i - 1) // 2
        inner = terms[start + order - i]
        for j in range(order - i - 1, -1, -1):
            inner = inner * v + terms[start + j]
        q = inner if q is None else q * u + inner
    if profile in ("root", "exp_root"):
        q = torch.sqrt(q.clamp(min=1e-12))
    if profile in ("exp", "exp_root"):
        q = torch.exp(q if profile == "exp" else -q)
    elif profile == "sigmoid":
        q = torch.sigmoid(q)
    elif profile == "sine":
        q = torch.sin((q - torch.floor(q)) * (2 * math.pi))
    a, b = (n.to(plane.dtype).view(-1, 1, 1) for n in amount.unbind(1))
    return a + b * q  # type: ignore[no-any-return]


def laid(field: Tensor, plane: Tensor) -> Tensor:
    """Return a map (B, h, w) at the pixels (B, H, W) of a plane: bilinear, corners on the corner pixels' centres."""
    spread = torch.nn.functional.interpolate(
        field.to(plane.dtype)[:, None], plane.shape[1:], mode="bilinear", align_corners=True
    )
    return spread[:, 0]


@pixelwise
@planar
def shade_by_map(image: Tensor, field: Tensor, mode: str = "gain", color: tuple[float, ...] | None = None) -> Tensor:
    """Change the light of each sample by a map, which is laid over the image and read bilinearly.

    Args:
        image: (B, C, H, W).
        field: (B, h, w), from 2 to 8191 a side; its corners lie on the centres of the corner pixels.
        mode: "gain" multiplies by it, "add" adds it (on the scale black = 0, white = 1), "toward" blends with the
            colour: 0 keeps the image, 1 shows the colour.
        color: for "toward": one number, or one for each channel, on the scale black = 0, white = 1; None is white.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Source: albumentations.PlasmaShadow is the gain 1 - intensity * plasma.

    Example:
        >>> import torch
        >>> from gpuaug.functional import shade_by_map
        >>> shade_by_map(torch.ones(1, 1, 1, 3), torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])).flatten().tolist()
        [0.0, 0.5, 1.0]
    """
    if mode not in MODES:
        raise ValueError(f"shade_by_map: mode must be one of {', '.join(MODES)}, got {mode!r}")
    by = laid(field, split(image)[0])
    if mode == "toward":
        return each(  # type: ignore[no-any-return]
            image, lambda value, m, c: (value + (c - value) * m).clamp(0, 1), by, row(image, color or (1.0,))
        )
    if mode == "add":
        return each(image, lambda value, m: (value + m).clamp(0, 1), by)  # type: ignore[no-any-return]
    return each(image, lambda value, m: (value * m).clamp(0, 1), by)  # type: ignore[no-any-return]


@pixelwise
@planar
def contrast_by_map(image: Tensor, field: Tensor) -> Tensor:
    """Raise or lower the contrast of each sample about its mean, by a map laid over the image.

    Args:
        image: (B, C, H, W).
        field: (B, h, w), what is added to the factor 1; 0 is neutral; read as `shade_by_map` does.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Source: the second step of albumentations.PlasmaBrightnessContrast.

    Example:
        >>> import torch
        >>> from gpuaug.functional import contrast_by_map
        >>> contrast_by_map(torch.tensor([[[[0.25, 0.75]]]]), torch.ones(1, 2, 2)).flatten().tolist()
        [0.0, 1.0]
    """
    planes = split(image)
    total: Any = sum(planes)  # first, so that the mean does not depend on the memory format
    mean = total.mean(dim=(1, 2)) / len(planes)
    by = laid(field, planes[0])
    return each(  # type: ignore[no-any-return]
        image, lambda value, m, middle: (value + (value - middle) * m).clamp(0, 1), by, mean
    )


def doubled(field: Tensor) -> Tensor:
    """Return a map (B, n, n) at twice the resolution, 2 n - 1 a side, smoothly (bicubic)."""
    side = 2 * field.shape[1] - 1
    return torch.nn.functional.interpolate(field[:, None], (side, side), mode="bicubic", align_corners=True)[:, 0]


def fractal(noise: Tensor, roughness: Tensor, octaves: int) -> Tensor:
    """Return fractal maps (B, n, n) between 0 and 1, n = 2^octaves + 1: as midpoints are displaced, octave by octave.

    Args:
        noise: (B, N) uniform numbers for all octaves, see `nodes`.
        roughness: (B,), by what the amplitude of each octave is multiplied.
        octaves: how often the distance of the nodes is halved, from the whole image on.
    """
    total: Tensor = noise[:, :4].unflatten(1, (2, 2)) - 0.5
    start, weight = 4, roughness
    for octave in range(1, octaves + 1):
        side = 2**octave + 1
        fresh = noise[:, start : start + side * side].unflatten(1, (side, side)) - 0.5
        total = doubled(total) + weight[:, None, None] * fresh
        start, weight = start + side * side, weight * roughness
    low, high = total.amin(dim=(1, 2), keepdim=True), total.amax(dim=(1, 2), keepdim=True)
    return (total - low) / (high - low).clamp(min=1e-12)


def nodes(octaves: int) -> int:
    """Return how many uniform numbers a fractal map is made of."""
    return sum((2**octave + 1) ** 2 for octave in range(octaves + 1))
