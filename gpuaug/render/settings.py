"""What a user may say of how pixels are read: the interpolation, and the fill outside the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Interpolation", "Reading", "as_fill", "as_interpolation"]

Interpolation = Literal["nearest", "bilinear", "bicubic"]
_INTERPOLATIONS = {
    "nearest": "nearest",
    "nearest-exact": "nearest",
    "bilinear": "bilinear",
    "bicubic": "bicubic",
}


def as_interpolation(value: Any, owner: str) -> Interpolation | None:
    """Accept a name or torchvision's InterpolationMode."""
    if value is None:
        return None
    name = getattr(value, "value", value)
    if name not in _INTERPOLATIONS:
        raise ValueError(f"{owner}: interpolation must be one of {', '.join(_INTERPOLATIONS)}, got {value!r}")
    return _INTERPOLATIONS[name]  # type: ignore[return-value]


def as_fill(value: Any, owner: str) -> tuple[float, ...] | None:
    """Accept a number, or one for each channel."""
    if value is None:
        return None
    values = value if isinstance(value, (tuple, list)) else (value,)
    if not values or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values):
        raise TypeError(f"{owner}: fill must be a number or one number for each channel, got {value!r}")
    return tuple(float(v) for v in values)


@dataclass(frozen=True)
class Reading:
    """How source pixels become a value: interpolation, antialiasing, and what lies outside the image."""

    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    fill: tuple[float, ...] = (0.0,)
    """In working units (0..1), one number or one for each channel."""
