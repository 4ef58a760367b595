"""What hangs in the air: fog by distance, patches of fog, clouds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.noise import normal_noise
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.layer import Context
from gpuaug.transforms.light import Shading, by_map, centred, columns, extent, one_of, radial
from gpuaug.transforms.noise import KEY, as_key
from gpuaug.transforms.plasma import as_octaves, plasma

__all__ = ["AtmosphericFog", "RandomClouds", "RandomFog", "as_color", "check_color"]

Color = float | Sequence[float]


def as_color(value: Any, owner: str, name: str) -> tuple[float, ...]:
    """Return a colour on the scale 0..1 from numbers on that of 255; one number where all are the same."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not values or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values):
        raise TypeError(f"{owner}: {name} must be a number or one number for each channel, got {value!r}")
    if not all(0 <= v <= 255 for v in values):
        raise ValueError(f"{owner}: {name} must be within [0, 255], got {value!r}")
    return tuple(v / 255 for v in (values if len(set(values)) > 1 else values[:1]))


def check_color(color: tuple[float, ...], context: Context, owner: str, name: str) -> None:
    """Raise where a colour has another number of channels than the image."""
    if len(color) not in (1, context.channels):
        raise ValueError(f"{owner}: {name} must be one number or {context.channels} numbers, got {len(color)}")


