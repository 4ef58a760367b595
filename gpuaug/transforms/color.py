"""Colour: brightness, contrast, saturation, hue, gray, channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug import functional as F
from gpuaug.functional.of_one import MOVED, OF_ONE, WRITTEN
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Distribution, Uniform, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import MAX_CHANNELS, Drawn, Photometric, check_channels
from gpuaug.transforms.layer import Context

__all__ = [
    "ColorJitter",
    "Grayscale",
    "HueSaturationValue",
    "RandomBrightnessContrast",
    "RandomGrayscale",
]


def choice(function: Any, *operands: Tensor, on: Tensor | None = None, levels: bool = False, **static: Any) -> Choice:
    """Return the pixel operation behind a public function, with its operands."""
    name = function.working.__name__  # of a function that was wrapped Dynamo sees another name than its own
    made = Choice(name, function.working, operands, static, on, levels=levels)
    made.apply_one, made.move_one = OF_ONE.get(name), MOVED.get(name)
    made.write_one, made.level_one = WRITTEN.get(name, (None, None))
    made.together = made.level_one is not None
    return made


def _factor(value: Range | None, owner: str, name: str) -> Distribution | None:
    """Read a jitter argument: x means max(0, 1 - x) .. 1 + x; None and what is neutral mean nothing."""
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"{owner}: {name} must not be negative, got {value!r}")
        return None if value == 0 else Uniform(max(0.0, 1.0 - value), 1.0 + value)
    return as_distribution(value, owner=owner, name=name, symmetric_about=1.0, low=0.0, cut=0.0)


class ColorJitter(Photometric):
    """Change brightness, contrast, saturation and hue of each sample, in an order drawn for it.

    Args:
        brightness: factor range; a number x means max(0, 1 - x) to 1 + x; None or 0 is neutral.
        contrast: likewise, about the sample's mean gray.
        saturation: likewise, about each pixel's gray; identity on one channel.
        hue: shift range in turns, within -0.5..0.5; a number x means -x to x; None or 0 is neutral.
        p: probability for each sample, as `RandomApply([ColorJitter(...)], p)`.
        channels: bands that are the RGB, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; C 1 or 3 for contrast, saturation and hue.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for negative factors, or hue beyond half a turn.

    Source: torchvision.transforms.v2.ColorJitter; each operation equals torchvision's functional to 1e-5.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.ColorJitter(0.4, 0.4, 0.4, 0.1)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}

    def __init__(
        self,
        brightness: Range | None = None,
        contrast: Range | None = None,
        saturation: Range | None = None,
        hue: Range | None = None,
        *,
        p: Number = 1.0,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "ColorJitter"
        random: dict[str, Any] = {}
        for name, value in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
            factor = _factor(value, owner, name)
            if factor is not None:
                random[name] = factor
        if hue is not None and not (isinstance(hue, (int, float)) and hue == 0):
            random["hue"] = as_distribution(hue, owner=owner, name="hue", symmetric_about=0.0, low=-0.5, high=0.5)
        self._operations = tuple(random)
        if len(random) > 1:
            random["_order"] = (Uniform(0.0, 1.0), len(random))
        self.declare(**random)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Add the readable `order` (B, n): operations as numbers, in the order of the arguments."""
        return raw if "_order" not in raw else {**raw, "order": torch.argsort(raw["_order"], dim=1)}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operations, all in one slot."""
        operations = [choice(_JITTER[name], values[name]) for name in self._operations]
        for name, operation in zip(self._operations, operations, strict=True):
            operation.measures = name == "contrast"
        return [operations] if operations else []

    def order(self, values: Drawn) -> Tensor | None:
        """Return the order that was drawn."""
        return values.get("order")


_JITTER = {
    "brightness": F.adjust_brightness,
    "contrast": F.adjust_contrast,
    "saturation": F.adjust_saturation,
    "hue": F.adjust_hue,
}


class Grayscale(Photometric):
    """Turn every sample gray.

    Args:
        num_output_channels: 1 or 3.
        channels: bands that are the RGB, of a multi-band image (with 3 output channels).
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, 3, H, W) to (B, num_output_channels, H, W); one channel is taken as gray already.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for another number of channels.

    Source: torchvision.transforms.v2.Grayscale (0.2989 R + 0.587 G + 0.114 B).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.Grayscale()(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 1, 8, 10])
    """

    single = True

    def __init__(
        self,
        num_output_channels: int = 1,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(channels=channels, keys=keys)
        if num_output_channels not in (1, 3):
            raise ValueError(f"Grayscale: num_output_channels must be 1 or 3, got {num_output_channels!r}")
        if keys is not None and num_output_channels == 1:
            raise ValueError("Grayscale: keys needs num_output_channels=3, because other inputs keep their channels")
        self.num_output_channels = num_output_channels
        self.selectable = num_output_channels == 3  # type: ignore[misc]

    def output_channels(self, channels: int) -> int:
        """Return the number asked for."""
        return channels if self.channels is not None else self.num_output_channels

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the blend with gray."""
        plan.out_channels = self.output_channels(context.channels)
        return [[choice(F.rgb_to_grayscale, num_output_channels=self.num_output_channels)]]


class RandomGrayscale(Photometric):
    """Turn each sample gray with probability `p`, keeping three channels.

    Args:
        p: probability for each sample; 0 is neutral.
        channels: bands that are the RGB, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same, C 1 or 3.

    Boxes and masks:
        Unchanged.

    Source: torchvision.transforms.v2.RandomGrayscale.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomGrayscale(p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    single = True

    def __init__(
        self, p: Number = 0.1, *, channels: tuple[int, ...] | None = None, keys: Sequence[str] | None = None
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the gray image."""
        return [[choice(F.rgb_to_grayscale, num_output_channels=0)]]


class RandomBrightnessContrast(Photometric):
    """Scale and shift the values of each sample: x (1 + contrast) + brightness.

    Args:
        brightness_range: range of the shift, as a fraction of white (or of the mean); 0 is neutral.
        contrast_range: range of what is added to the factor 1; 0 is neutral.
        brightness_by_max: whether the shift is a fraction of white (True) or of the sample's mean.
        p: probability for each sample.
        per_channel: whether both are drawn for each channel, as for the bands of a satellite; then brightness is a
            fraction of white.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same, C at most 64 with `per_channel`.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for `per_channel` without `brightness_by_max`.

    Source: albumentations.RandomBrightnessContrast.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomBrightnessContrast(p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"brightness": 0.0, "contrast": 0.0}

    single = True

    def __init__(
        self,
        brightness_range: Range = (-0.2, 0.2),
        contrast_range: Range = (-0.2, 0.2),
        brightness_by_max: bool = True,
        p: Number = 0.5,
        *,
        per_channel: bool = False,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = type(self).__name__
        if per_channel and not brightness_by_max:
            raise ValueError(f"{owner}: brightness_by_max must be True with per_channel, got {brightness_by_max!r}")
        self.brightness_by_max, self.per_channel = brightness_by_max, bool(per_channel)
        columns = MAX_CHANNELS if self.per_channel else 1
        brightness = as_distribution(brightness_range, owner=owner, name="brightness_range", symmetric_about=0.0)
        contrast = as_distribution(contrast_range, owner=owner, name="contrast_range", symmetric_about=0.0)
        self.declare(brightness=(brightness, columns), contrast=(contrast, columns))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `brightness` and `contrast`, (B,) or (B, C)."""
        if not self.per_channel:
            return raw
        check_channels(context.channels, type(self).__name__)
        return {name: drawn[:, : context.channels] for name, drawn in raw.items()}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the linear map."""
        by_max = self.brightness_by_max
        if self.per_channel:
            return [[choice(F.scale_shift, 1 + values["contrast"], values["brightness"])]]
        return [[choice(F.brightness_contrast, values["brightness"], values["contrast"], brightness_by_max=by_max)]]


class HueSaturationValue(Photometric):
    """Shift hue, saturation and value of each sample.

    Args:
        hue_shift_range: degrees on OpenCV's scale of 180; 0 is neutral.
        sat_shift_range: shift of the saturation on a scale of 255; 0 is neutral.
        val_shift_range: shift of the value on a scale of 255; 0 is neutral.
        p: probability for each sample.
        channels: bands that are the RGB, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, 3, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Source: albumentations.HueSaturationValue, without its rounding of hue to whole degrees.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.HueSaturationValue(p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"hue_shift": 0.0, "sat_shift": 0.0, "val_shift": 0.0}

    single = True

    def __init__(
        self,
        hue_shift_range: Range = (-20, 20),
        sat_shift_range: Range = (-30, 30),
        val_shift_range: Range = (-20, 20),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = type(self).__name__
        ranges = {"hue": hue_shift_range, "sat": sat_shift_range, "val": val_shift_range}
        limits = {"hue": 180.0, "sat": 255.0, "val": 255.0}
        self.declare(
            **{
                f"{name}_shift": as_distribution(
                    value,
                    owner=owner,
                    name=f"{name}_shift_range",
                    symmetric_about=0.0,
                    low=-limits[name],
                    high=limits[name],
                )
                for name, value in ranges.items()
            }
        )

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the shift in HSV."""
        operands = (values["hue_shift"], values["sat_shift"], values["val_shift"])
        return [[choice(F.adjust_hue_saturation_value, *operands)]]
