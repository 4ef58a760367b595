"""The colour of the light: Planckian jitter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gpuaug.functional._constants import Constants
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Distribution, Normal, as_distribution, static_range
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.varying import parts
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.layer import Context
from gpuaug.transforms.tint import need_channels, scaled

__all__ = ["PlanckianJitter"]


STEP, HOTTEST, WHITE = 500.0, 15000.0, 6500.0
"""Kelvin from row to row of the tables, of their last row, and of daylight."""
WARM = 0.4
"""Share of the draws that are warmer than daylight."""
_BLACKBODY = """
6743 4029   13 6281 4241 1665 5919 4372 2513 5623 4457 3154 5376 4515 3672 5163 4555 4103 4979 4584 4468 4816 4604 4782
4672 4619 5053 4542 4630 5289 4426 4638 5497 4320 4644 5681 4223 4648 5844 4135 4651 5990 4054 4653 6121 3980 4654 6239
3911 4655 6346 3847 4656 6444 3787 4656 6532 3732 4656 6613 3680 4655 6688 3632 4655 6756 3586 4655 6820 3544 4654 6878
3503 4653 6933
"""
_CIED = """
5829 4421 2288 5510 4514 2948 5246 4576 3488 5021 4618 3941 4826 4646 4325 4654 4667 4654 4502 4681 4938 4364 4692 5186
4240 4700 5403 4127 4705 5594 4023 4709 5763 3928 4713 5914 3839 4715 6049 3757 4716 6171 3681 4717 6281 3609 4718 6380
3543 4719 6472 3480 4719 6555 3421 4719 6631 3365 4719 6702 3313 4719 6766 3263 4719 6826 3217 4719 6882
"""
LIGHTS = {"blackbody": (_BLACKBODY, 3000.0), "cied": (_CIED, 4000.0)}
"""Red, green and blue of each light, in ten thousandths, and its lowest temperature."""


def _rows(mode: str) -> list[tuple[float, float, float]]:
    numbers = [int(word) / 10000 for word in LIGHTS[mode][0].split()]
    return list(zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=True))


@dataclass(frozen=True)
class _Sides(Distribution):
    """Draw below daylight in `WARM` of the cases, else above it, evenly on each side."""

    low: Number
    high: Number

    @classmethod
    def icdf(cls, u: Tensor, *bounds: Tensor) -> Tensor:
        low, high = bounds
        warm = torch.minimum(low + u / WARM * (WHITE - low), torch.full_like(u, WHITE))
        cold = torch.minimum(WHITE + (u - WARM) / (1 - WARM) * (high - WHITE), high)
        return torch.where(u < WARM, warm, cold)


@dataclass(frozen=True)
class _Slopes(Distribution):
    """Draw on the same sides, from halves of normal laws whose third deviations are the ends."""

    low: Number
    high: Number

    @classmethod
    def icdf(cls, u: Tensor, *bounds: Tensor) -> Tensor:
        low, high = bounds
        zero, one = torch.zeros_like(u), torch.ones_like(u)
        # Half a law is the upper half of the quantiles.
        side = torch.where(u < WARM, u / WARM, (u - WARM) / (1 - WARM)).clamp(0, 1 - 2.0**-23)
        far = Normal.icdf(0.5 + side / 2, zero, one).clamp(min=0)
        drawn = torch.where(u < WARM, WHITE - far * (WHITE - low) / 3, WHITE + far * (high - WHITE) / 3)
        return torch.minimum(torch.maximum(drawn, low.expand_as(drawn)), high.expand_as(drawn))


_METHODS = {"uniform": _Sides, "gaussian": _Slopes}


class PlanckianJitter(Photometric):
    """Show each sample in light of another colour temperature: redder below 6500 K, bluer above.

    Args:
        mode: "blackbody", the light of a glowing body, or "cied", the phases of daylight.
        temperature_limit: (low, high) in kelvin, with 6500 between; of each sample it is drawn below 6500 in two of
            five cases, else above. A number or a distribution is drawn as it is. None is 3000 (of daylight 4000) to
            15000.
        sampling_method: "uniform" or "gaussian": how it is drawn on each side of 6500; a Gaussian has its third
            deviation at the end, where it is cut.
        p: probability for each sample; 0 is neutral.
        channels: bands that are the RGB, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, 3, H, W) to the same: red and blue are scaled, green stays.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for another mode or method, for temperatures beyond the table, for limits without 6500 between;
            when called on images of another number of channels.

    Source: Zini et al. 2022, "Planckian Jitter"; albumentations.PlanckianJitter, without its cut to whole kelvins;
        kornia.augmentation.RandomPlanckianJitter draws rows of the same tables, every 500 K.

    Example:
        >>> import torch, gpuaug as ga
        >>> warm = ga.PlanckianJitter(temperature_limit=4000.0, p=1.0)(torch.full((1, 3, 1, 1), 0.5))
        >>> [round(v, 3) for v in warm.flatten().tolist()]
        [0.677, 0.5, 0.287]
    """

    single = True

    def __init__(
        self,
        mode: str = "blackbody",
        temperature_limit: Range | None = None,
        sampling_method: str = "uniform",
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "PlanckianJitter"
        self.mode = mode.lower() if isinstance(mode, str) else mode
        if self.mode not in LIGHTS:
            raise ValueError(f"{owner}: mode must be one of {', '.join(LIGHTS)}, got {mode!r}")
        if sampling_method not in _METHODS:
            raise ValueError(f"{owner}: sampling_method must be one of {', '.join(_METHODS)}, got {sampling_method!r}")
        self.sampling_method = sampling_method
        coldest = LIGHTS[self.mode][1]
        given = (coldest, HOTTEST) if temperature_limit is None else temperature_limit
        law = as_distribution(given, owner=owner, name="temperature_limit", low=coldest, high=HOTTEST)
        if isinstance(given, (tuple, list)):
            low, high = static_range(law)
            if not parts(given) and not low <= WHITE <= high:
                raise ValueError(f"{owner}: temperature_limit must have {WHITE:g} between its ends, got {given!r}")
            law = _METHODS[sampling_method](*given)
        self._table = Constants(_rows(self.mode))
        self.declare(temperature=law)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the scales of red and blue."""
        need_channels("PlanckianJitter", context.channels, 3)
        table = self._table.on(context.like.device)
        place = (values["temperature"] - LIGHTS[self.mode][1]) / STEP
        below = place.detach().to(torch.int64).clamp(0, table.shape[0] - 2)
        light = torch.lerp(
            table.index_select(0, below), table.index_select(0, below + 1), (place - below).to(table.dtype)[:, None]
        )
        return [[scaled(light / light[:, 1:2], torch.zeros_like(light[:, 0]))]]
