"""Noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from gpuaug.render import ops
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Uniform, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.layer import Context

__all__ = ["KEY", "GaussianNoise", "as_key"]


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
        return [[Choice("gaussian_noise", ops.add_noise, operands, {"clip": self.clip and not plan.normalized})]]
