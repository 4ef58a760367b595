"""The operations of the auto-augment policies: what each is, and how strong at which level.

A policy draws for each sample the number of an operation in its `Space`, and a level. `Space.magnitudes` turns levels
into what torchvision calls a magnitude: the slope of a shear, pixels of a shift, degrees, what is added to the factor 1
of brightness, colour, contrast and sharpness, bits, the threshold of a solarize as a fraction of white.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gpuaug._arrays import arrays, cast, tensor
from gpuaug.functional._constants import Constants
from gpuaug.geometry.canvas import Canvas, along
from gpuaug.geometry.matrix import matrix_dtype

__all__ = ["CODES", "WARPS", "Constants", "Operation", "Space", "plain", "ranged"]

CODES = {
    "Identity": 0,
    "ShearX": 1,
    "ShearY": 2,
    "TranslateX": 3,
    "TranslateY": 4,
    "Rotate": 5,
    "Brightness": 6,
    "Color": 7,
    "Contrast": 8,
    "Sharpness": 9,
    "Posterize": 10,
    "Solarize": 11,
    "SolarizeAdd": 12,
    "AutoContrast": 13,
    "Equalize": 14,
    "Invert": 15,
    "GaussianBlur": 16,
}
"""What is done, by name."""
WARPS = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
"""What moves pixels."""


@dataclass(frozen=True)
class Operation:
    """One operation of a policy, with the line from its weakest to its strongest level."""

    name: str
    code: int
    start: float = 0.0
    end: float = 0.0
    signed: bool = False
    """Whether the magnitude is turned round for half of the samples."""
    whole: int = 0
    """1: what is added to the start is cut to a whole number, 2: it is rounded, half to even."""
    of_canvas: bool = False
    """Whether the end is a fraction of the width or the height."""
    scale: float = 1.0
    """What the magnitude is in the operation's unit."""
    low: float = -math.inf
    high: float = math.inf
    """Bounds of the magnitude, before its scale."""

    @property
    def grows(self) -> bool:
        """Whether it does nothing at level 0, and more the higher the level."""
        nothing = {CODES["Posterize"]: 8.0, CODES["Solarize"]: 1.0}.get(self.code, 0.0)
        return (self.signed or nothing > 0 or self.code == CODES["SolarizeAdd"]) and self.start * self.scale >= nothing


def plain(*names: str) -> tuple[Operation, ...]:
    """Return operations without a magnitude."""
    return tuple(Operation(name, CODES[name]) for name in names)


def ranged(end: float, *names: str, **rest: Any) -> tuple[Operation, ...]:
    """Return signed operations from 0 to an end."""
    return tuple(Operation(name, CODES[name], 0.0, end, signed=True, **rest) for name in names)


class Space:
    """The operations that a policy draws from, at levels 0 to `bins` - 1."""

    def __init__(self, operations: tuple[Operation, ...], bins: int) -> None:
        """Lay the numbers out in a table."""
        self.operations, self.bins = operations, bins
        self.names = tuple(operation.name for operation in operations)
        self.codes = frozenset(operation.code for operation in operations)
        self._codes = Constants([operation.code for operation in operations], torch.int64)
        self._table = Constants(
            [[o.start, o.end, o.signed, o.whole, o.scale, o.low, o.high] for o in operations], torch.float64
        )
        self._grows = Constants([o.grows for o in operations], torch.bool)
        fractions = {o.end for o in operations if o.of_canvas}
        if len(fractions) > 1:
            raise ValueError(f"Space: shifts must be of one fraction, got {sorted(fractions)}")  # pragma: no cover
        self._fraction = fractions.pop() if fractions else None

    @property
    def skew(self) -> float:
        """The steepest shear."""
        shears = [abs(o.end) for o in self.operations if o.code in (CODES["ShearX"], CODES["ShearY"])]
        return max(shears, default=0.0)

    @property
    def moves(self) -> bool:
        """Whether an operation moves pixels."""
        return any(CODES[name] in self.codes for name in WARPS)

    def codes_of(self, number: Tensor) -> Tensor:
        """Return what is done, for numbers of operations (B, n)."""
        return self._codes.on(number.device)[number]

    def weakened(self, number: Tensor, level: Tensor, u: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
        """Return levels (B, n) for a strength (B,), and which operations are applied (B, n).

        Args:
            number: (B, n) int64, of the operations.
            level: (B, n) or (B, 1), without a strength.
            u: (B, n) from [0, 1): what does something at level 0 too is applied where they are below the strength.
            strength: (B,) from 0, where nothing is applied, to 1.
        """
        s, grows = strength[:, None], self._grows.on(number.device)[number]
        return torch.where(grows, level * s, level), torch.where(grows, s > 0, u < s)

    def magnitudes(self, number: Tensor, level: Tensor, negative: Tensor, canvas: Canvas) -> Tensor:
        """Return magnitudes (B, n) float32.

        Args:
            number: (B, n) int64, of the operations.
            level: (B, n), 0 to bins - 1; need not be whole.
            negative: (B, n) bool: where the magnitude of a signed operation is turned round.
            canvas: (height, width).
        """
        device = number.device
        given: Any = (number, level, negative, self._table.on(device), self._codes.on(device))
        library: Any = torch
        if not any(isinstance(size, Tensor) for size in canvas):
            library, given = arrays(*given)
        number, level, negative, table, codes = given
        rows = table[number]
        start, end, signed, whole, scale, low, high = rows.unbind(-1) if library is torch else np.moveaxis(rows, -1, 0)
        if self._fraction is not None:
            code, (h, w) = codes[number], canvas
            for name, size in (("TranslateX", w), ("TranslateY", h)):
                reach = along(size * self._fraction, 1) if isinstance(size, Tensor) else size * self._fraction
                end = library.where(code == CODES[name], reach, end)
        # Numbers as torch.linspace gives them in float32, counted from the nearer end, to the last bit: a step less
        # or more is a pixel or a level where they are cut to whole ones.
        kept, work = torch.float32, matrix_dtype(device)
        i, last, end = cast(level, work), self.bins - 1, cast(cast(end, kept), work)
        step = cast(cast(end - start, kept) / max(last, 1), work)
        line = library.where(i < max(self.bins // 2, 1), start + step * i, end - step * (last - i))
        line = cast(cast(line, kept), work)
        rise = line - start
        rise = library.where(whole == 1, library.trunc(rise), library.round(rise))
        value = library.where(whole > 0, start + rise, line)
        value = library.where(negative & (signed > 0), -value, value)
        return tensor(cast(library.minimum(library.maximum(value, low), high) * scale, kept))
