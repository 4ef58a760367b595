"""Sharpeners and reliefs: blends of each sample with its own differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from gpuaug.functional import taps
from gpuaug.functional.unsharp import gaussian_taps, mask_one, mask_unsharp
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Filter
from gpuaug.transforms.correlate import Correlating, as_sides, check_reach, odd
from gpuaug.transforms.layer import Context

__all__ = ["Emboss", "Sharpen", "UnsharpMask"]


class Sharpen(Correlating):
    """Sharpen each sample by an amount drawn for it.

    Args:
        alpha_range: range within 0..1 of the share of the sharpened image; 0 is neutral.
        lightness_range: for the method "kernel", range of how much of the pixel itself is left at alpha = 1: below 1
            the image darkens.
        method: "kernel" (the difference from the eight neighbours) or "gaussian" (from a Gaussian blur).
        kernel_size: for the method "gaussian", odd number of taps.
        sigma: for the method "gaussian", standard deviation of the blur in pixels.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; the border is reflected; clamped to black and white.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for ranges beyond their bounds, another method, an even kernel_size, or a sigma of 0 or less;
            when called on an image that is not larger than half the kernel.

    Source: albumentations.Sharpen, to 1e-5 (its "gaussian" only for floats: of uint8 the difference from the blur
    wraps around in 2.0.8).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.Sharpen(p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"alpha": 0.0, "lightness": 1.0}
    clip = True

    def __init__(
        self,
        alpha_range: Range = (0.2, 0.5),
        lightness_range: Range = (0.5, 1.0),
        method: str = "kernel",
        kernel_size: int = 5,
        sigma: float = 1.0,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "Sharpen"
        if method not in ("kernel", "gaussian"):
            raise ValueError(f"{owner}: method must be 'kernel' or 'gaussian', got {method!r}")
        if not isinstance(kernel_size, int) or kernel_size < 3 or kernel_size % 2 == 0:
            raise ValueError(f"{owner}: kernel_size must be an odd integer of at least 3, got {kernel_size!r}")
        if not sigma > 0:
            raise ValueError(f"{owner}: sigma must be positive, got {sigma!r}")
        self.method, self.kernel_size, self.sigma = method, kernel_size, float(sigma)
        random: dict[str, Any] = {
            "alpha": as_distribution(alpha_range, owner=owner, name="alpha_range", low=0.0, high=1.0)
        }
        lightness = as_distribution(lightness_range, owner=owner, name="lightness_range", low=0.0)
        if method == "kernel":
            random["lightness"] = lightness
        self.declare(**random)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, and the `kernel`."""
        if self.method == "kernel":
            return {**raw, "kernel": taps.sharpen_kernel(raw["alpha"], raw["lightness"])}
        return {**raw, "kernel": taps.unsharp_kernel(raw["alpha"], self.kernel_size, self.sigma)}


class Emboss(Correlating):
    """Blend each sample with a relief of itself, lit from the upper left, by amounts drawn for it.

    Args:
        alpha_range: range within 0..1 of the share of the relief; 0 is neutral.
        strength_range: range of the height of the relief, from 0.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; the border is reflected; clamped to black and white.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for ranges beyond their bounds; when called on an image of one pixel's width.

    Source: albumentations.Emboss; equals functional.emboss to 1e-5.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.Emboss(p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"alpha": 0.0}
    clip = True

    def __init__(
        self,
        alpha_range: Range = (0.2, 0.5),
        strength_range: Range = (0.2, 0.7),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        self.declare(
            alpha=as_distribution(alpha_range, owner="Emboss", name="alpha_range", low=0.0, high=1.0),
            strength=as_distribution(strength_range, owner="Emboss", name="strength_range", low=0.0),
        )

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, and the `kernel`."""
        return {**raw, "kernel": taps.emboss_kernel(raw["alpha"], raw["strength"])}


class UnsharpMask(Filter):
    """Add to each sample its difference from a Gaussian blur, where that is large, by amounts drawn for it.

    Args:
        blur_limit: range (low, high) of the number of taps of the blur, both odd and each odd number equally likely; a
            number n means (3, n), a distribution the odd number nearest to what it draws.
        sigma_limit: range of the standard deviation of the blur in pixels; 0 takes the one that suits the size.
        alpha_range: range within 0..1 of the share of the difference that is added; 0 is neutral.
        threshold: difference on a scale of 255 above which a pixel is sharpened; the mask is blurred likewise.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; the border is reflected; clamped to black and white.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for even or non-positive sizes, ranges or thresholds beyond their bounds; when called on an image
            that is not larger than half the largest kernel.

    Source: albumentations.UnsharpMask; equals functional.unsharp_mask to 1e-5.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.UnsharpMask(p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"alpha": 0.0}

    def __init__(
        self,
        blur_limit: Range = (3, 7),
        sigma_limit: Range = 0.0,
        alpha_range: Range = (0.2, 0.5),
        threshold: float = 10,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "UnsharpMask"
        law, self._largest = as_sides(blur_limit, owner)
        if not 0 <= threshold <= 255:
            raise ValueError(f"{owner}: threshold must be within [0, 255], got {threshold!r}")
        self.threshold = float(threshold)
        self.declare(
            size=law,
            sigma=as_distribution(sigma_limit, owner=owner, name="sigma_limit", low=0.0),
            alpha=as_distribution(alpha_range, owner=owner, name="alpha_range", low=0.0, high=1.0),
        )

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, and the `taps` of the blur from the middle on."""
        size = odd(raw["size"], self._largest)
        return {**raw, "size": size, "taps": gaussian_taps(size, raw["sigma"], self._largest)}

    def choice(self, values: Drawn, plan: Plan, context: Context) -> Choice:
        """Return the filter."""
        check_reach("UnsharpMask", context, self._largest)
        operands, static = (values["taps"], values["alpha"]), {"threshold": self.threshold}
        return Choice("unsharp_mask", mask_unsharp, operands, static, apply_one=mask_one)
