"""Noise on one sample (1, C, H, W) on the CPU: the same results with numbers of the host, in fewer passes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.functional._door import store
from gpuaug.sampling.noise import normal_noise

__all__ = ["add_noise_one", "level_noise", "write_noise"]


def _scaled(image: Tensor, mean: Tensor, std: Tensor, key: Tensor, unit: float, work: torch.dtype) -> Tensor:
    """Return noise of a mean and a deviation on the scale 0..1, times `unit`."""
    noise = normal_noise(key, *image.shape[1:]).to(work).mul_(unit * float(std))
    shift = unit * float(mean)
    return noise.add_(shift) if shift else noise


def write_noise(out: Tensor, image: Tensor, unit: float, mean: Tensor, std: Tensor, key: Tensor, *, clip: bool) -> None:
    """Write an image, whose white is `unit`, with normal noise drawn from `key` (1,)."""
    noise = _scaled(image, mean, std, key, 1.0, out.dtype)
    torch.add(noise, image.to(out.dtype), alpha=1 / unit, out=out)
    if clip:
        out.clamp_(0, 1)


def add_noise_one(image: Tensor, *operands: Tensor, **static: Any) -> Tensor:
    """Return an image with noise."""
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    write_noise(out, image, 1.0, *operands, **static)
    return out


def level_noise(out: Tensor, image: Tensor, mean: Tensor, std: Tensor, key: Tensor, *, clip: bool) -> None:
    """Write 8 bits with noise as 8 bits."""
    noise = _scaled(image, mean, std, key, 255.0, torch.float32)
    store(out, noise.add_(image.to(noise.dtype)).clamp_(0, 255).round_())
