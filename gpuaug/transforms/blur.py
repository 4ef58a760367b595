"""Neighbourhood filters: Gaussian blur, median, sharpness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from gpuaug import functional as F
from gpuaug.functional.blur import blur_one
from gpuaug.functional.median import median_levels_one, median_one
from gpuaug.geometry.canvas import hosts
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Constant, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Filter
from gpuaug.transforms.color import choice
from gpuaug.transforms.correlate import as_sides, odd
from gpuaug.transforms.layer import Context

__all__ = ["GaussianBlur", "MedianBlur", "RandomAdjustSharpness"]


class GaussianBlur(Filter):
    """Blur each sample with a Gaussian whose sigma is drawn for it.

    Args:
        kernel_size: odd number of taps, or (horizontal, vertical) as torchvision's (kx, ky).
        sigma: range of the standard deviation in pixels, or a number.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; the border is reflected.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for an even or non-positive kernel_size, or a sigma that is not positive; when called on an image
            that is not larger than half the kernel.

    Source: torchvision.transforms.v2.GaussianBlur; equals functional.gaussian_blur to 1e-5.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.GaussianBlur(5)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"sigma": 0.01}  # a kernel of one tap

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        sigma: Range = (0.1, 2.0),
        *,
        p: Number = 1.0,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        sizes = (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)
        if len(sizes) != 2 or any(not isinstance(k, int) or k < 1 or k % 2 == 0 for k in sizes):
            raise ValueError(f"GaussianBlur: kernel_size must be one or two odd positive integers, got {kernel_size!r}")
        self.kernel_size = (sizes[0], sizes[1])
        self.declare(sigma=as_distribution(sigma, owner="GaussianBlur", name="sigma", low=1e-6))

    def choice(self, values: Drawn, plan: Plan, context: Context) -> Choice:
        """Return the filter."""
        kx, ky = self.kernel_size
        for h, w in hosts(context.canvas):
            if h <= ky // 2 or w <= kx // 2:
                raise ValueError(
                    f"GaussianBlur: images must be larger than half the kernel {self.kernel_size}, got {h}x{w}"
                )
        blur = choice(F.gaussian_blur, values["sigma"], kernel_size=(kx, ky))
        blur.apply_one = blur_one
        return blur


class MedianBlur(Filter):
    """Replace each value of each sample by the median of a square around it, of a side drawn for the sample.

    Args:
        blur_limit: range (low, high) of the side in pixels, both odd and each odd side equally likely; a number n means
            (3, n), a distribution the odd number nearest to what it draws; 1 is neutral.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; the border is repeated.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for even or non-positive sides.

    Source: albumentations.MedianBlur, cv2.medianBlur; equals functional.median_blur exactly.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.MedianBlur((3, 5), p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"size": 1.0}

    def __init__(
        self,
        blur_limit: Range = (3, 7),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        law, self._largest = as_sides(blur_limit, "MedianBlur")
        self.declare(size=law)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `size`."""
        return {"size": odd(raw["size"], self._largest)}

    def choice(self, values: Drawn, plan: Plan, context: Context) -> Choice:
        """Return the filter."""
        median = choice(F.median_blur, values["size"], largest=self._largest)
        median.apply_one, median.move_one = median_one, median_levels_one
        return median


class RandomAdjustSharpness(Filter):
    """Sharpen or soften each sample with probability `p`.

    Args:
        sharpness_factor: 0 blurs, 1 is neutral, 2 sharpens; a number, or a range to draw from.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; the outermost pixels stay.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a negative factor.

    Source: torchvision.transforms.v2.RandomAdjustSharpness.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomAdjustSharpness(2.0, p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"factor": 1.0}

    def __init__(
        self,
        sharpness_factor: Range,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "RandomAdjustSharpness"
        distribution = (
            Constant(float(sharpness_factor))
            if isinstance(sharpness_factor, (int, float)) and not isinstance(sharpness_factor, bool)
            else sharpness_factor
        )
        self.declare(factor=as_distribution(distribution, owner=owner, name="sharpness_factor", low=0.0))

    def choice(self, values: Drawn, plan: Plan, context: Context) -> Choice:
        """Return the filter."""
        return choice(F.adjust_sharpness, values["factor"])
