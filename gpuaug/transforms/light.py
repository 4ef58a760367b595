"""Light that varies over the image by a formula of the position: illumination, vignetting, bands, bias of MRI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug import functional as F
from gpuaug.functional.light_one import level_shade, shade_by_map_one, shade_one, write_shade, write_shade_by_map
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Integers, Uniform, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.color import choice
from gpuaug.transforms.layer import Context

__all__ = [
    "FlickerBanding",
    "Illumination",
    "RandomBiasField",
    "Shading",
    "Vignetting",
    "as_whole",
    "by_map",
    "columns",
    "extent",
    "one_of",
]


def one_of(value: Any, names: tuple[str, ...], owner: str, name: str) -> str:
    """Return a name, or raise where it is not one of those there are."""
    if value not in names:
        raise ValueError(f"{owner}: {name} must be one of {', '.join(names)}, got {value!r}")
    return str(value)


def as_whole(value: Any, owner: str, name: str, low: int) -> int:
    """Return a whole number that is not too small, or raise."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{owner}: {name} must be a whole number of at least {low}, got {value!r}")
    return value


def extent(context: Context) -> tuple[Tensor, Tensor]:
    """Return the height and the width of each sample, (B,) float32."""
    ones = torch.ones_like(context.like, dtype=torch.float32)
    h, w = context.canvas
    return ones * h, ones * w


def columns(*entries: Tensor | float) -> Tensor:
    """Stack numbers and (B,) tensors, the first of them one, into (B, n)."""
    like = next(entry for entry in entries if isinstance(entry, Tensor))
    return torch.stack([e if isinstance(e, Tensor) else torch.full_like(like, e) for e in entries], dim=1)


def centred(h: Tensor, w: Tensor) -> Tensor:
    """Return the frame in which the centres of the corner pixels are at -1 and 1."""
    return columns((w - 1) / 2, (h - 1) / 2, 2 / (w - 1).clamp(min=1), 2 / (h - 1).clamp(min=1))


def radial(h: Tensor, factor: Tensor | float) -> Tensor:
    """Return the coefficients of factor * (u^2 + v^2)."""
    return columns(torch.zeros_like(h), 0.0, factor, 0.0, 0.0, factor)


def by_map(field: Tensor, mode: str, color: tuple[float, ...] | None = None) -> Choice:
    """Return the pixel operation `shade_by_map`."""
    made = choice(F.shade_by_map, field, mode=mode, color=color)
    made.apply_one, made.write_one = shade_by_map_one, write_shade_by_map
    return made


class Shading(Photometric):
    """A transform that gives `shade` its operands: `frame`, `coefficients` and `amount`."""

    single = True

    profile = "identity"
    color: tuple[float, ...] | None = None
    """On the scale 0..1."""
    clip = True

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        operands = (values["frame"], values["coefficients"], values["amount"])
        made = choice(F.shade, *operands, profile=self.profile, color=self.color, clip=self.clip)
        made.apply_one, made.write_one, made.level_one = shade_one, write_shade, level_shade
        return [[made]]


