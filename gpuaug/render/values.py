"""What black and white are: the scale on which pixel operations work is 0..1, images have their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpuaug.functional._door import Pixels

__all__ = [
    "UNIT",
    "ValueRange",
    "as_value_range",
    "default_range",
    "in_range",
    "movable",
    "quantize",
    "rows_of",
    "to_unit",
]

Numbers = tuple[float, ...]

_SIGNED = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}


def movable(values: Tensor) -> Tensor:
    """Return integers in a dtype of the same bits that torch 2.8 picks and chooses: it does neither with unsigned ones.

    What is made of them is brought back by `view`.
    """
    return values.view(_SIGNED[values.dtype]) if values.dtype in _SIGNED else values


def rows_of(values: Tensor, index: Tensor) -> Tensor:
    """Return rows of a tensor of any dtype."""
    found = movable(values).index_select(0, index)
    return found if found.dtype == values.dtype else found.view(values.dtype)


@dataclass(frozen=True)
class ValueRange:
    """The values of black and of white: one number each, or one for each channel."""

    black: Numbers = (0.0,)
    white: Numbers = (1.0,)

    def working(self, values: Numbers) -> Numbers:
        """Return numbers in the image's unit on the scale 0..1."""
        count = max(len(values), len(self.black))
        sides = zip(_spread(values, count), _spread(self.black, count), _spread(self.white, count), strict=True)
        return tuple((v - b) / (w - b) for v, b, w in sides)

    def one(self, value: Any, owner: str) -> Any:
        """Return a number or a tensor (B,) in the image's unit on the scale 0..1."""
        if len(self.black) > 1:
            raise ValueError(f"{owner}: value_range must be the same for all channels, got {self}")
        return value if self == UNIT else (value - self.black[0]) / (self.white[0] - self.black[0])

    def own(self, share: float) -> Numbers:
        """Return a number on the scale 0..1 in the image's unit."""
        return tuple(b + share * (w - b) for b, w in zip(self.black, self.white, strict=True))

    def at(self, shares: Numbers) -> Numbers:
        """Return numbers on the scale 0..1, one for all channels or one for each, in the image's unit."""
        count = max(len(shares), len(self.black))
        sides = zip(_spread(shares, count), _spread(self.black, count), _spread(self.white, count), strict=True)
        return tuple(b + v * (w - b) for v, b, w in sides)

    def of(self, channels: tuple[int, ...] | None) -> ValueRange:
        """Return the range of some channels."""
        if channels is None or len(self.black) == 1:
            return self
        return ValueRange(tuple(self.black[c] for c in channels), tuple(self.white[c] for c in channels))

    def __str__(self) -> str:
        """Show numbers."""
        return " to ".join(", ".join(f"{v:g}" for v in side) for side in (self.black, self.white))


UNIT = ValueRange()
_DEFAULTS = {torch.uint8: 255.0, torch.uint16: 65535.0}


def default_range(dtype: torch.dtype) -> ValueRange:
    """Return the range of an unsigned dtype, or 0..1."""
    return ValueRange((0.0,), (_DEFAULTS.get(dtype, 1.0),))


def _spread(values: Numbers, count: int) -> Numbers:
    return values * count if len(values) == 1 else values


def as_value_range(value: Any, owner: str) -> ValueRange | None:
    """Accept (black, white), each a number or one number for each channel."""
    if value is None:
        return None
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{owner}: value_range must be (black, white), got {value!r}")
    sides = [tuple(v) if isinstance(v, (tuple, list)) else (v,) for v in value]
    if any(isinstance(v, bool) or not isinstance(v, (int, float)) for side in sides for v in side) or not all(sides):
        raise TypeError(f"{owner}: value_range must be numbers, or lists of one a channel, got {value!r}")
    count = max(len(side) for side in sides)
    if any(len(side) not in (1, count) for side in sides):
        raise ValueError(f"{owner}: value_range must have as many numbers for black as for white, got {value!r}")
    black, white = (_spread(tuple(float(v) for v in side), count) for side in sides)
    if any(b >= w for b, w in zip(black, white, strict=True)):
        raise ValueError(f"{owner}: value_range must have black below white, got {value!r}")
    return ValueRange(black, white)


def quantize(x: Tensor, dtype: torch.dtype, own: bool) -> Tensor:
    """Return working values rounded to integers of a dtype; `own` ones are already on its scale."""
    if not own:
        return x.clamp(0, 1).mul_(default_range(dtype).white[0]).round_()
    limits = torch.iinfo(dtype)
    return torch.round(x).clamp(limits.min, limits.max)


def _affine(x: Pixels, slope: Numbers, shift: Numbers) -> Pixels:
    """Return slope * x + shift, by channel."""
    if isinstance(x, list):
        both = zip(x, _spread(slope, len(x)), _spread(shift, len(x)), strict=True)
        return [plane * a + b for plane, a, b in both]
    if len(slope) == 1:
        return x * slope[0] + shift[0]
    rows = [torch.stack([torch.full((), v, dtype=x.dtype, device=x.device) for v in row]) for row in (slope, shift)]
    return x * rows[0].view(1, -1, 1, 1) + rows[1].view(1, -1, 1, 1)


def to_unit(x: Pixels, *, values: ValueRange) -> Pixels:
    """Return values on the scale 0..1."""
    slope = tuple(1 / (w - b) for b, w in zip(values.black, values.white, strict=True))
    return _affine(x, slope, tuple(-b * s for b, s in zip(values.black, slope, strict=True)))


to_unit.planar = True  # type: ignore[attr-defined]


def in_range(apply: Callable[..., Any], values: ValueRange) -> Callable[..., Any]:
    """Return a pixel operation on the scale 0..1 as one on the image's own."""

    def wrapped(x: Pixels, *operands: Tensor, **static: Any) -> Pixels:
        done = apply(to_unit(x, values=values), *operands, **static)
        return _affine(done, tuple(w - b for b, w in zip(values.black, values.white, strict=True)), values.black)

    for name in ("planar", "needs_rgb"):
        if hasattr(apply, name):
            setattr(wrapped, name, getattr(apply, name))
    return wrapped
