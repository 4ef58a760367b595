"""Shadows with sides and creases of paper on each sample, as closed forms of the position."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.functional._door import beside, each, pixelwise, planar, split

__all__ = ["cast_shadows", "crease", "entries", "places"]


def places(plane: Tensor) -> tuple[Tensor, Tensor]:
    """Return columns (W,) and rows (H, 1), from 0."""
    h, w = plane.shape[1:]
    x = torch.arange(w, device=plane.device, dtype=plane.dtype)
    return x, torch.arange(h, device=plane.device, dtype=plane.dtype)[:, None]


def entries(operand: Tensor, plane: Tensor) -> list[Tensor]:
    """Return the columns of (B, n) as (B, 1, 1) in the dtype of the values."""
    return [beside(column, plane) for column in operand.unbind(1)]


def _sides(polygon: Tensor) -> list[list[Tensor]]:
    """Return x and y of both ends of each side of polygons (B, D, 2), (B, 1, 1) each."""
    ends = torch.cat((polygon, polygon.roll(-1, 1)), dim=2)
    return [list(side[:, :, None, None].unbind(1)) for side in ends.unbind(1)]


@pixelwise
@planar
def cast_shadows(image: Tensor, corners: Tensor, intensity: Tensor) -> Tensor:
    """Darken polygons of each sample.

    Args:
        image: (B, C, H, W).
        corners: (B, K, D, 2), x and y of each polygon's corners in pixels, counted from 0; sides may cross, and what is
            enclosed twice lies outside.
        intensity: (B, K), from 0, where there is no shadow, to 1, which is black.

    Shape:
        (B, C, H, W) to the same.

    Source: albumentations.RandomShadow, but for pixels on the sides.

    Example:
        >>> import torch
        >>> from gpuaug.functional import cast_shadows
        >>> square = torch.tensor([[[[0.5, -1.0], [1.5, -1.0], [1.5, 3.0], [0.5, 3.0]]]])
        >>> cast_shadows(torch.ones(1, 1, 1, 3), square, torch.tensor([[0.5]])).flatten().tolist()
        [1.0, 0.5, 1.0]
    """
    plane = split(image)[0]
    x, y = places(plane)
    gain: Any = 1.0
    for polygon, dark in zip(corners.to(plane.dtype).unbind(1), intensity.unbind(1), strict=True):
        inside: Any = None
        for x0, y0, x1, y1 in _sides(polygon):
            # Upwards or downwards, a side is crossed by the ray to the right of what lies left of it.
            crossed = ((y0 <= y) != (y1 <= y)) & (((x - x0) * (y1 - y0) < (y - y0) * (x1 - x0)) == (y1 > y0))
            inside = crossed if inside is None else inside ^ crossed
        gain = gain * torch.where(inside, 1 - beside(dark, plane), 1.0)
    return each(image, lambda value, g: (value * g).clamp(0, 1), gain)  # type: ignore[no-any-return]


@pixelwise
@planar
def crease(image: Tensor, lines: Tensor, strength: Tensor) -> Tensor:
    """Show creases of paper on each sample: light and dark on their sides, worn to white along them.

    Where t is the distance from a line, in widths and with a sign, the gain is the sum of
    1 + ridge * t * exp((1 - t^2) / 2) + tilt * tanh(t / 2) of all lines; then wear * exp(-4 t^2) blends with white.

    Args:
        image: (B, C, H, W).
        lines: (B, K, 4): nx, ny, offset and width; the line is where nx * column + ny * row = offset.
        strength: (B, K, 3): ridge, tilt and wear; 0 is neutral.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Source: none; what a fold does to light that comes from one side.

    Example:
        >>> import torch
        >>> from gpuaug.functional import crease
        >>> line, strength = torch.tensor([[[1.0, 0.0, 1.0, 1.0]]]), torch.tensor([[[0.5, 0.0, 0.0]]])
        >>> crease(torch.full((1, 1, 1, 3), 0.5), line, strength).flatten().tolist()
        [0.25, 0.5, 0.75]
    """
    plane = split(image)[0]
    x, y = places(plane)
    gain: Any = 1.0
    worn: Any = 0.0
    for line, amounts in zip(lines.unbind(1), strength.unbind(1), strict=True):
        nx, ny, offset, width = entries(line, plane)
        ridge, tilt, wear = entries(amounts, plane)
        t = (nx * x + ny * y - offset) / width
        square = t * t
        gain = gain + ridge * t * torch.exp(0.5 - 0.5 * square) + tilt * (2 * torch.sigmoid(t) - 1)
        worn = worn + wear * torch.exp(-4 * square)
    worn = worn.clamp(max=1)

    def shown(value: Tensor, g: Tensor, white: Tensor) -> Tensor:
        lit = value * g
        return (lit + (1 - lit) * white).clamp(0, 1)

    return each(image, shown, gain, worn)  # type: ignore[no-any-return]
