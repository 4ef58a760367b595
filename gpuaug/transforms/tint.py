"""Tints: the tone curve, shifts of red, green and blue, gains in HSV, sepia."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

from gpuaug import functional as F
from gpuaug.functional._constants import Constants
from gpuaug.functional.tint import mix_levels, mix_one, scale_into, scale_levels_into, scale_one, write_mixed
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Normal, as_distribution, static_range
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.varying import least, most
from gpuaug.transforms.base import MAX_CHANNELS, Drawn, Photometric, check_channels
from gpuaug.transforms.color import choice
from gpuaug.transforms.layer import Context

__all__ = ["RGBShift", "RandomHSV", "RandomToneCurve", "ToSepia", "need_channels"]


def need_channels(owner: str, channels: int, *allowed: int) -> None:
    """Raise for images of another number of channels."""
    if channels not in allowed:
        counts = " or ".join(str(count) for count in allowed)
        raise ValueError(
            f"{owner}: images must have {counts} channels, or channels= must name {counts} bands (channels=(0, 1, 2)),"
            f" got {channels}"
        )


class RandomToneCurve(Photometric):
    """Bend the tones of each sample along a curve drawn for it: dark and bright areas trade contrast.

    The curve is a Bezier curve from black to white; the heights of its two inner control points are drawn about 1/4
    and 3/4, which alone is a gentle S.

    Args:
        scale: standard deviation of the two heights, 0 to 1; 0 gives the gentle S to all.
        per_channel: whether each channel has a curve of its own, which changes colours.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same, C at most 64 with `per_channel`.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a scale outside 0..1.

    Source: albumentations.RandomToneCurve, with the curve itself in place of its table of 256 rounded entries.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomToneCurve(0.0, p=1.0)(torch.tensor([[[[0.0, 0.25, 0.5, 1.0]]]])).flatten().tolist()
        [0.0, 0.2265625, 0.5, 1.0]
    """

    neutral: ClassVar[Mapping[str, float]] = {"low_y": 1 / 3, "high_y": 2 / 3}

    single = True

    def __init__(
        self,
        scale: Number = 0.1,
        per_channel: bool = False,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        if isinstance(scale, bool) or not 0 <= least(scale) <= most(scale) <= 1:
            raise ValueError(f"RandomToneCurve: scale must be between 0 and 1, got {scale!r}")
        self.per_channel = bool(per_channel)
        columns = MAX_CHANNELS if self.per_channel else 1
        self.declare(low_y=(Normal(0.25, scale), columns), high_y=(Normal(0.75, scale), columns))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `low_y` and `high_y`, (B,) or (B, C), between black and white."""
        if self.per_channel:
            check_channels(context.channels, "RandomToneCurve")
            raw = {name: heights[:, : context.channels] for name, heights in raw.items()}
        return {name: heights.clamp(0, 1) for name, heights in raw.items()}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the curve."""
        return [[choice(F.adjust_tone_curve, values["low_y"], values["high_y"])]]


class RGBShift(Photometric):
    """Add to red, green and blue of each sample what is drawn for each.

    Args:
        r_shift_limit: range of what is added to red; a number x means -x to x; 0 is neutral. A range that leaves -1..1
            is on a scale of 255, another one on that of black = 0, white = 1, whatever the dtype of the images.
        g_shift_limit: likewise to green.
        b_shift_limit: likewise to blue.
        p: probability for each sample; 0 is neutral.
        channels: bands that are the RGB, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, 3, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for shifts beyond 255; when called on images of another number of channels.

    Source: albumentations.RGBShift; kornia.augmentation.RandomRGBShift, whose defaults are 0.5.

    Example:
        >>> import torch, gpuaug as ga
        >>> shift = ga.RGBShift((51, 51), (0.25, 0.25), 0, p=1.0)
        >>> [round(v, 2) for v in shift(torch.zeros(1, 3, 1, 1)).flatten().tolist()]
        [0.2, 0.25, 0.0]
    """

    neutral: ClassVar[Mapping[str, float]] = {"r_shift": 0.0, "g_shift": 0.0, "b_shift": 0.0}

    single = True

    def __init__(
        self,
        r_shift_limit: Range = (-20, 20),
        g_shift_limit: Range = (-20, 20),
        b_shift_limit: Range = (-20, 20),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        limits = {"r": r_shift_limit, "g": g_shift_limit, "b": b_shift_limit}
        laws = {
            f"{name}_shift": as_distribution(
                value, owner="RGBShift", name=f"{name}_shift_limit", symmetric_about=0.0, low=-255.0, high=255.0
            )
            for name, value in limits.items()
        }
        self._units = {name: 255.0 if max(map(abs, static_range(law))) > 1 else 1.0 for name, law in laws.items()}
        self.declare(**laws)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `r_shift`, `g_shift` and `b_shift` on the scale black = 0, white = 1."""
        return {name: shift / self._units[name] for name, shift in raw.items()}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the shift."""
        need_channels("RGBShift", context.channels, 3)
        shift = torch.stack([values["r_shift"], values["g_shift"], values["b_shift"]], dim=1)
        return [[scaled(torch.ones_like(shift[:, 0]), shift)]]


class RandomHSV(Photometric):
    """Turn the hue and multiply saturation and value of each sample, by what is drawn for each.

    Args:
        hgain: range of the turn of the hue, in whole turns; a number x means -x to x; 0 is neutral.
        sgain: range of the saturation's factor; a number x means max(0, 1 - x) to 1 + x; 0 is neutral, and 1 in a pair.
        vgain: likewise of the value's.
        p: probability for each sample; 0 is neutral.
        channels: bands that are the RGB, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same, C 1 (only the value changes) or 3.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a hue beyond a turn, or factors that are negative.

    Source: ultralytics.data.augment.RandomHSV, whose training takes (0.015, 0.7, 0.4), without its rounding of hue,
        saturation and value to whole numbers.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomHSV(0.015, 0.7, 0.4)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"hue": 0.0, "saturation": 1.0, "value": 1.0}

    single = True

    def __init__(
        self,
        hgain: Range = 0.5,
        sgain: Range = 0.5,
        vgain: Range = 0.5,
        *,
        p: Number = 1.0,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "RandomHSV"
        self.declare(
            hue=as_distribution(hgain, owner=owner, name="hgain", symmetric_about=0.0, low=-1.0, high=1.0),
            saturation=as_distribution(sgain, owner=owner, name="sgain", symmetric_about=1.0, low=0.0, cut=0.0),
            value=as_distribution(vgain, owner=owner, name="vgain", symmetric_about=1.0, low=0.0, cut=0.0),
        )

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the gains."""
        return [[choice(F.scale_hsv, values["hue"], values["saturation"], values["value"])]]


SEPIA = ((0.393, 0.769, 0.189, 0.0), (0.349, 0.686, 0.168, 0.0), (0.272, 0.534, 0.131, 0.0))
"""Weights of red, green and blue in the brown of old photographs, and what is added."""


class ToSepia(Photometric):
    """Give each sample the brown of old photographs, with probability `p`.

    Args:
        p: probability for each sample; 0 is neutral.
        channels: bands that are the RGB, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same, C 1 (unchanged) or 3.

    Boxes and masks:
        Unchanged.

    Source: albumentations.ToSepia.

    Example:
        >>> import torch, gpuaug as ga
        >>> brown = ga.ToSepia(p=1.0)(torch.full((1, 3, 1, 1), 100, dtype=torch.uint8))
        >>> brown.flatten().tolist()
        [135, 120, 94]
    """

    single = True

    def __init__(
        self, p: Number = 0.5, *, channels: tuple[int, ...] | None = None, keys: Sequence[str] | None = None
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        self._matrix = Constants(SEPIA)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the matrix; one channel is brown already."""
        need_channels("ToSepia", context.channels, 1, 3)
        batch, device = context.like.shape[0], context.like.device
        if context.channels == 1:
            matrix = torch.eye(1, 2, device=device)
        else:
            matrix = self._matrix.on(device)
        return [[tinted(matrix.expand(batch, -1, -1))]]


def tinted(matrix: torch.Tensor, clip: bool = True) -> Choice:
    """Return the map of colours by matrices (B, C, C + 1)."""
    made = choice(F.color_matrix, matrix, clip=clip)
    made.apply_one, made.write_one, made.level_one, made.together = mix_one, write_mixed, mix_levels, True
    return made


def scaled(scale: torch.Tensor, shift: torch.Tensor) -> Choice:
    """Return values times a scale, and more, each (B,) or (B, C)."""
    made = choice(F.scale_shift, scale, shift)
    made.apply_one, made.write_one, made.level_one = scale_one, scale_into, scale_levels_into
    made.together = True
    return made
