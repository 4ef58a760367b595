"""Rain, snow, and the sun in the lens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpuaug import functional as F
from gpuaug.functional.light_one import level_rain, rain_one, sun_flare_one, write_rain
from gpuaug.render import ops
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.counts import as_counts
from gpuaug.sampling.distributions import Uniform, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.noise import normal_noise, uniform_noise
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.color import choice
from gpuaug.transforms.fog import Color, as_color, check_color
from gpuaug.transforms.layer import Context
from gpuaug.transforms.light import as_whole, columns, extent, one_of
from gpuaug.transforms.noise import KEY, as_key
from gpuaug.transforms.shadow import as_roi, existing, several

__all__ = ["RandomRain", "RandomSnow", "RandomSunFlare"]


_ROWS, _ACROSS = 10, 64
_DROPS = {"drizzle": (0.25, 1), "default": (1 / 3, 1), "heavy": (1.0, 2), "torrential": (2.0, 4)}
"""How many streaks there are for each row of the image, and in how many layers of cells."""
_NODES = 65
_ROUGH = 0.06
"""Standard deviation of Albumentations' snow texture: 0.3, blurred twice by one pixel."""


class RandomRain(Photometric):
    """Let streaks of rain fall over each sample, and darken it.

    Args:
        slant_range: range of how many pixels a streak goes to the right while it falls by its length.
        drop_length: of streaks in pixels; None is an eighth of the height.
        drop_width: of streaks in pixels.
        drop_color: what streaks add, a number or one for each channel, on a scale of 255.
        blur_value: side of the box in pixels that streaks are blurred with; 1 is none.
        brightness_coefficient: what the sample is multiplied by, above 0, up to 1.
        rain_type: how many streaks there are: "drizzle" a quarter of the rows of the image, "default" a third, "heavy"
            as many, "torrential" twice as many.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for another type, or numbers outside their bounds.

    Source: albumentations.RandomRain: the same model, not the same pixels. Streaks are drawn in cells of a grid, at
    most one in each of 512 for "drizzle" and "default", 1024 for "heavy" and 2048 for "torrential".

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomRain(p=1.0)(torch.zeros(2, 3, 24, 30)).shape
        torch.Size([2, 3, 24, 30])
    """

    single = True

    def __init__(
        self,
        slant_range: Range = (-10, 10),
        drop_length: int | None = None,
        drop_width: int = 1,
        drop_color: Color = (200, 200, 200),
        blur_value: int = 7,
        brightness_coefficient: float = 0.7,
        rain_type: str = "default",
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "RandomRain"
        self.drop_length = None if drop_length is None else as_whole(drop_length, owner, "drop_length", 1)
        self.drop_width = as_whole(drop_width, owner, "drop_width", 1)
        self.blur_value = as_whole(blur_value, owner, "blur_value", 1)
        self.drop_color = as_color(drop_color, owner, "drop_color")
        dimmed = brightness_coefficient
        if isinstance(dimmed, bool) or not isinstance(dimmed, (int, float)) or not 0 < dimmed <= 1:
            raise ValueError(f"{owner}: brightness_coefficient must be above 0 and at most 1, got {dimmed!r}")
        self.brightness_coefficient = float(dimmed)
        self.density, self.layers = _DROPS[one_of(rain_type, tuple(_DROPS), owner, "rain_type")]
        self.declare(slant=as_distribution(slant_range, owner=owner, name="slant_range"), _key=KEY)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `slant`, the `frame` of the cells and the `drops` in them."""
        h, w = extent(context)
        length = torch.floor(h / 8).clamp(min=1) if self.drop_length is None else torch.full_like(h, self.drop_length)
        shear = raw["slant"] / length
        reach = float(self.drop_width + self.blur_value)
        sheared = w + shear.abs() * (h - 1)
        across = torch.floor(sheared / reach).clamp(1, _ACROSS)
        cell_w = (sheared / across).clamp(min=reach)
        cell_h = torch.maximum(length + self.blur_value, h / 8)
        share = self.density * h / (w * h) * cell_w * cell_h / self.layers
        noise = uniform_noise(as_key(raw["_key"]), 3, self.layers * _ROWS, _ACROSS)
        there = noise[:, 2:] < share[:, None, None, None]
        drops = torch.where(there, noise[:, :2], torch.full_like(noise[:, :2], -1.0))
        drops = drops.permute(0, 2, 3, 1).unflatten(1, (self.layers, _ROWS)).contiguous()
        return {"slant": raw["slant"], "frame": columns(cell_w, cell_h, shear, length), "drops": drops}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        check_color(self.drop_color, context, "RandomRain", "drop_color")
        static: dict[str, Any] = {
            "width": float(self.drop_width),
            "blur": float(self.blur_value),
            "color": self.drop_color,
            "brightness": self.brightness_coefficient,
        }
        made = choice(F.rain, values["drops"], values["frame"], **static)
        made.apply_one, made.write_one, made.level_one = rain_one, write_rain, level_rain
        return [[made]]


class RandomSnow(Photometric):
    """Let snow lie on each sample.

    Args:
        brightness_coeff: by what dark places are brightened, above 0.
        snow_point_range: range of how much snow there is, within 0..1.
        method: "bleach" brightens what is darker than a third of the scale and half the snow; "texture" brightens,
            whitens by a texture that thins from the top downwards, and lets a hundredth of the pixels sparkle.
        p: probability for each sample; 0 is neutral.
        channels: bands that are the RGB, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same, C 1 or 3.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for another method, or numbers outside their bounds.

    Source: albumentations.RandomSnow: "bleach" to 1e-5 but for its rounding of HLS to 8 bits; "texture" is the same
    model, not the same pixels: texture and tint are added to RGB, where there they are added to hue and saturation too.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomSnow(p=1.0)(torch.rand(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    single = True

    def __init__(
        self,
        brightness_coeff: float = 2.5,
        snow_point_range: Range = (0.1, 0.3),
        method: str = "bleach",
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "RandomSnow"
        if (
            isinstance(brightness_coeff, bool)
            or not isinstance(brightness_coeff, (int, float))
            or brightness_coeff <= 0
        ):
            raise ValueError(f"{owner}: brightness_coeff must be positive, got {brightness_coeff!r}")
        self.brightness_coeff = float(brightness_coeff)
        self.method = one_of(method, ("bleach", "texture"), owner, "method")
        law = as_distribution(snow_point_range, owner=owner, name="snow_point_range", low=0.0, high=1.0)
        self.declare(snow_point=law, **({"_key": KEY} if method == "texture" else {}))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `snow_point`, and for a texture its map (B, n, n) and the `key` of the sparkles."""
        values = {"snow_point": raw["snow_point"]}
        if self.method == "texture":
            key = as_key(raw["_key"])
            values["texture"] = 0.5 + _ROUGH * normal_noise(key, 1, _NODES, _NODES)[:, 0]
            values["key"] = key ^ 1
        return values

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        amount, coefficient = values["snow_point"], self.brightness_coeff
        if self.method == "bleach":
            return [[choice(F.snow_bleach, amount / 2 + 1 / 3, coefficient=coefficient)]]
        operands = (amount, values["texture"], values["key"])
        return [[Choice("snow_texture", ops.lay_snow, operands, {"coefficient": coefficient})]]


class RandomSunFlare(Photometric):
    """Let the sun shine into each sample, with circles in a line from it as lenses make them.

    Args:
        flare_roi: region of the sun, (x_min, y_min, x_max, y_max), as fractions of the image.
        src_radius: of the sun in pixels, at least 2.
        src_color: of the sun, a number or one for each channel, on a scale of 255.
        angle_range: range of the direction in which circles lie, in turns.
        num_flare_circles_range: (low, high) number of circles.
        method: "overlay" blends circles and a sun that fades outwards; "physics_based" adds the light of a soft sun
            with spikes. There the circles, a pixel or two in size, vanish in the blur, and are left out.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for another method, or numbers outside their bounds.

    Source: albumentations.RandomSunFlare: the same model, not the same pixels. The sun's rings are read smoothly from
    a table; where circles overlap the later one lies on top; blurred discs and lines are closed forms.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomSunFlare(src_radius=4, p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    single = True

    def __init__(
        self,
        flare_roi: Sequence[float] = (0, 0, 1, 0.5),
        src_radius: int = 400,
        src_color: Color = (255, 255, 255),
        angle_range: Range = (0, 1),
        num_flare_circles_range: Sequence[int] = (6, 10),
        method: str = "overlay",
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "RandomSunFlare"
        self.roi = as_roi(flare_roi, owner, "flare_roi")
        self.src_radius = as_whole(src_radius, owner, "src_radius", 2)
        self.src_color = as_color(src_color, owner, "src_color")
        self.method = one_of(method, ("overlay", "physics_based"), owner, "method")
        counts = as_counts(num_flare_circles_range, owner, "num_flare_circles_range")
        self.most = int(counts.support()[1])
        angle = as_distribution(angle_range, owner=owner, name="angle_range")
        random: dict[str, Any] = {"_place": (Uniform(0.0, 1.0), 2)}
        if method == "overlay":
            one = Uniform(0.0, 1.0)
            random.update(angle=angle, count=counts, alpha=(Uniform(0.05, 0.2), self.most))
            random.update(_along=(one, self.most), _size=(one, self.most), _tint=(one, 3 * self.most))
        self.declare(**random)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `center`, and what lies around it: `circles`, their `colors`, and the sun's table `through`."""
        h, w = extent(context)
        x0, y0, x1, y1 = self.roi
        u, v = raw["_place"].unbind(1)
        x, y = torch.floor(w * (x0 + u * (x1 - x0))), torch.floor(h * (y0 + v * (y1 - y0)))
        values = {"center": columns(x, y)}
        if self.method == "physics_based":
            return {**values, "fade": 0.7 * torch.maximum(h, w)}
        there = existing(raw["count"], self.most)
        turn = (2 * math.pi * raw["angle"])[:, None]
        along = several(raw["_along"], self.most) * w[:, None] - x[:, None]
        largest = torch.floor(h * 0.01).clamp(min=2)[:, None]
        size = torch.minimum(torch.floor(several(raw["_size"], self.most) * largest) + 1, largest)
        radius, alpha = size**3, several(raw["alpha"], self.most) * there
        # Every circle is blended again with each one after it.
        clear = torch.cumprod((1 - alpha).flip(1), dim=1).flip(1)
        around = (
            torch.floor(x[:, None] + along * torch.cos(turn)),
            torch.floor(y[:, None] + along * torch.sin(turn)),
            radius,
            (1 - clear) * there,
        )
        mean = (alpha * radius).sum(1) / (radius * there).sum(1)
        values.update(
            angle=raw["angle"],
            circles=torch.stack(around, dim=-1),
            colors=self._colors(raw["_tint"], context.channels),
            through=self._through((5 * mean).clamp(max=1)),
        )
        return values

    def _colors(self, tint: Tensor, channels: int) -> Tensor:
        """Return colours (B, M, C): the sun's, or up to a fifth of its brightest channel darker."""
        fall = tint.unflatten(1, (self.most, 3))[:, :, [c % 3 for c in range(channels)]] * (0.2 * max(self.src_color))
        sun = self.src_color if len(self.src_color) == channels else self.src_color[:1] * channels
        parts = [(value - part).clamp(min=0) for value, part in zip(sun, fall.unbind(2), strict=True)]
        return torch.stack(parts, dim=2)

    def _through(self, most: Tensor) -> Tensor:
        """Return how much shows through discs of growing radius and falling opacity, at each of their radii."""
        count = min(max(self.src_radius // 10, 2), 255)
        opacity = most[:, None] * (1 - torch.arange(count, device=most.device, dtype=most.dtype) / (count - 1))
        return torch.cumprod((1 - opacity**3).flip(1), dim=1).flip(1)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        check_color(self.src_color, context, "RandomSunFlare", "src_color")
        static: dict[str, Any] = {"radius": float(self.src_radius), "color": self.src_color}
        if self.method == "physics_based":
            return [[choice(F.sun_halo, values["center"], values["fade"], **static)]]
        operands = (values["circles"], values["colors"], values["center"], values["through"])
        made = choice(F.sun_flare, *operands, **static)
        made.apply_one = sun_flare_one
        return [[made]]
