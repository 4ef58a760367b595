"""Intensity of each sample, or of each of its channels: scale and shift, as for medical and satellite images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Distribution, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import MAX_CHANNELS, Drawn, Photometric, check_channels
from gpuaug.transforms.layer import Context
from gpuaug.transforms.tint import scaled

__all__ = ["RandScaleIntensity", "RandShiftIntensity"]


class _Intensity(Photometric):
    """One number for each sample, or for each of its channels."""

    name: ClassVar[str]
    single = True

    def __init__(
        self,
        law: Distribution,
        p: Number,
        channel_wise: bool,
        channels: tuple[int, ...] | None,
        keys: Sequence[str] | None,
    ) -> None:
        super().__init__(p, channels, keys)
        self.channel_wise = bool(channel_wise)
        self.declare(**{self.name: (law, MAX_CHANNELS if self.channel_wise else 1)})

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, (B,) or (B, C)."""
        if not self.channel_wise:
            return raw
        check_channels(context.channels, type(self).__name__)
        return {self.name: raw[self.name][:, : context.channels]}


class RandScaleIntensity(_Intensity):
    """Multiply the values of each sample, or of each of its channels, by 1 + what is drawn.

    Args:
        factors: range of what is added to the factor 1; a number x means -x to x; 0 is neutral.
        p: probability for each sample; 0 is neutral.
        channel_wise: whether each channel has a factor of its own.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same, clamped to black and white; C at most 64 with `channel_wise`.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for factors below -1.

    Source: monai.transforms.RandScaleIntensity (`prob` is `p` here), whose images have no black and white.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandScaleIntensity((0.5, 0.5), p=1.0)(torch.full((1, 1, 1, 2), 0.25)).flatten().tolist()
        [0.375, 0.375]
    """

    neutral: ClassVar[Mapping[str, float]] = {"factor": 0.0}
    name = "factor"

    def __init__(
        self,
        factors: Range,
        p: Number = 0.1,
        channel_wise: bool = False,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        law = as_distribution(factors, owner="RandScaleIntensity", name="factors", symmetric_about=0.0, low=-1.0)
        super().__init__(law, p, channel_wise, channels, keys)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the scale."""
        return [[scaled(1 + values["factor"], torch.zeros_like(values["factor"]))]]


class RandShiftIntensity(_Intensity):
    """Add to the values of each sample, or of each of its channels, what is drawn.

    Args:
        offsets: range of what is added, as a fraction of white; a number x means -x to x; 0 is neutral.
        p: probability for each sample; 0 is neutral.
        channel_wise: whether each channel has an offset of its own.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same, clamped to black and white; C at most 64 with `channel_wise`.

    Boxes and masks:
        Unchanged.

    Source: monai.transforms.RandShiftIntensity (`prob` is `p` here), whose images have no black and white.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandShiftIntensity((0.5, 0.5), p=1.0)(torch.full((1, 1, 1, 2), 0.25)).flatten().tolist()
        [0.75, 0.75]
    """

    neutral: ClassVar[Mapping[str, float]] = {"offset": 0.0}
    name = "offset"

    def __init__(
        self,
        offsets: Range,
        p: Number = 0.1,
        channel_wise: bool = False,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        law = as_distribution(offsets, owner="RandShiftIntensity", name="offsets", symmetric_about=0.0)
        super().__init__(law, p, channel_wise, channels, keys)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the shift."""
        return [[scaled(torch.ones_like(values["offset"]), values["offset"])]]
