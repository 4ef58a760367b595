"""What recipes begin and end with."""

from __future__ import annotations

from collections.abc import Sequence

from gpuaug.transforms.ends import IMAGENET_MEAN, IMAGENET_STD, Normalize
from gpuaug.transforms.layer import Layer

__all__ = [
    "CIFAR_MEAN",
    "CIFAR_STD",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Numbers",
    "Size",
    "kernel",
    "normalized",
    "shorter",
]

CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR_STD = (0.2470, 0.2435, 0.2616)
Numbers = Sequence[float] | None
Size = int | tuple[int, int]


def normalized(mean: Numbers, std: Numbers) -> list[Layer]:
    """Return the normalisation, or nothing."""
    return [] if mean is None else [Normalize(mean, std)]


def shorter(size: Size) -> int:
    """Return the shorter side."""
    return size if isinstance(size, int) else min(size)


def kernel(size: Size) -> int:
    """Return the odd number about a tenth of the side: 23 of 224, 9 of 96, 3 at least."""
    return max(3, int(0.1 * shorter(size)) | 1)
