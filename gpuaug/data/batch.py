"""The batch inside the library, and the door through which structures come in and go out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Batch", "open_door"]

IMAGE_DTYPES = (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass
class Batch:
    """Hold what is transformed; tensors of the caller, never copied, never modified."""

    image: Tensor
    """(B, C, H, W)."""

    @property
    def canvas(self) -> tuple[int, int]:
        """(height, width)."""
        return (self.image.shape[2], self.image.shape[3])


def open_door(inputs: tuple[Any, ...], owner: str) -> tuple[Batch, Callable[[Tensor], Any]]:
    """Read the arguments of a call into a Batch, and return how to write the result back.

    Args:
        inputs: `(images,)`, or `(images, labels, ...)`: what follows the images comes back as it is.
        owner: name of the class that was called, for messages.

    Raises:
        TypeError: for anything but tensors of a supported dtype.
        ValueError: for a shape that is not (B, C, H, W), or (C, H, W) of 1, 3 or 4 channels.
    """
    if len(inputs) == 1 and isinstance(inputs[0], (tuple, list)) and len(inputs[0]) > 1:
        if all(isinstance(x, Tensor) and x.dim() >= 3 for x in inputs[0]):
            raise TypeError(
                f"{owner}: images must be one tensor (B, C, H, W); stack a list of images of one size first, got a "
                f"{type(inputs[0]).__name__} of {len(inputs[0])} tensors"
            )
        kind = type(inputs[0])
        batch, write_inner = open_door(tuple(inputs[0]), owner)
        return batch, lambda out: kind(write_inner(out))
    if not inputs:
        raise TypeError(f"{owner}: images must be a tensor (B, C, H, W), got nothing")
    image, rest = inputs[0], inputs[1:]
    if not isinstance(image, Tensor):
        raise TypeError(f"{owner}: images must be a tensor (B, C, H, W), got {type(image).__name__}")
    if image.dtype not in IMAGE_DTYPES:
        names = ", ".join(str(d).removeprefix("torch.") for d in IMAGE_DTYPES)
        raise TypeError(f"{owner}: images must have one of the dtypes {names}, got {image.dtype}")
    single = image.dim() == 3
    if single and image.shape[0] not in (1, 3, 4):
        raise ValueError(
            f"{owner}: a 3-D tensor is one image (C, H, W) with 1, 3 or 4 channels; give a batch of gray images as"
            f" (B, 1, H, W), one image of other channels as image[None], got shape {tuple(image.shape)}"
        )
    if not single and image.dim() != 4:
        raise ValueError(f"{owner}: images must have shape (B, C, H, W) or (C, H, W), got {tuple(image.shape)}")
    if 0 in image.shape[-3:]:
        raise ValueError(f"{owner}: images must have at least one channel, row and column, got {tuple(image.shape)}")

    given = image[None] if single else image

    def write(out: Tensor) -> Any:
        result = image if out is given else out[0] if single else out
        return (result, *rest) if rest else result

    return Batch(given), write
