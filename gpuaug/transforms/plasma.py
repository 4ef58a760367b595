"""Fractal light: brightness, contrast and shadow by a map that is drawn octave by octave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from gpuaug import functional as F
from gpuaug.functional.light import fractal, nodes
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Distribution, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.noise import uniform_noise
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.color import choice
from gpuaug.transforms.layer import Context
from gpuaug.transforms.light import by_map
from gpuaug.transforms.noise import KEY, as_key

__all__ = ["PlasmaBrightnessContrast", "PlasmaShadow", "as_octaves", "plasma"]


def as_octaves(size: Any, owner: str, name: str = "plasma_size") -> int:
    """Return how often cells are halved until there are `size` along a side, or raise."""
    if isinstance(size, bool) or not isinstance(size, int) or not 2 <= size <= 256 or size & (size - 1):
        raise ValueError(f"{owner}: {name} must be a power of two from 2 to 256, got {size!r}")
    return size.bit_length() - 1


def plasma(key: Tensor, roughness: Tensor, octaves: int) -> Tensor:
    """Return fractal maps (B, n, n) between 0 and 1 from keys (B,)."""
    return fractal(uniform_noise(key, 1, 1, nodes(octaves))[:, 0, 0], roughness, octaves)


class _Plasma(Photometric):
    """A transform with a fractal map."""

    def __init__(
        self,
        plasma_size: int,
        roughness: Range,
        p: Number,
        channels: tuple[int, ...] | None,
        keys: Sequence[str] | None,
        **random: Distribution,
    ) -> None:
        super().__init__(p, channels, keys)
        owner = type(self).__name__
        self.octaves = as_octaves(plasma_size, owner)
        law = as_distribution(roughness, owner=owner, name="roughness", low=1e-3, high=10.0)
        self.declare(**random, roughness=law, _key=KEY)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, and the `plasma` (B, n, n) between 0 and 1."""
        values = {name: value for name, value in raw.items() if name != "_key"}
        return {**values, "plasma": plasma(as_key(raw["_key"]), raw["roughness"], self.octaves)}


class PlasmaBrightnessContrast(_Plasma):
    """Change brightness, and then contrast about the mean, by a fractal map drawn for each sample.

    Args:
        brightness_range: range of what is added where the map is 1, on the scale black = 0, white = 1; a number b means
            (-b, b); 0 is neutral.
        contrast_range: range of what is added to the contrast's factor 1 where the map is 1; likewise.
        plasma_size: how many cells the map has along a side, a power of two up to 256.
        roughness: by what the amplitude falls from each octave to the next, finer one: a number, or a range to draw
            from. 0.3 is smooth, 0.7 rough, from 1 on it is noise.
        p: probability for each sample.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; clamped to black and white after either.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for ranges beyond -1..1, or another size.

    Source: albumentations.PlasmaBrightnessContrast, to 1e-5 for the same map where nothing is cut: 2.0.8 also cuts
    what is added and the factors at 0, so that negative ones do nothing, and the product before the mean is put back.
    Maps are drawn by displaced midpoints on `plasma_size` cells and read bilinearly, not at the image's size, and are
    fractal by default (a roughness of 3, the default there, gives noise).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.PlasmaBrightnessContrast(p=1.0)(torch.rand(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"brightness": 0.0, "contrast": 0.0}

    def __init__(
        self,
        brightness_range: Range = (-0.3, 0.3),
        contrast_range: Range = (-0.3, 0.3),
        plasma_size: int = 64,
        roughness: Range = 0.5,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        ranges = {"brightness": brightness_range, "contrast": contrast_range}
        laws = {
            name: as_distribution(
                value,
                owner="PlasmaBrightnessContrast",
                name=f"{name}_range",
                symmetric_about=0.0,
                low=-1.0,
                high=1.0,
            )
            for name, value in ranges.items()
        }
        super().__init__(plasma_size, roughness, p, channels, keys, **laws)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return both operations: the mean is that of what was brightened."""
        brighter, stronger = (values["plasma"] * values[n][:, None, None] for n in ("brightness", "contrast"))
        contrast = choice(F.contrast_by_map, stronger)
        contrast.measures = True
        return [[by_map(brighter, "add")], [contrast]]


class PlasmaShadow(_Plasma):
    """Darken each sample by a fractal map drawn for it.

    Args:
        shadow_intensity_range: range of the darkening where the map is 1, within 0..1; 0 is neutral, 1 is black.
        plasma_size: how many cells the map has along a side, a power of two up to 256.
        roughness: by what the amplitude falls from each octave to the next, finer one: a number, or a range to draw
            from. 0.3 is smooth, 0.7 rough, from 1 on it is noise.
        p: probability for each sample.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for an intensity outside 0..1, or another size.

    Source: albumentations.PlasmaShadow, to 1e-5 for the same map; of the maps see `PlasmaBrightnessContrast`.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.PlasmaShadow(p=1.0)(torch.rand(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"intensity": 0.0}

    single = True

    def __init__(
        self,
        shadow_intensity_range: Range = (0.3, 0.7),
        plasma_size: int = 64,
        roughness: Range = 0.5,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        law = as_distribution(
            shadow_intensity_range, owner="PlasmaShadow", name="shadow_intensity_range", low=0.0, high=1.0
        )
        super().__init__(plasma_size, roughness, p, channels, keys, intensity=law)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the gain."""
        gain = 1 - values["plasma"] * values["intensity"][:, None, None]
        return [[by_map(gain, "gain")]]
