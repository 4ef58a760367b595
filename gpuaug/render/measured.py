"""Statistics of whole images by the kernels that measure them before pixel operations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.render import triton as ops
from gpuaug.render.groups import packed
from gpuaug.render.launch import STATISTICS
from gpuaug.sampling.generator import TRITON

__all__ = ["by_kernels", "measured"]


def by_kernels(image: Tensor) -> bool:
    """Tell whether kernels measure an image (B, C, H, W) of working values: else plain operations do."""
    return image.device.type == "cuda" and TRITON and image.dtype == torch.float32


def measured(image: Tensor, *names: str) -> list[Tensor]:
    """Return statistics by name as `launch.STATISTICS` has them, one after another; each may read the first one.

    Args:
        image: (B, C, H, W), working values between black 0 and white 1; C at most 4 for "products".
        names: of statistics.
    """
    channels, (h, w) = image.shape[1], image.shape[2:]
    groups = [range(first, min(first + 4, channels)) for first in range(0, channels, 4)]
    listed = [number for group in groups for number in (*group, -1)]
    limits = [number for group in groups for number in (len(group), -1, packed(group))]
    found: list[Tensor] = []
    for name in names:
        operands = found[:1] or []
        given: tuple[Any, ...] = (
            image,
            None,
            None,
            None,
            channels,
            listed,
            1.0,
            None,
            None,
            operands,
            [0] * 8,
            [],
            1.0,
            [h, w],
        )
        found.append(ops.measure(*given, [], [], STATISTICS[name], -1, -1, len(operands) - 1, channels, limits))
    return found
