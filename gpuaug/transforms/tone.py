"""Tone: gamma, invert, solarize, posterize, autocontrast, equalize."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from gpuaug import functional as F
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Uniform, as_distribution, static_range, within
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.color import choice
from gpuaug.transforms.layer import Context

__all__ = [
    "RandomAutocontrast",
    "RandomEqualize",
    "RandomGamma",
    "RandomInvert",
    "RandomPosterize",
    "RandomSolarize",
]


class _Plain(Photometric):
    """An operation without parameters."""

    function: Any
    levels = False
    single = True

    def __init__(
        self, p: Number = 0.5, *, channels: tuple[int, ...] | None = None, keys: Sequence[str] | None = None
    ) -> None:
        """Remember the probability and the bands."""
        super().__init__(p, channels, keys)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        return [[choice(type(self).function, levels=self.levels)]]


class RandomInvert(_Plain):
    """Exchange black and white in each sample with probability `p`.

    Args:
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Source: torchvision.transforms.v2.RandomInvert.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomInvert(p=1.0)(torch.zeros(1, 1, 1, 2, dtype=torch.uint8)).flatten().tolist()
        [255, 255]
    """

    function = F.invert


class RandomAutocontrast(_Plain):
    """Stretch the values of each channel to black and white, with probability `p` for each sample.

    Args:
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Source: torchvision.transforms.v2.RandomAutocontrast.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomAutocontrast(p=1.0)(torch.tensor([[[[0.2, 0.4]]]])).flatten().tolist()
        [0.0, 1.0]
    """

    function = F.autocontrast


class RandomEqualize(_Plain):
    """Equalize the histogram of each channel, with probability `p` for each sample.

    Args:
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; floats are rounded to 256 levels, as in torchvision.

    Boxes and masks:
        Unchanged.

    Source: torchvision.transforms.v2.RandomEqualize.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomEqualize(p=1.0)(torch.zeros(2, 3, 8, 10, dtype=torch.uint8)).shape
        torch.Size([2, 3, 8, 10])
    """

    function = F.equalize


class RandomSolarize(Photometric):
    """Invert the values at or above a threshold, with probability `p` for each sample.

    Args:
        threshold: in the input's unit (0..255 for uint8, 0..1 for floats): a number, or a range to draw from.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: when called with a threshold above white, such as 128 on a float image.

    Source: torchvision.transforms.v2.RandomSolarize.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomSolarize(0.5, p=1.0)(torch.tensor([[[[0.25, 0.75]]]])).flatten().tolist()
        [0.25, 0.25]
    """

    single = True

    def __init__(
        self,
        threshold: Range,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        self.threshold = as_distribution(threshold, owner="RandomSolarize", name="threshold", low=0.0)
        self.declare(threshold=self.threshold)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation, the threshold in working units."""
        white = context.values.white[0]
        if static_range(self.threshold)[1] > white:
            raise ValueError(f"RandomSolarize: threshold must be at most white ({white:g} here), got {self.threshold}")
        threshold = context.values.one(values["threshold"], "RandomSolarize")
        return [[choice(F.solarize, threshold)]]


class RandomPosterize(Photometric):
    """Keep `bits` bits of each value, with probability `p` for each sample.

    Args:
        bits: 0 to 8: a number, a range of whole numbers with both ends, or a distribution; 8 is neutral for uint8.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for bits outside 0..8.

    Source: torchvision.transforms.v2.RandomPosterize.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomPosterize(1, p=1.0)(torch.tensor([[[[100, 200]]]], dtype=torch.uint8)).flatten().tolist()
        [0, 128]
    """

    single = True

    def __init__(
        self,
        bits: Range,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        law = as_distribution(bits, owner="RandomPosterize", name="bits", low=0.0, high=8.0)
        if isinstance(law, Uniform):  # whole numbers, each as likely
            law = within(law)
        self.declare(bits=law)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        return [[choice(F.posterize, values["bits"], levels=True)]]


class RandomGamma(Photometric):
    """Raise the values of each sample to a power drawn for it.

    Args:
        gamma_range: range of the exponent in percent, as Albumentations: (80, 120) means 0.8 to 1.2; 100 is neutral.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for exponents that are not positive.

    Source: albumentations.RandomGamma; torchvision's functional.adjust_gamma to 1e-5.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomGamma((200, 200), p=1.0)(torch.tensor([[[[0.5]]]])).flatten().tolist()
        [0.25]
    """

    neutral: ClassVar[Mapping[str, float]] = {"gamma": 100.0}

    single = True

    def __init__(
        self,
        gamma_range: Range = (80, 120),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        self.declare(gamma=as_distribution(gamma_range, owner="RandomGamma", name="gamma_range", low=1e-3))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `gamma` as an exponent."""
        return {"gamma": raw["gamma"] / 100}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        return [[choice(F.adjust_gamma, values["gamma"])]]
