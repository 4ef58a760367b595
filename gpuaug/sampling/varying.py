"""Numbers that are not always the same: they change between calls, or differ from sample to sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor

__all__ = [
    "Affine",
    "Learned",
    "PerClass",
    "Varying",
    "is_finite",
    "is_number",
    "least",
    "mapped",
    "most",
    "now",
    "parts",
]

Times = Mapping[str, float]
"""What time it is, by unit: epoch, step."""
_GREATEST = torch.finfo(torch.float32).max


def is_number(value: object) -> bool:
    """Tell real numbers from all else; a boolean is not one."""
    return isinstance(value, Real) and not isinstance(value, bool)


class Varying:
    """A number that a schedule or a class of samples decides: it stands where a bound of a range or a `p` may stand."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def now(self, times: Times, label: int | None) -> float:
        """Return the number at a time, for samples of a class; None is every other class."""
        raise NotImplementedError

    def support(self) -> tuple[float, float]:
        """Return the least and the greatest number it ever is."""
        raise NotImplementedError

    def inner(self) -> tuple[Any, ...]:
        """Return the numbers it is made of."""
        return ()

    @property
    def key(self) -> str | None:
        """The key of the batch that names the class of a sample; None where classes do not matter."""
        keys = [part.key for part in parts(self.inner()) if part.key is not None]
        return keys[0] if keys else None

    def labels(self) -> tuple[int, ...]:
        """Return the classes that have a number of their own."""
        return tuple(sorted({label for part in parts(self.inner()) for label in part.labels()}))

    def knots(self) -> tuple[tuple[str, float], ...]:
        """Return the times (unit, time) between which it does not turn."""
        return tuple(knot for part in parts(self.inner()) for knot in part.knots())

    def live(self) -> Tensor | None:
        """Return the number as a tensor () that may require gradients; None where the host knows it."""
        return None

    def __lt__(self, other: object) -> Any:
        """Tell whether it is ever below a number: a `p` that is has a gate."""
        return self.support()[0] < other if isinstance(other, (int, float)) else NotImplemented

    def __format__(self, spec: str) -> str:
        """Show what it is, whatever the format of numbers."""
        return repr(self)


def parts(values: Iterable[Any]) -> list[Varying]:
    """Return those of some numbers that vary."""
    return [value for value in values if isinstance(value, Varying)]


def now(value: Any, times: Times, label: int | None) -> Any:
    """Return a number at a time, for a class."""
    return value.now(times, label) if isinstance(value, Varying) else value


def is_finite(value: Any) -> bool:
    """Tell whether a number, whatever it varies with, is one of the float32 table that it is kept in."""
    ends = value.support() if isinstance(value, Varying) else (value,)
    return all(abs(end) <= _GREATEST for end in ends)


def least(value: Any) -> float:
    """Return the least that a number ever is."""
    return value.support()[0] if isinstance(value, Varying) else float(value)


def most(value: Any) -> float:
    """Return the greatest that a number ever is."""
    return value.support()[1] if isinstance(value, Varying) else float(value)


@dataclass(frozen=True)
class Affine(Varying):
    """A number that follows another: offset + scale * it, at least `low`."""

    value: Varying
    scale: float
    offset: float
    low: float = -math.inf

    def now(self, times: Times, label: int | None) -> float:
        """Return the number."""
        return max(self.low, self.offset + self.scale * self.value.now(times, label))

    def support(self) -> tuple[float, float]:
        """Return the ends."""
        first, last = sorted(max(self.low, self.offset + self.scale * end) for end in self.value.support())
        return first, last

    def inner(self) -> tuple[Any, ...]:
        """Return the number it follows."""
        return (self.value,)

    def live(self) -> Tensor | None:
        """Return the tensor."""
        value = self.value.live()
        return None if value is None else (self.offset + self.scale * value).clamp(min=self.low)


