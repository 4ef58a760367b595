"""The predictions of several views, as one: means, extremes and spreads, one view after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["MODES", "Merge", "activated", "check_activation"]

MODES = ("mean", "gmean", "max", "min", "sum", "tsharpen")
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda x: x.softmax(dim=1),
    "sigmoid": torch.sigmoid,
}


def check_activation(activation: Any) -> None:
    """Raise where that is none."""
    if activation is not None and not callable(activation) and activation not in _ACTIVATIONS:
        raise ValueError(f"TTA: activation must be None, 'softmax', 'sigmoid' or a function, got {activation!r}")


def activated(x: Tensor, activation: Any) -> Tensor:
    """Return predictions (B, C, ...) after what turns logits into probabilities."""
    if activation is None:
        return x
    function = activation if callable(activation) else _ACTIVATIONS[activation]
    out: Tensor = function(x)
    return out


class Merge:
    """Take in one prediction of all samples after another, each with how much of it counts."""

    def __init__(self, mode: str, spread: bool = False) -> None:
        """Begin."""
        self.mode, self.spread = mode, spread
        self.total: Tensor | None = None
        self.weight: Tensor | None = None
        self.mean: Tensor | None = None
        self.squares: Tensor | None = None

    def add(self, value: Tensor, weight: Tensor | None = None) -> None:
        """Take in a prediction; `weight` (0..1, where it may be spread over `value`) says where there is one."""
        if weight is None:
            weight = torch.ones((), dtype=value.dtype, device=value.device)
        seen = weight > 0
        if self.mode == "gmean":
            value_in = torch.where(seen, value, 1.0).log()
        elif self.mode == "tsharpen":
            value_in = torch.where(seen, value, 0.0).sqrt()
        else:
            value_in = value
        if self.mode in ("max", "min"):
            ends = torch.full_like(value, float("-inf") if self.mode == "max" else float("inf"))
            kept = torch.where(weight >= 0.5, value, ends)
            both = torch.maximum if self.mode == "max" else torch.minimum
            self.total = kept if self.total is None else both(self.total, kept)
        else:
            # A weight of zero times the logarithm of zero must be nothing.
            share = torch.where(seen, value_in * weight, torch.zeros_like(value))
            self.total = share if self.total is None else self.total + share
        before = torch.zeros_like(value) if self.weight is None else self.weight
        self.weight = before + weight
        if not self.spread:
            return
        if self.mean is None or self.squares is None:
            self.mean, self.squares = torch.zeros_like(value), torch.zeros_like(value)
        off = torch.where(seen, value - self.mean, torch.zeros_like(value))
        self.mean = self.mean + off * torch.where(seen, weight / self.weight.clamp(min=1e-12), 0.0)
        self.squares = self.squares + weight * off * (value - self.mean)

    def result(self) -> Tensor:
        """Return the merged prediction; NaN where there was none."""
        assert self.total is not None and self.weight is not None
        if self.mode in ("max", "min"):
            return torch.where(self.total.isinf(), torch.nan, self.total)
        if self.mode == "sum":
            return torch.where(self.weight > 0, self.total, torch.nan)
        mean = self.total / self.weight
        return mean.exp() if self.mode == "gmean" else mean

    def std(self) -> Tensor:
        """Return the standard deviation over the views (of the population: one view has none)."""
        assert self.squares is not None and self.weight is not None
        return (self.squares / self.weight).clamp(min=0).sqrt()
