"""Noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug import functional as F
from gpuaug.functional.noise_one import add_noise_one, level_noise, write_noise
from gpuaug.functional.replace_one import salt_and_pepper_one
from gpuaug.render import ops
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Distribution, Uniform, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.varying import PerClass
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.color import choice
from gpuaug.transforms.layer import Context

__all__ = ["KEY", "GaussianNoise", "MultiplicativeNoise", "SaltAndPepper", "as_key"]


KEY = (Uniform(0.0, 1.0), 2)
"""Two columns from which a sample's noise key is made."""


def as_key(draws: Tensor) -> Tensor:
    """Return (B,) int64 keys of 48 bits from two columns of uniforms."""
    words = (draws * 2**24).to(torch.int64)
    return words[:, 0] << 24 | words[:, 1]


class GaussianNoise(Photometric):
    """Add normal noise to each sample, independent at every pixel.

    Args:
        mean: mean of the noise on the scale black = 0, white = 1 (after `Normalize`, in its units); 0 is neutral.
        sigma: standard deviation, likewise: a number, or a range to draw from for each sample; 0 is neutral.
        clip: whether values are clamped to black and white; not after `Normalize`.
        p: probability for each sample.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a negative sigma.

    Source: torchvision.transforms.v2.GaussianNoise, whose sigma is one number.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.GaussianNoise(sigma=(0.0, 0.1))(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"mean": 0.0, "sigma": 0.0}

    single = True

    clamps = False

    def __init__(
        self,
        mean: Range = 0.0,
        sigma: Range = 0.1,
        clip: bool = True,
        *,
        p: Number = 1.0,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        self.clip = clip
        self.declare(
            mean=as_distribution(mean, owner="GaussianNoise", name="mean"),
            sigma=as_distribution(sigma, owner="GaussianNoise", name="sigma", low=0.0),
            _key=KEY,
        )

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `mean`, `sigma` and the noise's `key`."""
        return {"mean": raw["mean"], "sigma": raw["sigma"], "key": as_key(raw["_key"])}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        operands = (values["mean"], values["sigma"], values["key"])
        made = Choice("gaussian_noise", ops.add_noise, operands, {"clip": self.clip and not plan.normalized})
        made.apply_one, made.write_one, made.level_one = add_noise_one, write_noise, level_noise
        return [[made]]


class SaltAndPepper(Photometric):
    """Make some pixels of each sample white and others black, all channels of a pixel alike.

    Args:
        amount: range of the share of the pixels that are replaced; 0 is neutral.
        salt_vs_pepper: range of the share of these that become white.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for shares outside 0..1.

    Source: albumentations.SaltAndPepper, where each pixel is drawn for itself instead of a number of them.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.SaltAndPepper(p=1.0)(torch.full((2, 3, 8, 10), 0.5)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"amount": 0.0}

    single = True

    def __init__(
        self,
        amount: Range = (0.01, 0.06),
        salt_vs_pepper: Range = (0.4, 0.6),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        given = {"amount": amount, "salt_vs_pepper": salt_vs_pepper}
        self.declare(
            **{k: as_distribution(v, owner="SaltAndPepper", name=k, low=0.0, high=1.0) for k, v in given.items()},
            _key=KEY,
        )

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `amount`, `salt_vs_pepper` and the noise's `key`."""
        return {"amount": raw["amount"], "salt_vs_pepper": raw["salt_vs_pepper"], "key": as_key(raw["_key"])}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        operands = (values["amount"], values["salt_vs_pepper"], values["key"])
        return [[Choice("salt_and_pepper", ops.put_salt_and_pepper, operands, move_one=salt_and_pepper_one)]]


def _ends(multiplier: Any) -> tuple[Any, Any]:
    """Return the ends of a range of numbers, each of which may vary."""
    if isinstance(multiplier, PerClass):
        return multiplier.map(lambda one: _ends(one)[0]), multiplier.map(lambda one: _ends(one)[1])
    if isinstance(multiplier, Uniform):
        return multiplier.low, multiplier.high
    if isinstance(multiplier, Distribution):
        raise TypeError(
            "MultiplicativeNoise: multiplier must be a range of numbers where channels or pixels have their own, got "
            f"{multiplier!r}"
        )
    return tuple(multiplier) if isinstance(multiplier, (tuple, list)) else (multiplier, multiplier)


class MultiplicativeNoise(Photometric):
    """Multiply each sample, each of its channels, or each of its pixels, by numbers of a range: speckle.

    Args:
        multiplier: range of the numbers, drawn evenly; a distribution where a sample has one number; 1 is neutral.
        per_channel: whether channels have their own.
        elementwise: whether pixels have their own.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Boxes and masks:
        Unchanged.

    Raises:
        TypeError: for a distribution that is no range, where channels or pixels have their own.
        ValueError: for a negative multiplier.

    Source: albumentations.MultiplicativeNoise.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.MultiplicativeNoise((0.5, 1.5), elementwise=True, p=1.0)(torch.ones(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"multiplier": 1.0, "low": 1.0, "high": 1.0}

    single = True

    def __init__(
        self,
        multiplier: Range = (0.9, 1.1),
        per_channel: bool = False,
        elementwise: bool = False,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        self.per_channel, self.elementwise = bool(per_channel), bool(elementwise)
        law = as_distribution(multiplier, owner="MultiplicativeNoise", name="multiplier", low=0.0)
        if self.per_channel or self.elementwise:
            low, high = (as_distribution(v, owner="MultiplicativeNoise", name="multiplier") for v in _ends(multiplier))
            self.declare(low=low, high=high, _key=KEY)
        else:
            self.declare(multiplier=law)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `multiplier`, or `low`, `high` and the noise's `key`."""
        return {
            **{k: v for k, v in raw.items() if k != "_key"},
            **({"key": as_key(raw["_key"])} if "_key" in raw else {}),
        }

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        if "multiplier" in values:
            return [[choice(F.adjust_brightness, values["multiplier"])]]
        operands = (values["low"], values["high"], values["key"])
        static = {"per_channel": self.per_channel, "elementwise": self.elementwise}
        return [[Choice("multiplicative_noise", ops.multiply_by_noise, operands, static)]]