@dataclass(frozen=True, eq=False)
class Learned(Varying):
    """A bound of a range that is a parameter: gradients reach it through what is drawn and rendered.

    An optimiser steps it, and the next draw follows; the layer does not register it, so it is in no state of the
    layer's. A number of a probability has no gradient and cannot be one.

    Args:
        value: tensor () on the device of the images, such as a `torch.nn.Parameter`.
        low: least number; static bounds are those of (low, high), and the value is clamped to them.
        high: greatest number.

    Raises:
        TypeError: for what is no tensor of one number.
        ValueError: for numbers out of order.

    Example:
        >>> import torch, gpuaug as ga
        >>> top = torch.nn.Parameter(torch.tensor(1.5))
        >>> augment = ga.ColorJitter(brightness=(1.0, ga.Learned(top, 1.0, 3.0)))
        >>> augment(torch.rand(4, 3, 8, 10)).mean().backward()
        >>> bool(top.grad > 0)
        True
    """

    value: Tensor
    low: float
    high: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not isinstance(self.value, Tensor) or self.value.dim() or not self.value.is_floating_point():
            raise TypeError(f"Learned: value must be a tensor () of floats, got {self.value!r:.80}")
        for end in (self.low, self.high):
            if not is_number(end):
                raise TypeError(f"Learned: low and high must be numbers, got {end!r}")
        if not -math.inf < self.low <= self.high < math.inf:
            raise ValueError(f"Learned: (low, high) must have low <= high, got {(self.low, self.high)}")

    def now(self, times: Times, label: int | None) -> float:
        """Return a number of the range: the draw replaces it by the tensor."""
        return float(self.low)

    def support(self) -> tuple[float, float]:
        """Return the range."""
        return float(self.low), float(self.high)

    def live(self) -> Tensor:
        """Return the tensor."""
        return self.value.to(torch.float32).clamp(self.low, self.high)


@dataclass(frozen=True)
class PerClass(Varying):
    """Let a range or a `p` depend on the class of each sample: its label, domain, camera, or any integer of the batch.

    Args:
        values: ranges, or numbers, by class; a schedule may stand for a number.
        default: of all other classes.
        key: name under which the batch holds an integer for each sample, (B,): in a dict, also one that follows the
            images, or a number in each dict of detection's targets, such as "image_id". "label" is also what follows
            the images in `augment(images, labels)`, and the key `labels` of a dict without boxes.

    Raises:
        TypeError: for classes that are not integers.
        ValueError: for values of different laws.

    Example:
        >>> import torch, gpuaug as ga
        >>> turn = ga.RandomRotation(ga.PerClass({6: (-15, 15), 9: (-15, 15)}, default=(-180, 180)))
        >>> images, labels = turn(torch.zeros(2, 3, 8, 10), torch.tensor([6, 1]))
        >>> ga.RandomInvert(ga.PerClass({2: 0.0}, default=0.5, key="camera")).p.default
        0.5
    """

    values: Mapping[int, Any]
    default: Any
    key: str = "label"

    def __post_init__(self) -> None:
        """Check the classes."""
        if not isinstance(self.values, Mapping):
            raise TypeError(f"PerClass: values must be a dict by class, got {self.values!r}")
        for label in self.values:
            if isinstance(label, bool) or not isinstance(label, int):
                raise TypeError(f"PerClass: values must have integers as classes, got {label!r}")
        if not isinstance(self.key, str) or not self.key:
            raise TypeError(f"PerClass: key must be the name of a part of the batch, got {self.key!r}")
        object.__setattr__(self, "values", dict(self.values))
        for part in parts(self.inner()):
            if part.key is not None or part.live() is not None:
                raise ValueError(f"PerClass: values must be numbers, ranges or schedules, got {part!r}")

    def inner(self) -> tuple[Any, ...]:
        """Return the values of all classes."""
        return (*self.values.values(), self.default)

    def labels(self) -> tuple[int, ...]:
        """Return the classes."""
        return tuple(sorted(self.values))

    def now(self, times: Times, label: int | None) -> float:
        """Return the number of a class."""
        value = self.default if label is None else self.values.get(label, self.default)
        return float(now(value, times, None))

    def support(self) -> tuple[float, float]:
        """Return the least and the greatest number of any class."""
        for value in self.inner():
            if not (is_number(value) or isinstance(value, Varying)):
                raise TypeError(f"PerClass: values must be numbers here, got {value!r}")
        return min(map(least, self.inner())), max(map(most, self.inner()))

    def map(self, function: Callable[[Any], Any]) -> PerClass:
        """Return the same with a function applied to the value of every class."""
        return PerClass({k: function(v) for k, v in self.values.items()}, function(self.default), self.key)


def mapped(value: Any, scale: float, offset: float, low: float = -math.inf) -> Any:
    """Return offset + scale * value, at least `low`, for a number that varies or not."""
    if isinstance(value, Varying):
        return Affine(value, scale, offset, low)
    return max(low, offset + scale * value)


def contents(thing: Any) -> list[Varying]:
    """Return what varies in a distribution (or another dataclass of numbers and tuples of them)."""
    found: list[Any] = []
    for field in fields(thing):
        value = getattr(thing, field.name)
        found += value if isinstance(value, tuple) else [value]
    return parts(found)
