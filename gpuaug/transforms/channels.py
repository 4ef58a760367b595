"""Channels: permuted, dropped; and SSD's distortion, which does both colour and channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gpuaug import functional as F
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.counts import as_counts
from gpuaug.sampling.distributions import Constant, Uniform, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import MAX_CHANNELS, Drawn, Photometric, check_channels, check_p
from gpuaug.transforms.color import choice
from gpuaug.transforms.layer import Context

__all__ = ["ChannelDropout", "RandomChannelPermutation", "RandomPhotometricDistort"]


class RandomChannelPermutation(Photometric):
    """Put the channels of each sample into an order drawn for it.

    Args:
        p: probability for each sample.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; bit-exact.

    Boxes and masks:
        Unchanged.

    Source: torchvision.transforms.v2.RandomChannelPermutation.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomChannelPermutation()(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    single = True
    clamps = False

    def __init__(
        self, *, p: Number = 1.0, channels: tuple[int, ...] | None = None, keys: Sequence[str] | None = None
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        self.declare(order=(Uniform(0.0, 1.0), MAX_CHANNELS))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Rank as many draws as there are channels: `order` (B, C)."""
        channels = context.channels
        check_channels(channels, type(self).__name__)
        return {"order": torch.argsort(raw["order"][:, :channels], dim=1)}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the permutation."""
        return [[choice(F.permute_channels, values["order"])]]


class ChannelDropout(Photometric):
    """Replace some channels of each sample, drawn for it, by `fill`.

    Args:
        channel_drop_range: (low, high) number of channels to drop, or a distribution of it; at least one channel always
            stays.
        fill: value of a dropped channel, in the input's unit.
        p: probability for each sample.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same, C at least 2.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a range that begins below 1, or images with fewer channels than it asks.

    Source: albumentations.ChannelDropout.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.ChannelDropout(p=1.0)(torch.ones(2, 3, 4, 5)).amax((2, 3)).sum(1).tolist()
        [2.0, 2.0]
    """

    single = True
    clamps = False

    def __init__(
        self,
        channel_drop_range: Range = (1, 1),
        fill: float = 0,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        counts = as_counts(channel_drop_range, "ChannelDropout", "channel_drop_range")
        self.channel_drop_range, self.most = channel_drop_range, int(counts.support()[1])
        self.drop_fill = float(fill)
        self.declare(count=counts, rank=(Uniform(0.0, 1.0), MAX_CHANNELS))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Drop the `count` channels of the lowest draws: `dropped` (B, C) bool."""
        channels = context.channels
        check_channels(channels, "ChannelDropout")
        if channels <= self.most:
            raise ValueError(
                f"ChannelDropout: images must have more channels than are dropped, got {channels} channels and "
                f"channel_drop_range={self.channel_drop_range}"
            )
        rank = torch.argsort(torch.argsort(raw["rank"][:, :channels], dim=1), dim=1)
        return {"dropped": rank < raw["count"][:, None]}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the fill."""
        return [[choice(F.drop_channels, values["dropped"], fill=context.values.one(self.drop_fill, "ChannelDropout"))]]


class RandomPhotometricDistort(Photometric):
    """Change brightness, contrast, saturation, hue and the order of channels of each sample, as SSD does.

    Args:
        brightness: factor range.
        contrast: factor range; before or after saturation and hue, with equal chance.
        saturation: factor range.
        hue: shift range in turns.
        p: probability of each of the five, for each sample; 0 is neutral.
        channels: bands that are the RGB, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, 3, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Source: torchvision.transforms.v2.RandomPhotometricDistort.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomPhotometricDistort()(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    def __init__(
        self,
        brightness: Range = (0.875, 1.125),
        contrast: Range = (0.5, 1.5),
        saturation: Range = (0.5, 1.5),
        hue: Range = (-0.05, 0.05),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(channels=channels, keys=keys)
        owner = type(self).__name__
        self.each_p = check_p(p, owner)
        self.declare(
            brightness=as_distribution(brightness, owner=owner, name="brightness", low=0.0),
            contrast=as_distribution(contrast, owner=owner, name="contrast", low=0.0),
            saturation=as_distribution(saturation, owner=owner, name="saturation", low=0.0),
            hue=as_distribution(hue, owner=owner, name="hue", symmetric_about=0.0, low=-0.5, high=0.5),
            _gates=(Uniform(0.0, 1.0), 5),
            _late=Uniform(0.0, 1.0),
            order=(Uniform(0.0, 1.0), 3),
            _each_p=Constant(self.each_p),
        )

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Derive which of the five apply (`on`, (B, 5)), whether contrast comes last, and the channels' order."""
        values = {k: raw[k] for k in ("brightness", "contrast", "saturation", "hue")}
        values["on"] = raw["_gates"] < raw["_each_p"][:, None]
        values["contrast_last"] = raw["_late"] >= 0.5
        values["order"] = torch.argsort(raw["order"], dim=1)
        return values

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return six slots: contrast stands in two of them, and applies in one."""
        on, late = values["on"], values["contrast_last"]
        return [
            [choice(F.adjust_brightness, values["brightness"], on=on[:, 0])],
            [choice(F.adjust_contrast, values["contrast"], on=on[:, 1] & ~late)],
            [choice(F.adjust_saturation, values["saturation"], on=on[:, 2])],
            [choice(F.adjust_hue, values["hue"], on=on[:, 3])],
            [choice(F.adjust_contrast, values["contrast"], on=on[:, 1] & late)],
            [choice(F.permute_channels, values["order"], on=on[:, 4])],
        ]