class AtmosphericFog(Shading):
    """Let each sample fade into fog with distance, by the law of scattering.

    A pixel at depth d becomes value * t + fog_color * (1 - t) with t = exp(-density * d).

    Args:
        density_range: range of the density: fog per unit of depth, at least 0, which is neutral.
        fog_color: a number or one for each channel, on a scale of 255.
        depth_mode: where no depth is given, it goes from 0 to 1: "linear" from the bottom to the top, "diagonal" from
            the bottom right corner to the top left one, "radial" from the middle to the corners.
        p: probability for each sample.
        depth: name of an input with the role "dense" that holds the depth, (B, 1, H, W), in any unit, instead of
            `depth_mode`; it moves with the image. What is outside of it has depth 0, or what
            `Compose(fill={"depth": ...})` says.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a negative density, another mode, or a batch without the depth.

    Source: Koschmieder 1924, as in Sakaridis et al., Semantic Foggy Scene Understanding with Synthetic Data, 2018; the
    arguments of AlbumentationsX's AtmosphericFog, and a depth map.

    Example:
        >>> import torch, gpuaug as ga
        >>> foggy = ga.AtmosphericFog(density_range=2.0, p=1.0)(torch.zeros(1, 1, 3, 1))
        >>> [round(v, 2) for v in foggy.flatten().tolist()]
        [0.68, 0.5, 0.0]
        >>> fog = ga.Compose([ga.AtmosphericFog(0.1, depth="depth", p=1.0)], roles={"depth": "dense"})
        >>> sorted(fog({"image": torch.zeros(1, 3, 4, 5), "depth": torch.rand(1, 1, 4, 5)}))
        ['depth', 'image']
    """

    neutral: ClassVar[Mapping[str, float]] = {"density": 0.0}

    def __init__(
        self,
        density_range: Range = (1.0, 3.0),
        fog_color: Color = (200, 200, 200),
        depth_mode: str = "linear",
        p: Number = 0.5,
        *,
        depth: str | None = None,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "AtmosphericFog"
        self.color = as_color(fog_color, owner, "fog_color")
        self.depth_mode = one_of(depth_mode, ("linear", "diagonal", "radial"), owner, "depth_mode")
        if depth is not None and not isinstance(depth, str):
            raise TypeError(f"{owner}: depth must be the name of an input or None, got {depth!r}")
        self.profile = "exp_root" if depth_mode == "radial" else "exp"
        self.dense = depth
        self.sees = () if depth is None else ("dense",)
        self.declare(density=as_distribution(density_range, owner=owner, name="density_range", low=0.0))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `density`, and the formula, or how much fog there is: `alpha` (B, H, W), of clips (B, T, H, W)."""
        h, w = extent(context)
        density = raw["density"]
        if self.dense is not None:
            far = context.dense
            if not isinstance(far, Tensor):
                raise ValueError("AtmosphericFog: depth must be a map for images of one size")
            thick = density.view(-1, *[1] * (far.dim() - 1))
            return {**raw, "alpha": 1 - torch.exp(-thick * far.to(torch.float32))}
        if self.depth_mode == "radial":
            coefficients = radial(h, density * density / 2)
        elif self.depth_mode == "diagonal":
            coefficients = columns(-density / 2, density / 4, density / 4)
        else:
            coefficients = columns(-density / 2, density / 2, 0.0)
        amount = columns(torch.zeros_like(h), 1.0)
        return {**raw, "frame": centred(h, w), "coefficients": coefficients, "amount": amount}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the blend with the fog."""
        assert self.color is not None
        check_color(self.color, context, "AtmosphericFog", "fog_color")
        if self.dense is None:
            return super().choices(values, plan, context)
        return [[by_map(values["alpha"], "toward", self.color)]]


class _Veil(Photometric):
    """A transform that blends with a colour by a map: `alpha` (B, n, n)."""

    single = True

    color: tuple[float, ...] = (1.0,)
    color_name = ""

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the blend."""
        check_color(self.color, context, type(self).__name__, self.color_name)
        return [[by_map(values["alpha"], "toward", self.color)]]


_REGIONS, _SHRINK = 10, 0.9
_NODES = 49
_BLUR = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


class RandomFog(_Veil):
    """Lay patches of white fog over each sample, thicker towards the middle.

    Args:
        alpha_coef: opacity of a particle of fog at an intensity of 1, within 0..1.
        fog_coef_range: range of the intensity, within 0..1: how many particles there are, how large and how opaque; 0
            is neutral.
        p: probability for each sample.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for arguments outside 0..1.

    Source: albumentations.RandomFog: the same model, not the same pixels. Particles with radii of whole pixels, from
    half of 0.1 times the shorter side times the intensity up to below it, fall evenly into ten regions, each 0.9 times
    as large as the one before. Here their number over each point is drawn from the normal law of that mean and
    variance, smooth over a particle's size; the picture itself is not blurred, for which `GaussianBlur` can follow.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomFog(p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"intensity": 0.0}

    def __init__(
        self,
        alpha_coef: float = 0.08,
        fog_coef_range: Range = (0.3, 1),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "RandomFog"
        if isinstance(alpha_coef, bool) or not isinstance(alpha_coef, (int, float)) or not 0 <= alpha_coef <= 1:
            raise ValueError(f"{owner}: alpha_coef must be within 0..1, got {alpha_coef!r}")
        self.alpha_coef = float(alpha_coef)
        law = as_distribution(fog_coef_range, owner=owner, name="fog_coef_range", low=0.0, high=1.0)
        self.declare(intensity=law, _key=KEY)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `intensity`, and how much fog there is: `alpha` (B, n, n)."""
        intensity = raw["intensity"]
        noise = _smooth(normal_noise(as_key(raw["_key"]), 1, _NODES + 4, _NODES + 4)[:, 0])
        mean = particles(intensity, *extent(context), _NODES)
        count = (mean + torch.sqrt(mean) * noise).clamp(min=0)
        clear = torch.log1p(-(self.alpha_coef * intensity).clamp(max=0.999))
        return {"intensity": intensity, "alpha": 1 - torch.exp(count * clear[:, None, None])}


def _smooth(noise: Tensor) -> Tensor:
    """Return normal noise (B, n + 4, n + 4) as a smooth field (B, n, n) of the same variance."""
    n, gain = noise.shape[1] - 4, sum(weight * weight for weight in _BLUR)
    rows: Any = sum(weight * noise[:, k : k + n] for k, weight in enumerate(_BLUR))
    both: Any = sum(weight * rows[:, :, k : k + n] for k, weight in enumerate(_BLUR))
    return both / gain  # type: ignore[no-any-return]


def _squares(number: Tensor) -> Tensor:
    """Return 1 + 4 + ... + number^2."""
    return number * (number + 1) * (2 * number + 1) / 6


def particles(intensity: Tensor, h: Tensor, w: Tensor, side: int) -> Tensor:
    """Return the mean number of particles of fog over the nodes (B, side, side) of a map."""
    shorter = torch.minimum(h, w)
    largest = torch.floor(0.1 * intensity * shorter + 1e-4).clamp(min=2)
    least = torch.floor(largest / 2)
    square = (_squares(largest - 1) - _squares(least - 1)) / (largest - least)  # of the radius, on average
    # As many as ten times the intensity in each square of a third of the width times the intensity.
    each = 90 * math.pi * square / (intensity.clamp(min=1e-6) * w * w)
    each = torch.where(intensity > 0, each, torch.zeros_like(each))
    away = (torch.arange(side, device=h.device, dtype=h.dtype) / (side - 1) - 0.5).abs()
    soft = (1.5 * largest / shorter)[:, None]  # an edge is as soft as particles are wide
    total = torch.zeros((h.shape[0], side, side), dtype=h.dtype, device=h.device)
    for region in range(_REGIONS):
        share = _SHRINK**region
        there = (share * w > w * intensity / 3) & (share * h > w * intensity / 3)
        inside = ((share / 2 - away) / soft + 0.5).clamp(0, 1) * there[:, None]
        total = total + inside[:, :, None] * inside[:, None, :]
    return total * each[:, None, None]


class RandomClouds(_Veil):
    """Cover a part of each sample with soft fractal clouds.

    Args:
        density_range: range of the opacity of the thickest parts, within 0..1; 0 is neutral.
        coverage_range: range of the share of the image that is under clouds, within 0..1.
        softness: how gradually clouds end, relative to the range of the fractal map.
        cloud_color: a number or one for each channel, on a scale of 255.
        plasma_size: how many cells the map has along a side, a power of two up to 256.
        roughness: by what the amplitude falls from each octave to the next, finer one: a number, or a range to draw
            from.
        p: probability for each sample.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for ranges outside 0..1, or a softness that is not positive.

    Source: fractal covers as imgaug's Clouds: a plasma (see `PlasmaShadow`) is cut off at the height that leaves the
    coverage, smoothly.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomClouds(p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"density": 0.0}

    color_name = "cloud_color"

    def __init__(
        self,
        density_range: Range = (0.6, 0.95),
        coverage_range: Range = (0.2, 0.6),
        softness: float = 0.3,
        cloud_color: Color = 245,
        plasma_size: int = 64,
        roughness: Range = 0.5,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "RandomClouds"
        if isinstance(softness, bool) or not isinstance(softness, (int, float)) or softness <= 0:
            raise ValueError(f"{owner}: softness must be positive, got {softness!r}")
        self.softness = float(softness)
        self.color = as_color(cloud_color, owner, "cloud_color")
        self.octaves = as_octaves(plasma_size, owner)
        self.declare(
            density=as_distribution(density_range, owner=owner, name="density_range", low=0.0, high=1.0),
            coverage=as_distribution(coverage_range, owner=owner, name="coverage_range", low=0.0, high=1.0),
            roughness=as_distribution(roughness, owner=owner, name="roughness", low=1e-3, high=10.0),
            _key=KEY,
        )

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, and how thick the clouds are: `alpha` (B, n, n)."""
        heights = plasma(as_key(raw["_key"]), raw["roughness"], self.octaves)
        ordered = heights.flatten(1).sort(dim=1).values
        place = ((1 - raw["coverage"]) * (ordered.shape[1] - 1)).to(torch.int64)
        edge = ordered.gather(1, place[:, None])[:, :, None]
        rise = ((heights - edge) / self.softness + 0.5).clamp(0, 1)
        thick = rise * rise * (3 - 2 * rise) * raw["density"][:, None, None]
        return {**{name: value for name, value in raw.items() if name != "_key"}, "alpha": thick}
