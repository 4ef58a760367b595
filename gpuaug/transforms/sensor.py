"""What sensors do: photons, high sensitivity, lines that are read one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from gpuaug.render import ops
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.layer import Context
from gpuaug.transforms.noise import KEY, as_key

__all__ = ["BandingNoise", "ISONoise", "ShotNoise"]


class _Keyed(Photometric):
    """Noise from drawn numbers and a key."""

    single = True

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn, and the noise's `key`."""
        return {**{k: v for k, v in raw.items() if k != "_key"}, "key": as_key(raw["_key"])}


class ShotNoise(_Keyed):
    """Let the light of each value be a number of photons, drawn from the Poisson law of its expectation.

    Args:
        scale_range: range of the linear light of one photon, white being 1; 0 is neutral.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; clamped to black and white. What is counted has no gradient.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a negative scale.

    Source: albumentations.ShotNoise; counts are the inverse of the law at places drawn evenly, exact below six photons,
    above by the expansion of functional.shot_noise.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.ShotNoise(p=1.0)(torch.full((2, 3, 8, 10), 0.5)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"scale": 0.0}

    def __init__(
        self,
        scale_range: Range = (0.1, 0.3),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        self.declare(scale=as_distribution(scale_range, owner="ShotNoise", name="scale_range", low=0.0), _key=KEY)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        return [[Choice("shot_noise", ops.count_photons, (values["scale"], values["key"]))]]


class ISONoise(_Keyed):
    """Add the noise of a camera at high sensitivity: hues turn, and pixels are lit by photons.

    Args:
        color_shift: range of the hue's standard deviation at an intensity of 1, in turns; 0 is neutral.
        intensity: range of the strength of both; 0 is neutral.
        p: probability for each sample; 0 is neutral.
        channels: bands that are the RGB, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same, C 1 or 3; clamped to black and white.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a negative intensity, or shifts outside 0..1; when called on other than 1 or 3 channels.

    Source: albumentations.ISONoise, with the shift in turns as its documentation has it, not in degrees as its code.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.ISONoise(p=1.0)(torch.rand(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"color_shift": 0.0, "intensity": 0.0}

    def __init__(
        self,
        color_shift: Range = (0.01, 0.05),
        intensity: Range = (0.1, 0.5),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        self.declare(
            color_shift=as_distribution(color_shift, owner="ISONoise", name="color_shift", low=0.0, high=1.0),
            intensity=as_distribution(intensity, owner="ISONoise", name="intensity", low=0.0),
            _key=KEY,
        )

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        operands = (values["color_shift"], values["intensity"], values["key"])
        return [[Choice("iso_noise", ops.make_iso_noise, operands, measures=True)]]


class BandingNoise(_Keyed):
    """Shift whole rows or columns of each sample by normal noise, as sensors do that are read line by line.

    Args:
        sigma: range of the standard deviation on the scale black = 0, white = 1; 0 is neutral.
        direction: "rows" or "columns", which are shifted as a whole.
        per_channel: whether channels have noise of their own.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a negative sigma, or another direction.

    Source: row and column noise of image sensors, EMVA standard 1288.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.BandingNoise(p=1.0)(torch.full((2, 3, 8, 10), 0.5)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"sigma": 0.0}

    def __init__(
        self,
        sigma: Range = (0.01, 0.05),
        direction: str = "rows",
        per_channel: bool = False,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        if direction not in ("rows", "columns"):
            raise ValueError(f"BandingNoise: direction must be 'rows' or 'columns', got {direction!r}")
        self.direction, self.per_channel = direction, bool(per_channel)
        self.declare(sigma=as_distribution(sigma, owner="BandingNoise", name="sigma", low=0.0), _key=KEY)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        static = {"columns": self.direction == "columns", "per_channel": self.per_channel}
        return [[Choice("line_noise", ops.add_line_noise, (values["sigma"], values["key"]), static)]]
