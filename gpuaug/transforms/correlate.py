"""Blurs that are a small kernel drawn for each sample: box, motion, defocus, generalised Gaussian."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug import functional as F
from gpuaug.functional import taps
from gpuaug.functional.blur import box_one, box_sums_one, filter_one, filter_sums_one
from gpuaug.geometry.canvas import hosts
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Distribution, Uniform, as_distribution, static_range, within
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.varying import PerClass, is_number, mapped
from gpuaug.transforms.base import Drawn, Filter
from gpuaug.transforms.color import choice
from gpuaug.transforms.layer import Context

__all__ = ["AdvancedBlur", "Blur", "Correlating", "Defocus", "MotionBlur", "as_sides", "check_reach", "odd"]


def as_sides(limit: Any, owner: str, name: str = "blur_limit", low: int = 1) -> tuple[Distribution, int]:
    """Read the range of an odd side in pixels; return its law, for `odd`, and the largest side.

    A number n means (3, n). Of a pair each odd side is equally likely; of a distribution the nearest odd one is taken.
    """
    if isinstance(limit, Distribution):
        law = as_distribution(limit, owner=owner, name=name, low=low)
        return law, int(static_range(law)[1]) // 2 * 2 + 1

    def read(one: Any) -> Any:
        ends = tuple(one) if isinstance(one, (tuple, list)) else (3, one)
        if len(ends) != 2 or any(is_number(n) and (n != int(n) or n % 2 == 0 or n < low) for n in ends):
            raise ValueError(f"{owner}: {name} must be an odd number n of at least 3, or odd (low, high), got {one!r}")
        return ends

    ends = limit.map(read) if isinstance(limit, PerClass) else read(limit)
    law = as_distribution(ends, owner=owner, name=name, low=low)
    largest = int(static_range(law)[1]) // 2 * 2 + 1
    if isinstance(law, Uniform):  # half a step of two more on either side, for `odd`
        law = Uniform(mapped(law.low, 1.0, -1.0), mapped(law.high, 1.0, 1.0))
    return law, largest


def odd(drawn: Tensor, largest: int) -> Tensor:
    """Return the odd number nearest to what was drawn, the larger one of two."""
    return (torch.floor(drawn / 2) * 2 + 1).clamp(1, largest)


def check_reach(owner: str, context: Context, largest: int, what: str = "kernel") -> None:
    """Refuse images whose border cannot be reflected as far as a kernel reaches."""
    for h, w in hosts(context.canvas):
        if min(h, w) <= largest // 2:
            raise ValueError(
                f"{owner}: images must be larger than half the largest {what}, {largest} pixels wide, got {h}x{w}"
            )


class Correlating(Filter):
    """A filter that correlates each sample with the `kernel` among its parameters."""

    clip: ClassVar[bool] = False
    """Whether its results may leave black and white, and are clamped."""
    one: ClassVar[Callable[..., Tensor]] = staticmethod(filter_one)
    """What does the same to one sample on the CPU."""
    sums: ClassVar[Callable[..., tuple[Tensor, float] | None]] = staticmethod(filter_sums_one)
    """Likewise to one of 8 bits, in whole numbers."""

    def choice(self, values: Drawn, plan: Plan, context: Context) -> Choice:
        """Return the filter."""
        kernel = values["kernel"]
        check_reach(type(self).__name__, context, max(kernel.shape[1:]))
        found = choice(F.filter2d, kernel, clip=True) if self.clip else choice(F.filter2d, kernel)
        found.apply_one, found.sum_one = self.one, self.sums
        return found


class Blur(Correlating):
    """Replace each pixel of each sample by the mean of a square around it, of a side drawn for the sample.

    Args:
        blur_limit: range (low, high) of the side in pixels, both odd and each odd side equally likely; a number n means
            (3, n), a distribution the odd number nearest to what it draws; 1 is neutral.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; the border is reflected.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for even or non-positive sides; when called on an image that is not larger than half the largest.

    Source: albumentations.Blur, cv2.blur; equals functional.box_blur to 1e-5.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.Blur((3, 7), p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"size": 1.0}
    one, sums = staticmethod(box_one), staticmethod(box_sums_one)

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
        law, self._largest = as_sides(blur_limit, "Blur")
        self.declare(size=law)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `size` and the `kernel`."""
        size = odd(raw["size"], self._largest)
        return {"size": size, "kernel": taps.box_kernel(size, self._largest)}


class MotionBlur(Correlating):
    """Smear each sample along a line, of a length and angle drawn for it.

    Args:
        blur_limit: range (low, high) in pixels of the side of the square that holds the line, both odd and each odd
            side equally likely; a number n means (3, n), a distribution the odd number nearest to what it draws; 1 is
            neutral.
        allow_shifted: whether the line may lie off the middle, by up to a quarter of the side along each axis.
        angle_range: range of the angle in degrees, from the x axis towards the y axis, which points down.
        direction_range: range within -1..1 of where the line lies about its pixel: -1 behind it, 0 on both sides, 1
            before it; a number d means (-d, d).
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; the border is reflected.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for even or non-positive sides, or directions beyond -1..1; when called on an image that is not
            larger than half the largest side.

    Source: albumentations.MotionBlur; equals functional.motion_blur to 1e-5. kornia.augmentation.RandomMotionBlur draws
        lines that fade along their direction.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.MotionBlur((3, 7), p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"size": 1.0}

    def __init__(
        self,
        blur_limit: Range = (3, 7),
        allow_shifted: bool = True,
        angle_range: Range = (0.0, 360.0),
        direction_range: Range = (-1.0, 1.0),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "MotionBlur"
        law, self._largest = as_sides(blur_limit, owner)
        self.allow_shifted = bool(allow_shifted)
        random: dict[str, Any] = {
            "size": law,
            "angle": as_distribution(angle_range, owner=owner, name="angle_range"),
            "direction": as_distribution(
                direction_range, owner=owner, name="direction_range", symmetric_about=0.0, low=-1.0, high=1.0
            ),
        }
        if self.allow_shifted:
            random.update(shift_x=Uniform(-1.0, 1.0), shift_y=Uniform(-1.0, 1.0))
        self.declare(**random)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, and the `kernel`."""
        still = torch.zeros_like(raw["angle"])
        values = {**raw, "size": odd(raw["size"], self._largest)}
        shifts = raw.get("shift_x", still), raw.get("shift_y", still)
        kernel = taps.motion_kernel(values["size"], raw["angle"], raw["direction"], *shifts, largest=self._largest)
        return {**values, "kernel": kernel}


class Defocus(Correlating):
    """Spread each pixel of each sample over a disk, as a lens out of focus does, of a radius drawn for the sample.

    Args:
        radius_range: range (low, high) of the radius in whole pixels, each equally likely; 0 is neutral without rim.
        alias_blur_range: range of the standard deviation in pixels of the Gaussian that softens the rim; 0 leaves it.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; the border is reflected.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for negative ranges; when called on an image of up to 8 pixels, or the largest radius.

    Source: albumentations.Defocus, Hendrycks and Dietterich 2019 (ImageNet-C); equals functional.defocus to 1e-5.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.Defocus((1, 3), p=1.0)(torch.zeros(2, 3, 10, 12)).shape
        torch.Size([2, 3, 10, 12])
    """

    neutral: ClassVar[Mapping[str, float]] = {"radius": 0.0, "alias_blur": 0.0}

    def __init__(
        self,
        radius_range: Range = (3, 10),
        alias_blur_range: Range = (0.1, 0.5),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        radius = as_distribution(radius_range, owner="Defocus", name="radius_range", low=0.0)
        self._largest = round(static_range(radius)[1])
        self.declare(
            radius=within(radius) if isinstance(radius, Uniform) else radius,
            alias_blur=as_distribution(alias_blur_range, owner="Defocus", name="alias_blur_range", low=0.0),
        )

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, and the `kernel`."""
        radius = torch.round(raw["radius"]).clamp(max=self._largest)
        kernel = taps.defocus_kernel(radius, raw["alias_blur"], self._largest)
        return {"radius": radius, "alias_blur": raw["alias_blur"], "kernel": kernel}


class AdvancedBlur(Correlating):
    """Blur each sample with a turned generalised Gaussian drawn for it, of which every tap is a little off.

    Args:
        blur_limit: range (low, high) of the side of the kernel in pixels, both odd and each odd side equally likely; a
            number n means (3, n), a distribution the odd number nearest to what it draws; 1 is neutral.
        sigma_x_limit: range of the standard deviation in pixels along one axis of the ellipse.
        sigma_y_limit: likewise along the other.
        rotate_limit: range of the angle of the axes in degrees; a number d means (-d, d).
        beta_limit: range of the shape, with 1 inside: half of the samples draw below 1 (heavy tails), half above
            (flat); 1 is a Gaussian. A distribution is drawn from as it is.
        noise_limit: range of the factor of each tap.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; the border is reflected.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for even or non-positive sides, sigmas below 0.01, negative factors, or a beta_limit without 1; when
            called on an image that is not larger than half the largest side.

    Source: albumentations.AdvancedBlur; equals functional.advanced_blur to 1e-5. The blurs of Real-ESRGAN (Wang et al.
        2021).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.AdvancedBlur((3, 7), p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"size": 1.0}

    def __init__(
        self,
        blur_limit: Range = (3, 7),
        sigma_x_limit: Range = (0.2, 1.0),
        sigma_y_limit: Range = (0.2, 1.0),
        rotate_limit: Range = (-90.0, 90.0),
        beta_limit: Range = (0.5, 8.0),
        noise_limit: Range = (0.9, 1.1),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "AdvancedBlur"
        law, self._largest = as_sides(blur_limit, owner)
        random: dict[str, Any] = {
            "size": law,
            "sigma_x": as_distribution(sigma_x_limit, owner=owner, name="sigma_x_limit", low=0.01),
            "sigma_y": as_distribution(sigma_y_limit, owner=owner, name="sigma_y_limit", low=0.01),
            "angle": as_distribution(rotate_limit, owner=owner, name="rotate_limit", symmetric_about=0.0),
            "_noise": (as_distribution(noise_limit, owner=owner, name="noise_limit", low=1e-3), self._largest**2),
        }
        beta = as_distribution(beta_limit, owner=owner, name="beta_limit", low=1e-3)
        if isinstance(beta, Uniform) and not isinstance(beta_limit, Distribution):
            low, high = static_range(beta)
            if not low <= 1 <= high:
                raise ValueError(f"{owner}: beta_limit must be (low, high) with 1 between them, got {beta_limit!r}")
            random["_flat"] = Uniform(1.0, beta.high)
            random["_tailed"] = Uniform(beta.low, 1.0)
            random["_side"] = Uniform(0.0, 1.0)
        else:
            random["beta"] = beta
        self.declare(**random)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, and the `kernel`."""
        values = {name: raw[name] for name in ("sigma_x", "sigma_y", "angle")}
        values["size"] = odd(raw["size"], self._largest)
        if "beta" in raw:
            values["beta"] = raw["beta"]
        else:
            values["beta"] = torch.where(raw["_side"] < 0.5, raw["_tailed"], raw["_flat"])
        given = [values[name] for name in ("size", "sigma_x", "sigma_y", "angle", "beta")]
        noise = raw["_noise"].reshape(-1, self._largest**2)
        return {**values, "kernel": taps.advanced_kernel(*given, noise=noise, largest=self._largest)}
