"""Schedules: numbers of a range, probabilities and sizes that depend on the epoch or the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise

from gpuaug.sampling.varying import Times, Varying, is_number

__all__ = ["Cosine", "Linear", "Piecewise", "Ramp", "Schedule"]

UNITS = ("epoch", "step")


class Schedule(Varying):
    """A number as a function of time: of the epoch, or of the step.

    A schedule stands where a number of a range, a `p` or a size of a batch may stand. The number follows between calls,
    when the training script says what time it is: `augment.set_epoch(epoch)`, or `augment.set_step(step)` for schedules
    with `by="step"`. Nothing else changes: what is drawn comes from the same uniforms, and neither compiled nor
    captured calls are made anew. Before the first time is said it is 0.

    Raises:
        TypeError: for what is no number.
        ValueError: for a number that is not finite, a length that is not positive, or another unit.
    """

    by: str

    def __post_init__(self) -> None:
        """Refuse what is no number, and unknown units."""
        owner = type(self).__name__
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "by":
                if value not in UNITS:
                    raise ValueError(f"{owner}: by must be 'epoch' or 'step', got {value!r}")
            elif field.name not in ("values", "interpolate"):
                if not is_number(value):
                    raise TypeError(f"{owner}: {field.name} must be a number, got {value!r}")
                if not math.isfinite(value):
                    raise ValueError(f"{owner}: {field.name} must be finite, got {value!r}")

    def at(self, time: float) -> float:
        """Return the number at a time.

        Args:
            time: epoch or step, from 0.
        """
        raise NotImplementedError

    def turns(self) -> tuple[float, ...]:
        """Return the times between which it only rises or only falls."""
        raise NotImplementedError

    def now(self, times: Times, label: int | None) -> float:
        """Return the number at a time."""
        return float(self.at(times[self.by]))

    def support(self) -> tuple[float, float]:
        """Return the least and the greatest number of all times."""
        values = [self.at(time) for time in self.turns()]
        return float(min(values)), float(max(values))

    def knots(self) -> tuple[tuple[str, float], ...]:
        """Return where it turns, and the middles between."""
        turns = self.turns()
        middles = tuple((a + b) / 2 for a, b in pairwise(turns))
        return tuple((self.by, time) for time in (*turns, *middles))


class _Way(Schedule):
    """What goes from one number to another and stays there."""

    start: float
    end: float
    over: float
    begin: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        if self.over <= 0:
            raise ValueError(f"{type(self).__name__}: over must be > 0, got {self.over!r}")

    def turns(self) -> tuple[float, ...]:
        """Return the first and the last time of the change."""
        return self.begin, self.begin + self.over

    def share(self, time: float) -> float:
        """Return how much of the way is behind, 0 to 1."""
        return min(max((time - self.begin) / self.over, 0.0), 1.0)


@dataclass(frozen=True)
class Linear(_Way):
    """Go evenly from one number to another, and stay there.

    Args:
        start: number until `begin`.
        end: number from `begin + over` on.
        over: how many epochs, or steps, the way takes.
        begin: when it begins.
        by: "epoch" or "step".

    Raises:
        TypeError: for what is no number.
        ValueError: for a length that is not positive, or another unit.

    Example:
        >>> [Linear(0, 30, over=10).at(epoch) for epoch in (0, 5, 10, 90)]
        [0.0, 15.0, 30.0, 30.0]
    """

    start: float
    end: float
    over: float
    begin: float = 0
    by: str = "epoch"

    def at(self, time: float) -> float:
        """Return the number at a time."""
        share = self.share(time)
        return self.end * share + self.start * (1 - share)


@dataclass(frozen=True)
class Cosine(_Way):
    """Go from one number to another along half a cosine, slowly at both ends, and stay there.

    Args:
        start: number until `begin`.
        end: number from `begin + over` on.
        over: how many epochs, or steps, the way takes.
        begin: when it begins.
        by: "epoch" or "step".

    Raises:
        TypeError: for what is no number.
        ValueError: for a length that is not positive, or another unit.

    Example:
        >>> [round(Cosine(1.0, 0.0, over=4).at(epoch), 3) for epoch in range(6)]
        [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    start: float
    end: float
    over: float
    begin: float = 0
    by: str = "epoch"

    def at(self, time: float) -> float:
        """Return the number at a time."""
        share = (1 - math.cos(math.pi * self.share(time))) / 2
        return self.end * share + self.start * (1 - share)


@dataclass(frozen=True)
class Piecewise(Schedule):
    """Hold each number from its time on, until the next one's.

    Args:
        values: numbers by time, such as {0: 1.0, 90: 0.0}; before the first time its number holds too.
        interpolate: whether to go evenly from each number to the next instead.
        by: "epoch" or "step".

    Raises:
        TypeError: for what is no number.
        ValueError: for no number, or another unit.

    Example:
        >>> [Piecewise({0: 1.0, 90: 0.0}).at(epoch) for epoch in (0, 89, 90)]
        [1.0, 1.0, 0.0]
        >>> Piecewise({0: 0.0, 10: 1.0}, interpolate=True).at(5)
        0.5
    """

    values: Mapping[float, float]
    interpolate: bool = False
    by: str = "epoch"

    def __post_init__(self) -> None:
        """Check the numbers, and sort them by time."""
        super().__post_init__()
        if not isinstance(self.values, Mapping) or not self.values:
            raise ValueError(f"Piecewise: values must be a dict of numbers by time, got {self.values!r}")
        for number in (*self.values, *self.values.values()):
            if not is_number(number):
                raise TypeError(f"Piecewise: values must be numbers by time, got {number!r}")
            if not math.isfinite(number):
                raise ValueError(f"Piecewise: values must be finite, got {number!r}")
        object.__setattr__(self, "values", {time: self.values[time] for time in sorted(self.values)})

    def turns(self) -> tuple[float, ...]:
        """Return the times."""
        return tuple(self.values)

    def at(self, time: float) -> float:
        """Return the number at a time."""
        times = list(self.values)
        before = [t for t in times if t <= time]
        if not before:
            return float(self.values[times[0]])
        here = self.values[before[-1]]
        if not self.interpolate or len(before) == len(times):
            return float(here)
        after = times[len(before)]
        share = (time - before[-1]) / (after - before[-1])
        return self.values[after] * share + here * (1 - share)


@dataclass(frozen=True)
class Ramp(Schedule):
    """Rise evenly to a number, stay, and fall evenly at the end.

    Args:
        low: number at first and at last.
        high: number between.
        over: how many epochs, or steps, all takes.
        up: how many of them the rise takes, at the beginning.
        down: how many the fall takes, before the end.
        by: "epoch" or "step".

    Raises:
        TypeError: for what is no number.
        ValueError: for a rise and a fall that are longer than all, or another unit.

    Example:
        >>> [Ramp(0.0, 1.0, over=100, up=10, down=20).at(epoch) for epoch in (0, 5, 10, 80, 90, 100)]
        [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]
    """

    low: float
    high: float
    over: float
    up: float = 0
    down: float = 0
    by: str = "epoch"

    def __post_init__(self) -> None:
        """Check the lengths."""
        super().__post_init__()
        if self.over <= 0 or self.up < 0 or self.down < 0 or self.up + self.down > self.over:
            raise ValueError(
                "Ramp: up and down must be >= 0 and together at most over, which is > 0, got "
                f"{(self.up, self.down, self.over)}"
            )

    def turns(self) -> tuple[float, ...]:
        """Return the ends of rise and fall."""
        return 0, self.up, self.over - self.down, self.over

    def at(self, time: float) -> float:
        """Return the number at a time."""
        rise = min(max(time / self.up, 0.0), 1.0) if self.up else 1.0
        left = self.over - time
        fall = min(max(left / self.down, 0.0), 1.0) if self.down else 1.0
        share = min(rise, fall)
        return self.high * share + self.low * (1 - share)
