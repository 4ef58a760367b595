"""Pixel operations on one image of 8 bits as tables of 256 values, which the CPU's walk takes from instead of pixels.

Operations that make one value of one value are done to the table, however many follow one another; the image is looked
up once, where its pixels are needed, and as whole levels where it would be rounded next.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gpuaug.functional._door import translate
from gpuaug.functional.tone import equal_levels
from gpuaug.render.plan import Choice
from gpuaug.render.values import quantize

__all__ = ["Table", "tabled"]

ALIKE = {
    "adjust_brightness", "adjust_gamma", "adjust_tone_curve", "brightness_contrast", "invert", "look_up", "posterize",
    "scale_shift", "solarize", "solarize_add",
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
    levels: Tensor | None = None
    """The same as whole levels, where they are known."""

    def pixels(self) -> Tensor:
        """Return the image of working values."""
        return self._looked_up(self.values)

    def rounded(self) -> Tensor:
        """Return the image of whole levels, of 8 bits."""
        out = torch.empty(self.image.shape, dtype=torch.uint8)
        tables = _whole(self.values) if self.levels is None else self.levels
        pairs = [(self.image, out)] if tables.shape[0] == 1 else zip(self.image[0], out[0], strict=True)
        for (image, into), table in zip(pairs, tables, strict=True):
            translate(into, image, table)
        return out

    def _looked_up(self, values: Tensor) -> Tensor:
        if values.shape[0] == 1:
            level = self.image.reshape(-1).to(torch.int32)
            return values[0].index_select(0, level).view(self.image.shape)
        out = torch.empty(self.image.shape, dtype=values.dtype)
        for levels, into, row in zip(self.image[0], out[0], values, strict=True):
            torch.index_select(row, 0, levels.reshape(-1).to(torch.int32), out=into.view(-1))
        return out


def _whole(values: Tensor) -> Tensor:
    return quantize(values, torch.uint8, False).to(torch.uint8)


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
    static = dict(choice.static, levels=levels) if choice.levels else choice.static
    if table is not None or (choice.name == "look_up" and choice.operands[0].dim() == 3):
        before = _ramp(work) if table is None else table.values.view(1, -1, 16, 16)
        if choice.name == "look_up" and choice.operands[0].dim() == 3:
            before = before.expand(-1, image.shape[1], -1, -1)
        return Table(image, choice.apply(before, *(t[b : b + 1] for t in choice.operands), **static).view(-1, 256))
    if choice.tables is None:  # of all samples in one go
        ramps = _ramp(work).expand(choice.operands[0].shape[0] if choice.operands else 1, -1, -1, -1)
        made = choice.apply(ramps, *choice.operands, **static).flatten(2)
        choice.tables = (made, _whole(made))
    row = b if choice.operands else 0
    return Table(image, choice.tables[0][row], choice.tables[1][row])
