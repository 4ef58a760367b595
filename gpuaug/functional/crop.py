"""Flips, quarter turns and crops of each sample by its own parameters: pixels go to pixels.

What has no parameter for each sample (resize, pad, centre crop) is `torchvision.transforms.v2.functional`'s.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.functional._moved import Canvas, Number, moved, samples
from gpuaug.geometry import matrix as mat

__all__ = ["crop", "horizontal_flip", "resized_crop", "rot90", "transpose", "vertical_flip"]


def horizontal_flip(image: Tensor, flip: Tensor | bool = True) -> Tensor:
    """Mirror each sample left to right, or leave it.

    Args:
        image: (B, C, H, W), uint8 or float.
        flip: (B,) bool, or one for all; False is neutral.

    Shape:
        (B, C, H, W) to the same; bit-exact.

    Source: torchvision.transforms.v2.functional.horizontal_flip, exactly.

    Example:
        >>> import torch
        >>> from gpuaug.functional import horizontal_flip
        >>> images = torch.tensor([[[[1.0, 2.0]]], [[[3.0, 4.0]]]])
        >>> horizontal_flip(images, torch.tensor([True, False])).flatten().tolist()
        [2.0, 1.0, 3.0, 4.0]
    """

    def matrix(like: Tensor, canvas: Canvas) -> Tensor:
        on = samples(flip, like, "horizontal_flip", "flip")
        return mat.scale_shift(1 - 2 * on, on * canvas[1], 1.0, 0.0, like)

    return moved("horizontal_flip", image, matrix, kind="lattice")


def vertical_flip(image: Tensor, flip: Tensor | bool = True) -> Tensor:
    """Mirror each sample top to bottom, or leave it.

    Args:
        image: (B, C, H, W), uint8 or float.
        flip: (B,) bool, or one for all; False is neutral.

    Shape:
        (B, C, H, W) to the same; bit-exact.

    Source: torchvision.transforms.v2.functional.vertical_flip, exactly.

    Example:
        >>> import torch
        >>> from gpuaug.functional import vertical_flip
        >>> vertical_flip(torch.tensor([[[[1.0], [2.0]]]])).flatten().tolist()
        [2.0, 1.0]
    """

    def matrix(like: Tensor, canvas: Canvas) -> Tensor:
        on = samples(flip, like, "vertical_flip", "flip")
        return mat.scale_shift(1.0, 0.0, 1 - 2 * on, on * canvas[0], like)

    return moved("vertical_flip", image, matrix, kind="lattice")


def _square(name: str, image: Tensor, what: str) -> None:
    if image.shape[-1] != image.shape[-2]:
        raise ValueError(
            f"{name}: images must be square where {what} differs from sample to sample, got {tuple(image.shape[-2:])}"
        )


def transpose(image: Tensor, where: Tensor | bool = True) -> Tensor:
    """Exchange rows and columns of each sample, or leave it.

    Args:
        image: (B, C, H, W), uint8 or float.
        where: (B,) bool, or one for all; False is neutral.

    Shape:
        (B, C, H, W) to (B, C, W, H), or to the same where it is False; bit-exact.

    Raises:
        ValueError: for (B,) and images that are not square.

    Source: albumentations.Transpose.

    Example:
        >>> import torch
        >>> from gpuaug.functional import transpose
        >>> transpose(torch.zeros(2, 3, 4, 5)).shape
        torch.Size([2, 3, 5, 4])
    """
    if isinstance(where, Tensor):
        _square("transpose", image, "where")
    h, w = image.shape[-2:]
    size = (w, h) if where is True else (h, w)

    def matrix(like: Tensor, canvas: Canvas) -> Tensor:
        on = samples(where, like, "transpose", "where")
        return mat.from_entries((1 - on, on, 0.0, on, 1 - on, 0.0, 0.0, 0.0, 1.0), like)

    return moved("transpose", image, matrix, size, "lattice", transposes=True)


def rot90(image: Tensor, turns: Tensor | int = 1) -> Tensor:
    """Turn each sample counter-clockwise by quarters.

    Args:
        image: (B, C, H, W), uint8 or float.
        turns: (B,) integers, or one for all; 0 is neutral.

    Shape:
        (B, C, H, W) to the same, or to (B, C, W, H) for an odd number for all; bit-exact.

    Raises:
        ValueError: for (B,) and images that are not square.

    Source: torch.rot90 over (-2, -1), exactly.

    Example:
        >>> import torch
        >>> from gpuaug.functional import rot90
        >>> rot90(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.tensor([1])).flatten().tolist()
        [2.0, 4.0, 1.0, 3.0]
    """
    if isinstance(turns, Tensor):
        _square("rot90", image, "turns")
    h, w = image.shape[-2:]
    size = (w, h) if isinstance(turns, int) and turns % 2 else (h, w)

    def matrix(like: Tensor, canvas: Canvas) -> Tensor:
        k = samples(turns, like, "rot90", "turns")
        return mat.quarter_turn(k - 4 * torch.floor(k / 4), *canvas)

    return moved("rot90", image, matrix, size, "lattice", transposes=True)


def crop(image: Tensor, top: Number, left: Number, height: int, width: int, fill: Any = 0.0) -> Tensor:
    """Cut a rectangle of one size out of each sample, at its own place.

    Args:
        image: (B, C, H, W), uint8 or float.
        top: (B,) integers or one, row of the first pixel; may lie outside.
        left: likewise, column.
        height: of the output, in pixels.
        width: of the output, in pixels.
        fill: value outside the image, in the input's unit.

    Shape:
        (B, C, H, W) to (B, C, height, width); bit-exact.

    Source: torchvision.transforms.v2.functional.crop, exactly.

    Example:
        >>> import torch
        >>> from gpuaug.functional import crop
        >>> crop(torch.rand(2, 3, 8, 9), torch.tensor([0, 4]), torch.tensor([5, 0]), 4, 4).shape
        torch.Size([2, 3, 4, 4])
    """

    def matrix(like: Tensor, canvas: Canvas) -> Tensor:
        x, y = (-samples(v, like, "crop", name) for v, name in ((left, "left"), (top, "top")))
        return mat.scale_shift(1.0, x, 1.0, y, like)

    return moved("crop", image, matrix, (height, width), "lattice", fill=fill, cuts=True, pads=True)


def resized_crop(
    image: Tensor,
    top: Number,
    left: Number,
    height: Number,
    width: Number,
    size: int | Canvas,
    interpolation: Any = "bilinear",
    antialias: bool = True,
) -> Tensor:
    """Cut a rectangle out of each sample and resize it to one size.

    Args:
        image: (B, C, H, W), uint8 or float.
        top: (B,) integers or one, row of the first pixel.
        left: likewise, column.
        height: likewise, of the rectangle, in pixels, at least 1.
        width: likewise.
        size: (height, width) of the output, or a number for a square.
        interpolation: "bilinear", "nearest" or "bicubic".
        antialias: whether the filter widens where the rectangle shrinks.

    Shape:
        (B, C, H, W) to (B, C, size).

    Source: torchvision.transforms.v2.functional.resized_crop, to 1e-5 (1 level for uint8).

    Example:
        >>> import torch
        >>> from gpuaug.functional import resized_crop
        >>> resized_crop(torch.rand(2, 3, 8, 9), torch.tensor([0, 4]), 0, 4, torch.tensor([5, 9]), (6, 7)).shape
        torch.Size([2, 3, 6, 7])
    """
    size = (size, size) if isinstance(size, int) else size

    def rectangle(like: Tensor) -> list[Tensor]:
        given = {"top": top, "left": left, "height": height, "width": width}
        return [samples(value, like, "resized_crop", name) for name, value in given.items()]

    def matrix(like: Tensor, canvas: Canvas) -> Tensor:
        y, x, h, w = rectangle(like)
        return mat.scale_shift(size[1] / w, -x * size[1] / w, size[0] / h, -y * size[0] / h, like)

    def window(like: Tensor) -> Tensor:
        y, x, h, w = rectangle(like)
        return torch.stack((x, y, x + w, y + h), dim=-1)

    rows, cols = image.shape[-2:]
    return moved(
        "resized_crop",
        image,
        matrix,
        size,
        "axis",
        interpolation=interpolation,
        antialias=antialias,
        window=window,
        shrink=max(1.0, rows / size[0], cols / size[1]),
        cuts=True,
    )
