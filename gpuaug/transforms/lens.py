"""Lenses and grids: each sample read in several places for each pixel, as drawn for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug import functional as F
from gpuaug.functional import lens
from gpuaug.functional.blur import blur_one
from gpuaug.render import ops
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import as_distribution, static_range
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Filter
from gpuaug.transforms.color import choice
from gpuaug.transforms.correlate import check_reach
from gpuaug.transforms.layer import Context, Node
from gpuaug.transforms.noise import KEY, as_key

__all__ = ["ChromaticAberration", "Downscale", "GlassBlur", "ZoomBlur"]


class ZoomBlur(Filter):
    """Average each sample with readings of itself that are zoomed in more and more, as far as drawn for it.

    Args:
        max_factor_range: range of the largest zoom, from 1, which is neutral; readings stay below it.
        step_factor_range: range of what is added to the zoom from one reading to the next, above 0.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for zooms below 1, steps that are not positive, or ranges that may ask for more than 256 readings.

    Source: albumentations.ZoomBlur, with readings between pixels instead of crops of whole ones; Hendrycks and
        Dietterich 2019 (ImageNet-C). Equals functional.zoom_blur to 1e-5.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.ZoomBlur(p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"max_factor": 1.0}

    def __init__(
        self,
        max_factor_range: Range = (1.0, 1.31),
        step_factor_range: Range = (0.01, 0.03),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "ZoomBlur"
        most = as_distribution(max_factor_range, owner=owner, name="max_factor_range", low=1.0)
        step = as_distribution(step_factor_range, owner=owner, name="step_factor_range", low=1e-4)
        self._most = max(math.ceil((static_range(most)[1] - 1) / static_range(step)[0] - 1e-4), 1)
        if self._most > 256:
            raise ValueError(
                f"{owner}: (max_factor_range - 1) / step_factor_range must be at most 256 readings, got {self._most}"
            )
        self.declare(max_factor=most, step_factor=step)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, and the `count` of readings."""
        span = (raw["max_factor"] - 1) / raw["step_factor"]
        return {**raw, "count": torch.ceil(span - 1e-4).clamp(1, self._most)}

    def choice(self, values: Drawn, plan: Plan, context: Context) -> Choice:
        """Return the filter."""
        operands, static = (values["count"], values["step_factor"]), {"most": self._most}
        return Choice("zoom_blur", lens.zoomed, operands, static, apply_one=lens.zoomed_one)


class GlassBlur(Filter):
    """Scatter the pixels of each sample over their neighbours between two blurs, as frosted glass does.

    Args:
        sigma: range of the standard deviation of both blurs in pixels, or a number.
        max_delta: a step along each axis is a whole number of pixels from -max_delta to max_delta - 1.
        iterations: number of steps.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; the border is reflected by the blurs, and repeated by the steps.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a sigma, max_delta or iterations out of bounds; when called on an image that is not larger than
            four sigmas.

    Source: albumentations.GlassBlur and ImageNet-C, which exchange pixels one after another; here each pixel shows one
        that so many steps lead to, all at once, which is the same law for a pixel by itself away from the border. So
        there is no `mode`.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.GlassBlur(p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    def __init__(
        self,
        sigma: Range = 0.7,
        max_delta: int = 4,
        iterations: int = 2,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        law = as_distribution(sigma, owner="GlassBlur", name="sigma", low=0.01)
        for name, value in (("max_delta", max_delta), ("iterations", iterations)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"GlassBlur: {name} must be a positive integer, got {value!r}")
        self.max_delta, self.iterations = max_delta, iterations
        self._taps = 2 * math.ceil(4 * static_range(law)[1]) + 1
        self.declare(sigma=law, _key=KEY)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `sigma`, and the key of the steps as `glass`: one for all frames of a clip."""
        return {"sigma": raw["sigma"], "glass": as_key(raw["_key"])}

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Begin three passes."""
        check_reach("GlassBlur", context, self._taps)
        static = {"max_delta": self.max_delta, "iterations": self.iterations}
        for step in range(3):
            blur = choice(F.gaussian_blur, values["sigma"], kernel_size=(self._taps, self._taps))
            blur.apply_one = blur_one
            part = Choice("scatter", ops.scatter, (values["glass"],), dict(static)) if step == 1 else blur
            part.channels, part.on = node.channels, values.get("gate")
            plan.filter(part)


class ChromaticAberration(Filter):
    """Bend the red and the blue of each sample apart, as a lens does, by coefficients drawn for it.

    Args:
        primary_distortion_limit: range of the coefficient of r^2, r being the distance from the middle over the size of
            the image; a number k means (-k, k); 0 is neutral.
        secondary_distortion_limit: likewise of r^4; it takes the sign of the first.
        mode: "green_purple" (red and blue bend the same way), "red_blue" (opposite ways) or "random".
        p: probability for each sample; 0 is neutral.
        channels: bands that are the RGB, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, 3, H, W) to the same; the border is repeated.

    Boxes and masks:
        Unchanged: they are those of the green, which stays.

    Raises:
        ValueError: for limits beyond -1..1, or another mode; when called on an image that has not three channels.

    Source: albumentations.ChromaticAberration, about the middle of the image instead of half a pixel off it; equals
        functional.chromatic_aberration to 1e-5.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.ChromaticAberration(0.1, p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {
        f"{which}_{color}": 0.0 for which in ("primary", "secondary") for color in ("red", "blue")
    }

    def __init__(
        self,
        primary_distortion_limit: Range = (-0.02, 0.02),
        secondary_distortion_limit: Range = (-0.05, 0.05),
        mode: str = "green_purple",
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "ChromaticAberration"
        if mode not in ("green_purple", "red_blue", "random"):
            raise ValueError(f"{owner}: mode must be 'green_purple', 'red_blue' or 'random', got {mode!r}")
        self.mode = mode
        laws = {
            which: as_distribution(
                limit, owner=owner, name=f"{which}_distortion_limit", symmetric_about=0.0, low=-1.0, high=1.0
            )
            for which, limit in (("primary", primary_distortion_limit), ("secondary", secondary_distortion_limit))
        }
        self.declare(**{f"{which}_{color}": law for color in ("red", "blue") for which, law in laws.items()})

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return coefficients whose signs the mode has settled."""
        values = dict(raw)
        for color in ("red", "blue"):
            values[f"secondary_{color}"] = _signed(raw[f"secondary_{color}"], values[f"primary_{color}"])
        if self.mode != "random":
            way = 1.0 if self.mode == "green_purple" else -1.0
            for which in ("primary", "secondary"):
                values[f"{which}_blue"] = _signed(values[f"{which}_blue"], way * values[f"{which}_red"])
        return values

    def choice(self, values: Drawn, plan: Plan, context: Context) -> Choice:
        """Return the filter."""
        count = context.channels if self.channels is None else len(self.channels)
        if count != 3:
            raise ValueError(
                "ChromaticAberration: images must have 3 channels, or channels= must name 3 bands"
                f" (channels=(0, 1, 2)), got {count}"
            )
        pairs = [torch.stack((values[f"primary_{c}"], values[f"secondary_{c}"]), dim=1) for c in ("red", "blue")]
        return Choice("chromatic_aberration", lens.aberrated, tuple(pairs), apply_one=lens.aberrated_one)


def _signed(value: Tensor, like: Tensor) -> Tensor:
    """Return a value with the sign of another, where that has one."""
    return torch.where(value * like < 0, -value, value)


class Downscale(Filter):
    """Show each sample as it is seen on a coarser grid, of a size drawn for it.

    Args:
        scale_range: range within (0, 1] of the size of the coarser grid, which is rounded to whole pixels; a number, or
            (low, high); 1 is neutral.
        interpolation_pair: how pixels go onto the coarser grid ("nearest", "bilinear" or "area") and back ("nearest" or
            "bilinear"), as {"downscale": ..., "upscale": ...}.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for scales beyond (0, 1], or another interpolation.

    Source: albumentations.Downscale, with OpenCV's INTER_NEAREST_EXACT, INTER_LINEAR and INTER_AREA for grids that span
        the image; equals functional.downscale to 1e-5.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.Downscale((0.25, 0.5), p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"scale": 1.0}

    def __init__(
        self,
        scale_range: Range = 0.25,
        interpolation_pair: Mapping[str, str] | None = None,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        law = as_distribution(scale_range, owner="Downscale", name="scale_range", low=0.01, high=1.0)
        self._lowest = static_range(law)[0]
        pair = {"downscale": "nearest", "upscale": "nearest", **(interpolation_pair or {})}
        allowed: dict[str, Any] = {"downscale": ("nearest", "bilinear", "area"), "upscale": ("nearest", "bilinear")}
        if set(pair) != set(allowed) or any(pair[way] not in allowed[way] for way in allowed):
            raise ValueError(
                "Downscale: interpolation_pair must be {'downscale': 'nearest', 'bilinear' or 'area', 'upscale':"
                f" 'nearest' or 'bilinear'}}, got {interpolation_pair!r}"
            )
        self.interpolation_pair = pair
        self.declare(scale=law)

    def choice(self, values: Drawn, plan: Plan, context: Context) -> Choice:
        """Return the filter."""
        ways = {"down": self.interpolation_pair["downscale"], "up": self.interpolation_pair["upscale"]}
        static = {**ways, "lowest": self._lowest}
        return Choice("downscale", lens.coarse, (values["scale"],), static, apply_one=lens.coarse_one)
