"""Numbers that are not drawn, and counts that are, read from arguments: of both a schedule or a class may decide."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gpuaug.sampling.distributions import (
    Categorical,
    Constant,
    Distribution,
    Integers,
    Uniform,
    as_distribution,
    within,
)
from gpuaug.sampling.law import Number
from gpuaug.sampling.varying import PerClass, Varying, is_number, least, most, parts

__all__ = ["as_counts", "as_number", "constants", "drawn_number"]


def as_number(value: Any, owner: str, name: str, low: float = 0.0, high: float = 1.0) -> Number:
    """Return a number, or what it is at a time or of a class; or raise.

    Args:
        value: what was given.
        owner: class named in errors.
        name: argument named in errors.
        low: least number allowed.
        high: greatest number allowed.

    Example:
        >>> as_number(1, owner="RandomApply", name="p")
        1.0
    """
    if not (is_number(value) or isinstance(value, Varying)):
        raise TypeError(f"{owner}: {name} must be a number between {low:g} and {high:g}, got {value!r}")
    if not low <= least(value) <= most(value) <= high:
        raise ValueError(f"{owner}: {name} must be between {low:g} and {high:g}, got {value!r}")
    return value if isinstance(value, Varying) else float(value)


def constants(**numbers: Any) -> dict[str, Distribution]:
    """Return what a transform declares for those of its numbers that vary, by name after an underscore.

    Example:
        >>> constants(ratio=0.5)
        {}
    """
    return {f"_{name}": Constant(number) for name, number in numbers.items() if isinstance(number, Varying)}


def drawn_number(raw: Mapping[str, Tensor], name: str, number: Number, dims: int = 0) -> Any:
    """Return a number that `constants` may have declared: as it is, or for each sample (B,) and 1 in `dims` more.

    Args:
        raw: what was drawn.
        name: of the number.
        number: the number where it does not vary.
        dims: dimensions after that of samples.
    """
    value = raw.get(f"_{name}")
    return number if value is None else value.view(-1, *[1] * dims)


def as_counts(value: Any, owner: str, name: str, low: int = 1) -> Distribution:
    """Return the law of a count: a whole number, a pair (low, high) or a distribution of whole numbers.

    Args:
        value: what was given; a schedule or a class may stand for a number.
        owner: class named in errors.
        name: argument named in errors.
        low: least count allowed.

    Example:
        >>> as_counts((1, 3), "CoarseDropout", "num_holes_range")
        Integers(low=1, high=3)
    """
    subject = f"{owner}: {name} must be integers with {low} <= low <= high"
    ends = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if not isinstance(value, (PerClass, Distribution)) and not parts(ends):
        if (
            len(ends) != 2
            or any(isinstance(v, bool) or not isinstance(v, int) for v in ends)
            or not low <= ends[0] <= ends[1]
        ):
            raise ValueError(f"{subject}, got {value!r}")
        return Integers(*ends)
    law = as_distribution(value, owner=owner, name=name, low=low, high=math.inf)
    if isinstance(law, Constant):
        law = Integers(law.value, law.value)
    law = within(law) if isinstance(law, Uniform) else law
    if not isinstance(law, (Integers, Categorical)):
        raise ValueError(f"{subject}, or a distribution of integers, got {value!r}")
    return law
