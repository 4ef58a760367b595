"""Rotations, affine maps and homographies of each sample by its own parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gpuaug.functional._moved import Canvas, Number, moved, samples
from gpuaug.geometry import matrix as mat
from gpuaug.render.warp import MAX_HALF_WIDTH

__all__ = ["affine", "perspective", "rotate", "warp"]


def rotate(
    image: Tensor,
    angle: Number,
    interpolation: Any = "bilinear",
    center: Sequence[float] | None = None,
    fill: Any = 0.0,
) -> Tensor:
    """Rotate each sample counter-clockwise by its angle.

    Args:
        image: (B, C, H, W), uint8 or float.
        angle: (B,) or a number, in degrees; 0 is neutral.
        interpolation: "bilinear", "nearest" or "bicubic".
        center: (x, y) in pixels from the top left corner; None is the middle.
        fill: value outside the image, in the input's unit.

    Shape:
        (B, C, H, W) to the same.

    Source: torchvision.transforms.v2.functional.rotate, to 1e-4 (fill blended by coverage).

    Example:
        >>> import torch
        >>> from gpuaug.functional import rotate
        >>> rotate(torch.rand(2, 3, 8, 9), torch.tensor([30.0, -45.0])).shape
        torch.Size([2, 3, 8, 9])
    """

    def matrix(like: Tensor, canvas: Canvas) -> Tensor:
        middle = (canvas[1] / 2, canvas[0] / 2) if center is None else (float(center[0]), float(center[1]))
        return mat.affine(-samples(angle, like, "rotate", "angle"), (0.0, 0.0), (1.0, 1.0), None, middle)

    return moved("rotate", image, matrix, interpolation=interpolation, fill=fill)


def affine(
    image: Tensor,
    angle: Number = 0.0,
    translate: tuple[Number, Number] = (0.0, 0.0),
    scale: Number = 1.0,
    shear: tuple[Number, Number] = (0.0, 0.0),
    interpolation: Any = "bilinear",
    fill: Any = 0.0,
    center: Sequence[float] | None = None,
    *,
    antialias: bool = True,
) -> Tensor:
    """Rotate, shift, scale and shear each sample by its own amounts.

    Args:
        image: (B, C, H, W), uint8 or float.
        angle: (B,) or a number, in degrees, clockwise; 0 is neutral.
        translate: horizontal and vertical shift in pixels, each (B,) or a number; 0 is neutral.
        scale: (B,) or a number, positive; 1 is neutral.
        shear: degrees along x and y, each (B,) or a number; 0 is neutral.
        interpolation: "bilinear", "nearest" or "bicubic".
        fill: value outside the image, in the input's unit.
        center: (x, y) in pixels from the top left corner; None is the middle.
        antialias: whether the filter widens where the image shrinks, by up to 4 pixels.

    Shape:
        (B, C, H, W) to the same.

    Source: torchvision.transforms.v2.functional.affine, to 1e-4 without antialiasing (fill blended by coverage).

    Example:
        >>> import torch
        >>> from gpuaug.functional import affine
        >>> affine(torch.rand(2, 3, 8, 9), scale=torch.tensor([0.5, 2.0])).shape
        torch.Size([2, 3, 8, 9])
    """

    def matrix(like: Tensor, canvas: Canvas) -> Tensor:
        middle = (canvas[1] / 2, canvas[0] / 2) if center is None else (float(center[0]), float(center[1]))
        turn, size = samples(angle, like, "affine", "angle"), samples(scale, like, "affine", "scale")
        shift = tuple(samples(t, like, "affine", "translate") for t in translate)
        skew = tuple(samples(s, like, "affine", "shear") for s in shear)
        return mat.affine(turn, (shift[0], shift[1]), (size, size), (skew[0], skew[1]), middle)

    return moved(
        "affine", image, matrix, interpolation=interpolation, fill=fill, antialias=antialias, shrink=MAX_HALF_WIDTH
    )


def perspective(
    image: Tensor,
    startpoints: Tensor,
    endpoints: Tensor,
    interpolation: Any = "bilinear",
    fill: Any = 0.0,
    *,
    antialias: bool = True,
) -> Tensor:
    """Move four points of each sample to four others.

    Args:
        image: (B, C, H, W), uint8 or float.
        startpoints: (B, 4, 2) or (4, 2), x and y in pixels, in the source.
        endpoints: likewise, in the output.
        interpolation: "bilinear", "nearest" or "bicubic".
        fill: value outside the image, in the input's unit.
        antialias: whether the filter widens where the image shrinks, by up to 4 pixels.

    Shape:
        (B, C, H, W) to the same.

    Source: torchvision.transforms.v2.functional.perspective, to 1e-4 without antialiasing (fill blended by coverage).

    Example:
        >>> import torch
        >>> from gpuaug.functional import perspective
        >>> corners = torch.tensor([[0.0, 0.0], [9.0, 0.0], [9.0, 8.0], [0.0, 8.0]])
        >>> perspective(torch.rand(1, 3, 8, 9), corners, corners * 0.9).shape
        torch.Size([1, 3, 8, 9])
    """

    def matrix(like: Tensor, canvas: Canvas) -> Tensor:
        pairs = []
        for argument, points in (("startpoints", startpoints), ("endpoints", endpoints)):
            if points.shape not in ((4, 2), (like.shape[0], 4, 2)):
                raise ValueError(
                    f"perspective: {argument} must have shape ({like.shape[0]}, 4, 2) or (4, 2), got "
                    f"{tuple(points.shape)}"
                )
            pairs.append(points.to(like).expand(like.shape[0], 4, 2))
        return mat.perspective(*pairs)

    settings: dict[str, Any] = {"shrink": MAX_HALF_WIDTH, "projective": True}
    return moved("perspective", image, matrix, interpolation=interpolation, fill=fill, antialias=antialias, **settings)


def warp(
    image: Tensor,
    matrix: Tensor,
    size: Canvas | None = None,
    interpolation: Any = "bilinear",
    fill: Any = 0.0,
    *,
    antialias: bool = True,
) -> Tensor:
    """See each sample through its own homography.

    Args:
        image: (B, C, H, W), uint8 or float.
        matrix: (B, 3, 3), from positions in the source to positions in the output: an image spans [0, W] x [0, H].
        size: (height, width) of the output; None keeps it.
        interpolation: "bilinear", "nearest" or "bicubic".
        fill: value outside the image, in the input's unit.
        antialias: whether the filter widens where the image shrinks, by up to 4 pixels.

    Shape:
        (B, C, H, W) to (B, C, height, width).

    Source: kornia.geometry.transform.warp_perspective, with edges instead of pixel centres as the origin.

    Example:
        >>> import torch
        >>> from gpuaug.functional import warp
        >>> warp(torch.rand(2, 3, 8, 9), torch.eye(3).expand(2, 3, 3), (4, 5)).shape
        torch.Size([2, 3, 4, 5])
    """
    if matrix.dim() != 3 or matrix.shape[1:] != (3, 3):
        raise ValueError(f"warp: matrix must have shape (B, 3, 3), got {tuple(matrix.shape)}")

    def each_sample(like: Tensor, canvas: Canvas) -> Tensor:
        if matrix.shape[0] != like.shape[0]:
            raise ValueError(f"warp: matrix must be of {like.shape[0]} samples, as the images, got {matrix.shape[0]}")
        return matrix.to(like)

    settings: dict[str, Any] = {"shrink": MAX_HALF_WIDTH, "projective": True}
    return moved(
        "warp", image, each_sample, size, interpolation=interpolation, fill=fill, antialias=antialias, **settings
    )
