"""Sizes of outputs: read, and followed by schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuaug.sampling.distributions import Distribution
from gpuaug.sampling.varying import PerClass, Times, Varying, most, parts
from gpuaug.schedule import Schedule

__all__ = ["Timed", "as_size", "has_size", "is_fraction", "length_at", "timed"]


class Timed(tuple[int, ...]):
    """(height, width) at their largest, of sizes that follow a schedule."""

    lengths: tuple[Any, Any]

    def at(self, times: Times) -> tuple[int, int]:
        """Return (height, width) at a time."""
        return length_at(self.lengths[0], times), length_at(self.lengths[1], times)


def length_at(length: Any, times: Times) -> int:
    """Return a length at a time: the nearest whole number."""
    return round(length.now(times, None)) if isinstance(length, Varying) else int(length)


def as_size(size: Any, owner: str, name: str = "size") -> tuple[int, int]:
    """Return (height, width) from a number (a square), or a pair; of schedules the largest."""
    pair = isinstance(size, Sequence)
    values = tuple(size) if pair else (size,)
    if len(values) == 1:
        values = values * 2
    scheduled = any(isinstance(v, Schedule) for v in values)
    largest = tuple(round(v.support()[1]) if isinstance(v, Schedule) else v for v in values)
    if len(values) != 2 or any(isinstance(v, bool) or not isinstance(v, int) for v in largest):
        raise TypeError(f"{owner}: {name} must be an integer or (height, width), got {size!r}")
    if scheduled and name not in ("size", "target_size"):
        raise TypeError(
            f"{owner}: {name} must be an integer or (height, width), which no schedule changes, got {size!r}"
        )
    if min(round(v.support()[0]) if isinstance(v, Schedule) else v for v in values) < 1:
        raise ValueError(f"{owner}: {name} must be at least 1, got {size!r}")
    if not scheduled:
        return (values[0], values[1])
    made = Timed(largest)
    made.lengths = values
    return made  # type: ignore[return-value]  # it has two


def has_size(transform: Any) -> bool:
    """Tell whether the size of what comes out is an argument of a transform."""
    return any(getattr(transform, name, None) is not None for name in ("size", "target_size"))


def timed(transform: Any) -> Timed | None:
    """Return the size of a transform that follows a schedule."""
    for name in ("size", "target_size"):
        size = getattr(transform, name, None)
        if isinstance(size, Timed):
            return size
    return None


def is_fraction(value: Any, owner: str, name: str) -> bool:
    """Tell fractions of the image (floats up to 1) from pixels (integers)."""
    if isinstance(value, Distribution):
        return value.support()[1] <= 1
    if isinstance(value, PerClass):
        return all(is_fraction(one, owner, name) for one in value.inner())
    low, high = value
    if parts(value):
        return most(high) <= 1
    if all(isinstance(v, int) and not isinstance(v, bool) for v in (low, high)):
        return False
    if not 0 < low <= high <= 1:
        raise ValueError(
            f"{owner}: {name} must be integers (pixels) or fractions with 0 < low <= high <= 1, got {value!r}"
        )
    return True
