"""Shadows with edges, and creases of paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug import functional as F
from gpuaug.functional.light_one import cast_shadows_one, crease_one
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.counts import as_counts
from gpuaug.sampling.distributions import Normal, Uniform, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.color import choice
from gpuaug.transforms.layer import Context
from gpuaug.transforms.light import Shading, as_whole, columns, extent, one_of

__all__ = ["RandomPageShadow", "RandomPaperCreases", "RandomShadow", "as_roi"]


def as_roi(value: Any, owner: str, name: str) -> tuple[float, float, float, float]:
    """Return (x_min, y_min, x_max, y_max) as fractions of the image, or raise."""
    given = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(given) != 4 or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in given):
        raise TypeError(f"{owner}: {name} must be (x_min, y_min, x_max, y_max), got {value!r}")
    x0, y0, x1, y1 = (float(v) for v in given)
    if not (0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1):
        raise ValueError(f"{owner}: {name} must be 0 <= min <= max <= 1 along x and y, got {value!r}")
    return x0, y0, x1, y1


def several(draws: Tensor, count: int) -> Tensor:
    """Return draws (B, count) of one column or more."""
    return draws.reshape(-1, count)


def existing(count: Tensor, most: int) -> Tensor:
    """Return which of the things drawn there are, (B, most)."""
    return torch.arange(most, device=count.device) < count[:, None]


class RandomShadow(Photometric):
    """Darken polygons of each sample, with corners drawn in a region.

    Args:
        shadow_roi: region of the corners, (x_min, y_min, x_max, y_max), as fractions of the image.
        num_shadows_limit: (low, high) number of shadows.
        shadow_dimension: number of corners of each, at least 3.
        shadow_intensity_range: range of the darkening, within 0..1; 0 is neutral, 1 is black.
        p: probability for each sample.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a region outside the image, or numbers out of order.

    Source: albumentations.RandomShadow, but for pixels on the sides of polygons: here a pixel is in the shadow where
    its centre is enclosed an odd number of times.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomShadow(p=1.0)(torch.ones(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"intensity": 0.0}

    single = True

    def __init__(
        self,
        shadow_roi: Sequence[float] = (0, 0.5, 1, 1),
        num_shadows_limit: Sequence[int] = (1, 2),
        shadow_dimension: int = 5,
        shadow_intensity_range: Range = (0.5, 0.5),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "RandomShadow"
        self.roi = as_roi(shadow_roi, owner, "shadow_roi")
        counts = as_counts(num_shadows_limit, owner, "num_shadows_limit")
        self.most = int(counts.support()[1])
        self.corners = as_whole(shadow_dimension, owner, "shadow_dimension", 3)
        law = as_distribution(shadow_intensity_range, owner=owner, name="shadow_intensity_range", low=0.0, high=1.0)
        self.declare(
            count=counts,
            intensity=(law, self.most),
            _place=(Uniform(0.0, 1.0), 2 * self.corners * self.most),
        )

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `corners` (B, K, D, 2) and `intensity` (B, K), 0 where there is no shadow."""
        h, w = extent(context)
        place = raw["_place"].unflatten(1, (self.most, self.corners, 2))
        x0, y0, x1, y1 = self.roi
        sides = []
        for axis, (low, high, size) in enumerate(((x0, x1, w), (y0, y1, h))):
            first, last = (torch.floor(share * size)[:, None, None] for share in (low, high))
            sides.append(torch.minimum(torch.floor(first + place[..., axis] * (last - first)), (last - 1).clamp(min=0)))
        there = existing(raw["count"], self.most)
        return {
            "corners": torch.stack(sides, dim=-1),
            "intensity": several(raw["intensity"], self.most) * there,
        }

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        made = choice(F.cast_shadows, values["corners"], values["intensity"])
        made.apply_one = cast_shadows_one
        return [[made]]


class RandomPageShadow(Shading):
    """Darken each sample on one side of a soft edge, as a hand or a phone over a page does.

    Args:
        intensity_range: range of the darkening, within 0..1; 0 is neutral.
        softness_range: range of the width of the edge, as a fraction of the shorter side: over it the shadow falls from
            0.88 to 0.12 of its strength.
        angle_range: where the shadow lies, in degrees: 0 to the right, 90 at the bottom.
        offset_range: range of where the edge crosses the image: 0 at the lit end, 1 at the dark one.
        p: probability for each sample.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for ranges outside their bounds.

    Source: none; a logistic edge: the gain is 1 - intensity / (1 + exp(-4 d / softness)) at a distance d.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomPageShadow(p=1.0)(torch.ones(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"intensity": 0.0}

    profile = "sigmoid"

    def __init__(
        self,
        intensity_range: Range = (0.2, 0.6),
        softness_range: Range = (0.05, 0.4),
        angle_range: Range = (0, 360),
        offset_range: Range = (0.3, 0.8),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "RandomPageShadow"
        self.declare(
            intensity=as_distribution(intensity_range, owner=owner, name="intensity_range", low=0.0, high=1.0),
            softness=as_distribution(softness_range, owner=owner, name="softness_range", low=1e-3),
            angle=as_distribution(angle_range, owner=owner, name="angle_range"),
            offset=as_distribution(offset_range, owner=owner, name="offset_range"),
        )

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, and the formula."""
        h, w = extent(context)
        turn = torch.deg2rad(raw["angle"])
        cos, sin = torch.cos(turn), torch.sin(turn)
        away = (raw["offset"] - 0.5) * (cos.abs() * w + sin.abs() * h)
        steep = 4 / (raw["softness"] * torch.minimum(h, w))
        return {
            **raw,
            "frame": columns((w - 1) / 2 + cos * away, (h - 1) / 2 + sin * away, steep, steep),
            "coefficients": columns(0.0, sin, cos),
            "amount": columns(1.0, -raw["intensity"]),
        }


class RandomPaperCreases(Photometric):
    """Fold or crumple each sample as if it were paper: creases with a light and a dark side, worn along the line.

    Args:
        num_creases_range: (low, high) number of creases.
        strength_range: range of how much lighter and darker the sides of a crease are, within 0..1; 0 is neutral.
        width_range: range of their width, as a fraction of the shorter side.
        wear_range: range of how white the lines are, within 0..1; 0 is neutral.
        mode: "folds" for creases along the sides of the page, to about two degrees, "crumples" for any direction.
        p: probability for each sample.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for another mode, or ranges outside their bounds.

    Source: none; see `functional.crease`. Creases bend no pixels; a warp such as `ThinPlateSpline` can.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomPaperCreases(p=1.0)(torch.full((2, 3, 8, 10), 0.5)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"strength": 0.0, "wear": 0.0}

    single = True

    def __init__(
        self,
        num_creases_range: Sequence[int] = (1, 4),
        strength_range: Range = (0.1, 0.35),
        width_range: Range = (0.005, 0.02),
        wear_range: Range = (0.0, 0.5),
        mode: str = "folds",
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "RandomPaperCreases"
        counts = as_counts(num_creases_range, owner, "num_creases_range")
        self.most = int(counts.support()[1])
        self.mode = one_of(mode, ("folds", "crumples"), owner, "mode")
        random: dict[str, Any] = {
            "strength": as_distribution(strength_range, owner=owner, name="strength_range", low=0.0, high=1.0),
            "width": as_distribution(width_range, owner=owner, name="width_range", low=1e-4),
            "wear": as_distribution(wear_range, owner=owner, name="wear_range", low=0.0, high=1.0),
            "_turn": Normal(0.0, 2.0) if mode == "folds" else Uniform(0.0, 180.0),
            "_place": Uniform(0.1, 0.9),
            "_sign": Uniform(0.0, 1.0),
            "_across": Uniform(0.0, 1.0),
        }
        self.declare(count=counts, **{name: (law, self.most) for name, law in random.items()})

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, (B, K) each, and the creases: `lines` (B, K, 4) and their `amounts` (B, K, 3)."""
        h, w = (n[:, None] for n in extent(context))
        drawn = {name: several(value, self.most) for name, value in raw.items() if name != "count"}
        there = existing(raw["count"], self.most)
        strength, wear = drawn["strength"] * there, drawn["wear"] * there
        degrees = drawn["_turn"]
        if self.mode == "folds":
            degrees = degrees + torch.where(drawn["_across"] < 0.5, 0.0, 90.0)
        turn = torch.deg2rad(degrees)
        nx, ny = torch.cos(turn), torch.sin(turn)
        away = (drawn["_place"] - 0.5) * (nx.abs() * w + ny.abs() * h)
        offset = nx * (w - 1) / 2 + ny * (h - 1) / 2 + away
        width = drawn["width"] * torch.minimum(h, w)
        side = torch.where(drawn["_sign"] < 0.5, -strength, strength)
        return {
            "strength": strength,
            "width": drawn["width"],
            "wear": wear,
            "angle": degrees,
            "lines": torch.stack((nx, ny, offset, width), dim=-1),
            "amounts": torch.stack((side, -0.4 * side, wear), dim=-1),
        }

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        made = choice(F.crease, values["lines"], values["amounts"])
        made.apply_one = crease_one
        return [[made]]
