"""What every distribution is: numbers, some of which may vary, and an inverse CDF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import product
from typing import Any, ClassVar, NoReturn

from torch import Tensor

from gpuaug.sampling.varying import Times, Varying, contents, is_finite, is_number, least, most, now

__all__ = ["START", "Distribution", "Number", "Range"]

Number = float | Varying
"""A number, or what it is at a time or of a class: a schedule, `PerClass`."""
START: Times = {"epoch": 0, "step": 0}


class Distribution:
    """Describe a law to draw a parameter from, by its inverse CDF.

    A subclass is a frozen dataclass of numbers with an `icdf`, and a `support` unless (low, high) come last. A number
    may be a schedule, or differ from class to class.

    Raises:
        ValueError: a number is not finite, out of order or outside its range.
        TypeError: it is not a number.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    _positive: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Refuse numbers that are not finite or not allowed, at any time and in any class."""
        values = self.numbers()
        self._check_finite(values)
        if not self.varies:
            self._check(values)
            return
        if len({part.key for part in contents(self) if part.key is not None}) > 1:
            raise ValueError(f"{type(self).__name__}: PerClass must have one key within a range, got {self!r}")
        knots = [knot for part in contents(self) for knot in part.knots()]
        units = [sorted({0.0, *(float(t) for by, t in knots if by == unit)}) for unit in START]
        if any(part.live() is not None for part in contents(self)):
            self._check_learned()
            return
        for label in (None, *self.labels()):
            for times in product(*units):
                self.at(dict(zip(START, times, strict=True)), label)

    def _check_learned(self) -> None:
        """Refuse what could become wrong while it is learned, and laws that are no range of numbers."""
        values = list(self._fields().values())
        if any(isinstance(value, tuple) for value in values) or self.key is not None:
            raise ValueError(f"{type(self).__name__}: Learned must be a bound of a range for all classes, got {self!r}")
        self.at(START)

    def numbers(self) -> dict[str, Any]:
        """Return the numbers, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _check(self, values: dict[str, Any]) -> None:
        """Refuse numbers, none of which varies, that are not allowed."""
        if "low" in values and values["low"] > values["high"]:
            self._refuse("(low, high)", "have low <= high", (values["low"], values["high"]))
        if values.get("std", 0) < 0:
            self._refuse("std", "be >= 0", values["std"])
        for name in self._positive:
            if values[name] <= 0:
                self._refuse(name, "be > 0", values[name])

    def _refuse(self, name: str, rule: str, value: object) -> NoReturn:
        raise ValueError(f"{type(self).__name__}: {name} must {rule}, got {value!r}")

    def _check_finite(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if not (is_number(value) or isinstance(value, Varying)):
                raise TypeError(f"{type(self).__name__}: {name} must be a number, got {value!r}")
            if not is_finite(value):
                self._refuse(name, "be finite", value)

    @property
    def varies(self) -> bool:
        """Whether a number of it does."""
        return bool(contents(self))

    @property
    def key(self) -> str | None:
        """The key of the batch that names the class of a sample; None where classes do not matter."""
        keys = [part.key for part in contents(self) if part.key is not None]
        return keys[0] if keys else None

    def labels(self) -> tuple[int, ...]:
        """Return the classes that have numbers of their own."""
        return tuple(sorted({label for part in contents(self) for label in part.labels()}))

    def at(self, times: Times, label: int | None = None) -> Distribution:
        """Return the distribution at a time, of a class; None is every other class."""
        if not self.varies:
            return self
        return type(self)(**{name: self._now(value, times, label) for name, value in self._fields().items()})

    def _fields(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _now(self, value: Any, times: Times, label: int | None) -> Any:
        if isinstance(value, tuple):
            return tuple(now(v, times, label) for v in value)
        return now(value, times, label)

    @property
    def bounds(self) -> tuple[float, ...]:
        """Return the numbers that `icdf` takes after `u`: they live in a float32 table on the device.

        Of numbers that vary, those of the beginning.
        """
        return self.at(START)._bounds()

    def _bounds(self) -> tuple[float, ...]:
        return tuple(float(getattr(self, field.name)) for field in fields(self))

    @classmethod
    def icdf(cls, u: Tensor, *bounds: Tensor) -> Tensor:
        """Map uniforms in [0, 1) to draws, elementwise, without a host synchronisation.

        Args:
            u: uniforms, multiples of 2**-24.
            bounds: one tensor for each number of `bounds`, broadcastable to `u`.

        Shape:
            u (B, n) float32, bounds () or (n,) or (B, n) float32 -> (B, n) float32.
        """
        raise NotImplementedError

    def support(self) -> tuple[float, float]:
        """Return the least and the greatest value that is ever drawn, at any time and in any class."""
        ends = list(self._fields().values())[-2:]
        return least(ends[0]), most(ends[-1])


Range = Number | Sequence[Number] | Distribution
"""A number, (low, high), or a law, from which is drawn; `PerClass` of any of them."""
