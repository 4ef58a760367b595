"""Pixel operations on one image of 8 bits as tables of 256 values, which the CPU's walk takes from instead of pixels.

Operations that make one value of one value are done to the table, however many follow one another; the image is looked
up once, where its pixels are needed, and as whole levels where it would be rounded next.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gpuaug.functional.tone import equal_levels
from gpuaug.render.plan import Choice
from gpuaug.render.values import quantize

__all__ = ["Table", "tabled"]

ALIKE = {
    "adjust_brightness", "adjust_tone_curve", "brightness_contrast", "invert", "look_up", "posterize", "scale_shift",
    "solarize", "solarize_add",
}  # fmt: skip
"""Operations that do the same to every value of a channel."""
MEASURING = {"autocontrast", "equalize"}
"""Operations that first measure each channel."""
_RAMPS: dict[torch.dtype, Tensor] = {}


@dataclass
class Table:
    """An image of 8 bits, and the working value (C, 256), or (1, 256), of each of its levels."""

    image: Tensor
    values: Tensor

    def pixels(self) -> Tensor:
        """Return the image of working values."""
        return self._looked_up(self.values)

    def rounded(self) -> Tensor:
        """Return the image of whole levels, of 8 bits."""
        return self._looked_up(quantize(self.values, torch.uint8, False).to(torch.uint8))

    def _looked_up(self, values: Tensor) -> Tensor:
        channels = self.image.shape[1]
        if values.shape[0] == 1:
            level = self.image.reshape(-1).to(torch.int32)
            return values[0].index_select(0, level).view(self.image.shape)
        level = self.image.reshape(channels, -1).to(torch.int64)
        return values.gather(1, level).view(self.image.shape)


def _ramp(work: torch.dtype) -> Tensor:
    if work not in _RAMPS:
        _RAMPS[work] = torch.arange(256, dtype=work).div_(255).view(1, 1, 16, 16)
    return _RAMPS[work]


def tabled(
    image: Tensor, unit: float, table: Table | None, choice: Choice, b: int, levels: int | None, work: torch.dtype
) -> Table | None:
    """Return the table after one operation; None where it cannot be done to a table."""
    if image.dtype != torch.uint8 or unit != 255 or choice.channels is not None or choice.values is not None:
        return None
    if choice.name in MEASURING and table is None and image.numel():
        if choice.name == "equalize":
            return Table(image, equal_levels(image).to(work) / 255)
        low, high = (ends(dim=(2, 3), keepdim=True).to(work).div_(255) for ends in (image.amin, image.amax))
        # What lies beyond the extremes does not occur; brought to them it leaves them what they are.
        ramp = torch.minimum(torch.maximum(_ramp(work), low), high)
        return Table(image, choice.apply(ramp).view(-1, 256))
    if choice.name not in ALIKE or not choice.static.get("brightness_by_max", True):
        return None
    before = _ramp(work) if table is None else table.values.view(1, -1, 16, 16)
    if choice.name == "look_up" and choice.operands[0].dim() == 3:
        before = before.expand(-1, image.shape[1], -1, -1)
    static = dict(choice.static, levels=levels) if choice.levels else choice.static
    after = choice.apply(before, *(t[b : b + 1] for t in choice.operands), **static)
    return Table(image, after.view(-1, 256))