class Illumination(Shading):
    """Brighten one side of each sample and darken the other, or light up or darken a corner or a spot.

    Args:
        mode: "linear" for a gradient across the image, "corner" for one from a corner drawn for each sample,
            "gaussian" for a spot.
        intensity_range: range of the strength, within 0..1; 0 is neutral.
        effect_type: "brighten", "darken", or "both" for one of them drawn for each sample. A linear gradient does both
            at once: "darken" turns it round.
        angle_range: direction of the linear gradient in degrees: 0 brightens towards the right, 90 towards the bottom.
        center_range: range of the spot's centre, as a fraction of width and height.
        sigma_range: range of the spot's standard deviation, as a fraction of the longer side.
        p: probability for each sample.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for another mode or effect, or ranges outside their bounds.

    Source: albumentations.Illumination, to 1e-5. A linear gradient goes from 1 - intensity to 1 + intensity at every
    angle, which there holds for multiples of 45 degrees.

    Example:
        >>> import torch, gpuaug as ga
        >>> light = ga.Illumination(intensity_range=0.2, effect_type="brighten", angle_range=0, p=1.0)
        >>> [round(v, 2) for v in light(torch.full((1, 1, 1, 3), 0.5)).flatten().tolist()]
        [0.4, 0.5, 0.6]
    """

    neutral: ClassVar[Mapping[str, float]] = {"intensity": 0.0}

    def __init__(
        self,
        mode: str = "linear",
        intensity_range: Range = (0.01, 0.2),
        effect_type: str = "both",
        angle_range: Range = (0, 360),
        center_range: Range = (0.1, 0.9),
        sigma_range: Range = (0.2, 1.0),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "Illumination"
        self.mode = one_of(mode, ("linear", "corner", "gaussian"), owner, "mode")
        self.effect_type = one_of(effect_type, ("brighten", "darken", "both"), owner, "effect_type")
        self.profile = {"linear": "identity", "corner": "root", "gaussian": "exp"}[mode]
        random: dict[str, Any] = {
            "intensity": as_distribution(intensity_range, owner=owner, name="intensity_range", low=0.0, high=1.0)
        }
        angle = as_distribution(angle_range, owner=owner, name="angle_range")
        center = as_distribution(center_range, owner=owner, name="center_range")
        sigma = as_distribution(sigma_range, owner=owner, name="sigma_range", low=1e-3)
        if mode == "linear":
            random["angle"] = angle
        elif mode == "corner":
            random["corner"] = Integers(0, 3)
        else:
            random.update(center=(center, 2), sigma=sigma)
        if effect_type == "both":
            random["_sign"] = Uniform(0.0, 1.0)
        self.declare(**random)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `intensity` (negative where it darkens), what says where, and the formula."""
        h, w = extent(context)
        intensity = raw["intensity"]
        if "_sign" in raw:
            intensity = torch.where(raw["_sign"] < 0.5, -intensity, intensity)
        elif self.effect_type == "darken":
            intensity = -intensity
        values = {**{k: v for k, v in raw.items() if k != "_sign"}, "intensity": intensity}
        gain = intensity
        if self.mode == "linear":
            turn = torch.deg2rad(raw["angle"])
            cos, sin = torch.cos(turn), torch.sin(turn)
            reach = cos.abs() + sin.abs()
            values["frame"] = centred(h, w)
            values["coefficients"] = columns(0.0, sin / reach, cos / reach)
        elif self.mode == "corner":  # clockwise from the first pixel
            right = (raw["corner"] == 1) | (raw["corner"] == 2)
            down, along = raw["corner"] >= 2, torch.rsqrt(h * h + w * w)
            values["frame"] = columns(right * (w - 1), down * (h - 1), along, along)
            values["coefficients"] = radial(h, 1.0)
            gain = -intensity
        else:
            along = 0.5**0.5 / (raw["sigma"] * torch.maximum(h, w))
            values["frame"] = columns(raw["center"][:, 0] * w, raw["center"][:, 1] * h, along, along)
            values["coefficients"] = radial(h, -1.0)
        values["amount"] = columns(1.0, gain)
        return values


class Vignetting(Shading):
    """Darken each sample from a centre drawn for it towards the edges.

    Args:
        intensity_range: range of the darkening at the corner that is farthest from the centre, within 0..1; 0 is
            neutral, 1 makes it black.
        center_range: range of the centre, as a fraction of width and height; 0.5 is the middle.
        p: probability for each sample.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for an intensity outside 0..1.

    Source: the arguments of AlbumentationsX's Vignetting. The gain is 1 - intensity * (dx^2 + dy^2) / 2, where
    dx and dy are the distances from the centre, 1 at the farther edge of each axis.

    Example:
        >>> import torch, gpuaug as ga
        >>> dark = ga.Vignetting(1.0, 0.5, p=1.0)(torch.ones(1, 1, 1, 2))
        >>> dark.flatten().tolist()
        [0.875, 0.875]
    """

    neutral: ClassVar[Mapping[str, float]] = {"intensity": 0.0}

    def __init__(
        self,
        intensity_range: Range = (0.2, 0.5),
        center_range: Range = (0.3, 0.7),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "Vignetting"
        self.declare(
            intensity=as_distribution(intensity_range, owner=owner, name="intensity_range", low=0.0, high=1.0),
            center=(as_distribution(center_range, owner=owner, name="center_range"), 2),
        )

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `intensity`, `center` and the formula."""
        h, w = extent(context)
        cx, cy = raw["center"].unbind(1)
        half_w, half_h = (torch.maximum(c.abs(), (1 - c).abs()) * n for c, n in ((cx, w), (cy, h)))
        return {
            **raw,
            "frame": columns(cx * w - 0.5, cy * h - 0.5, 1 / half_w, 1 / half_h),
            "coefficients": radial(h, 0.5),
            "amount": columns(1.0, -raw["intensity"]),
        }


class FlickerBanding(Shading):
    """Lay bright and dark bands over each sample, as sensors that are read row by row see flickering light.

    A lamp on alternating current changes its brightness while the rows are read one after another: the gain of a row
    is 1 + intensity * sin(2 pi (phase + bands * (row + 0.5) / height)).

    Args:
        intensity_range: range of the amplitude of the gain, within 0..1; 0 is neutral.
        bands_range: range of the number of bands over the image's height.
        angle_range: range of the bands' tilt in degrees, for sensors that are not held upright: 0 lays them along the
            rows, 90 along the columns, the bands as wide as before.
        phase_range: range of the phase at the upper left corner, in turns.
        p: probability for each sample.
        channels: bands of the image it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for an intensity outside 0..1, or a negative number of bands.

    Source: the rolling shutter under a lamp whose power is a sine; no other library has it, the name is photographers'.

    Example:
        >>> import torch, gpuaug as ga
        >>> bands = ga.FlickerBanding(0.5, 1.0, phase_range=0.0, p=1.0)
        >>> [round(v, 2) for v in bands(torch.full((1, 1, 2, 1), 0.5)).flatten().tolist()]
        [0.75, 0.25]
    """

    neutral: ClassVar[Mapping[str, float]] = {"intensity": 0.0}

    profile = "sine"

    def __init__(
        self,
        intensity_range: Range = (0.1, 0.3),
        bands_range: Range = (2.0, 10.0),
        angle_range: Range = 0.0,
        phase_range: Range = (0.0, 1.0),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "FlickerBanding"
        self.declare(
            intensity=as_distribution(intensity_range, owner=owner, name="intensity_range", low=0.0, high=1.0),
            bands=as_distribution(bands_range, owner=owner, name="bands_range", low=0.0),
            angle=as_distribution(angle_range, owner=owner, name="angle_range"),
            phase=as_distribution(phase_range, owner=owner, name="phase_range"),
        )

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, and the formula."""
        h, _ = extent(context)
        turn = torch.deg2rad(raw["angle"])
        down, right = raw["bands"] * torch.cos(turn), raw["bands"] * torch.sin(turn)
        return {
            **raw,
            "frame": columns(torch.full_like(h, -0.5), -0.5, 1 / h, 1 / h),
            "coefficients": columns(raw["phase"], down, right),
            "amount": columns(1.0, raw["intensity"]),
        }


class RandomBiasField(Shading):
    """Multiply each sample by the exponential of a polynomial of the position, as uneven coils of MRI do.

    Args:
        coefficients: range of the coefficients; a number c means (-c, c); 0 is neutral.
        order: of the polynomial, 0 to 6: it has (order + 1) (order + 2) / 2 coefficients.
        p: probability for each sample.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; floats are not clamped.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for an order outside 0..6.

    Source: torchio.RandomBiasField, in two dimensions: positions go from -1 to 1 between the centres of the first and
    the last pixel, where there they end one pixel off; coefficients stand in the same order.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomBiasField(0.5)(torch.full((2, 1, 8, 10), 0.3)).shape
        torch.Size([2, 1, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"coefficients": 0.0}

    clamps = False
    profile = "exp"
    clip = False

    def __init__(
        self,
        coefficients: Range = 0.5,
        order: int = 3,
        *,
        p: Number = 1.0,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "RandomBiasField"
        if isinstance(order, bool) or not isinstance(order, int) or not 0 <= order <= 6:
            raise ValueError(f"{owner}: order must be a whole number from 0 to 6, got {order!r}")
        self.degree = order
        law = as_distribution(coefficients, owner=owner, name="coefficients", symmetric_about=0.0)
        self.declare(coefficients=(law, (order + 1) * (order + 2) // 2))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `coefficients`, and where positions begin and end."""
        h, w = extent(context)
        drawn = raw["coefficients"]
        return {
            "coefficients": drawn[:, None] if drawn.dim() == 1 else drawn,
            "frame": centred(h, w),
            "amount": columns(torch.zeros_like(h), 1.0),
        }
