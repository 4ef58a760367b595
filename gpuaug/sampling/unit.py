"""Uniforms as they are drawn, for what is only compared or scaled by a canvas."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gpuaug.sampling.distributions import Distribution

__all__ = ["Unit"]


@dataclass(frozen=True)
class Unit(Distribution):
    """Draw from [0, 1) evenly, without an operation on the device: `Uniform(0, 1)` has bounds that may change."""

    @classmethod
    def icdf(cls, u: Tensor, *bounds: Tensor) -> Tensor:
        """Return the uniforms."""
        return u

    def support(self) -> tuple[float, float]:
        """Return (0, 1)."""
        return 0.0, 1.0
