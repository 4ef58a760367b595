"""WaterRefraction: a scene seen through moving water."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.sampling.counts import as_counts
from gpuaug.sampling.distributions import Uniform, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn
from gpuaug.transforms.bend import Bending
from gpuaug.transforms.layer import Context

__all__ = ["WaterRefraction"]

MAX_WAVES = 64


class WaterRefraction(Bending):
    """Show each sample as through water or wavy glass: waves of drawn directions, lengths and phases bend it.

    Each of n waves shifts what is seen along its direction, by amplitude / n * sin(2 pi (place / wavelength + phase))
    where place is the distance from the image's middle in that direction.

    Args:
        amplitude_range: range of the largest shift that all waves make together, as a fraction of the shorter side; 0
            is neutral.
        wavelength_range: range of the length of a wave, as a fraction of the shorter side, drawn for each wave. Nothing
            folds where it is longer than 2 pi times the amplitude.
        num_waves_range: (low, high) number of waves, at most 64, or a distribution of it.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        fill: value outside the image, in the input's unit.
        antialias: whether the filter widens where the image shrinks (default), or reads as the peers do.
        p: probability for each sample.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Moved with the image; a point in a fold of the water, which has no one place, is no longer visible.

    Raises:
        ValueError: for a negative amplitude, a wavelength that is not positive, or a number of waves below 1 or above
            64.

    Source: AlbumentationsX.WaterRefraction, its arguments; what is outside the image is filled, not mirrored.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.WaterRefraction((0.01, 0.02), (0.2, 0.4), p=1.0)(torch.zeros(2, 3, 40, 50)).shape
        torch.Size([2, 3, 40, 50])
    """

    neutral: ClassVar[Mapping[str, float]] = {"amplitude": 0.0}

    def __init__(
        self,
        amplitude_range: Range = (0.01, 0.05),
        wavelength_range: Range = (0.05, 0.2),
        num_waves_range: Range = (3, 7),
        interpolation: Any = None,
        fill: Any = None,
        *,
        antialias: bool | None = None,
        p: Number = 0.5,
    ) -> None:
        """See the class."""
        super().__init__(p, interpolation, fill, antialias)
        owner = "WaterRefraction"
        count = as_counts(num_waves_range, owner, "num_waves_range")
        most = int(count.support()[1])
        if most > MAX_WAVES:
            raise ValueError(f"{owner}: num_waves_range must end at {MAX_WAVES} at most, got {num_waves_range!r}")
        self.declare(
            amplitude=as_distribution(amplitude_range, owner=owner, name="amplitude_range", low=0.0, high=1.0),
            wavelength=(as_distribution(wavelength_range, owner=owner, name="wavelength_range", low=1e-3), most),
            count=count,
            direction=(Uniform(0.0, 360.0), most),
            phase=(Uniform(0.0, 1.0), most),
        )

    def field(self, values: Drawn, context: Context) -> Tensor:
        """Return the sum of the waves."""
        h, w = context.canvas
        side = min(h, w)
        wavelength, direction, phase = (_waves(values[name]) for name in ("wavelength", "direction", "phase"))
        number = torch.arange(wavelength.shape[1], device=wavelength.device)
        count = values["count"].to(torch.float32)[:, None]
        share = values["amplitude"].to(torch.float32)[:, None] * (side / count) * (number < count)
        turn = torch.deg2rad(direction)
        across, down = torch.cos(turn), torch.sin(turn)
        like = context.like
        x = torch.arange(w, device=like.device, dtype=torch.float32) + (0.5 - w / 2)
        y = torch.arange(h, device=like.device, dtype=torch.float32) + (0.5 - h / 2)
        rate = 2 * math.pi / (wavelength * side)
        along_x = (rate * across)[..., None] * x
        along_y = (rate * down)[..., None] * y + (2 * math.pi * phase)[..., None]
        # Of sin(a + b) the two products, summed one by one: autocast would round a product of matrices.
        parts = [(torch.sin(along_x), torch.cos(along_y)), (torch.cos(along_x), torch.sin(along_y))]
        planes = []
        for size in (share * across, share * down):
            total: Tensor = along_x.new_zeros((along_x.shape[0], h, w))
            for i in range(wavelength.shape[1]):
                for columns, rows in parts:
                    total = torch.addcmul(total, (size[:, i, None] * rows[:, i])[:, :, None], columns[:, i, None])
            planes.append(total)
        return torch.stack(planes, dim=1)


def _waves(drawn: Tensor) -> Tensor:
    """Return a number (B, waves) for each wave."""
    return (drawn if drawn.dim() == 2 else drawn[:, None]).to(torch.float32)
