"""The two ways of the backend side by side, and how far apart their results are from the truth."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gpuaug.sampling.params import Params


def both(monkeypatch: pytest.MonkeyPatch, layer: Any, *inputs: Any) -> list[Tensor]:
    """Return the replay by the batched definition and by the walk, or the plain call where nothing was drawn."""
    outs = []
    for small in (10**9, 0):
        monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
        outs.append(layer.replay(*inputs) if len(inputs) > 1 else layer(*inputs))
    return outs


def drawn(layer: Any, images: Tensor, seed: int = 0) -> Params:
    """Return what the layer draws with a seed."""
    layer.reseed(seed)
    return layer.sample(images)


def drawn_by(layer: Any, n: int, h: int, w: int) -> Any:
    """Return one transform's parameters of n samples, drawn with a fixed seed; nothing is rendered."""
    layer.reseed(0)
    return layer.sample(torch.empty(n, 1, h, w, dtype=torch.uint8))[type(layer).__name__]


def close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    assert (ours.double() - theirs.double()).abs().max() <= tolerance


def levels_apart(ours: Tensor, exact: Tensor) -> float:
    """Return the largest distance in levels of uint8 values from exact ones on the scale 0..1."""
    assert ours.dtype == torch.uint8 and exact.dtype == torch.float64 and ours.shape == exact.shape
    return (ours.double() - exact * 255).abs().max().item()
